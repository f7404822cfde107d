"""What `lanewise diagnose` says of programs whose truth is known, against that truth.

    python benchmarks/diagnose_truth.py [--python PYTHON] [--load N] [--seconds S] [--output FILE]

Truth of a thread: the kernel's counters over the same time say for which share it ran and waited for a core; by
construction a known share of what ran held the lock, and what did neither waited for the lock (or slept, in
programs that do). So it is known on a busy machine too. `held` is bytecode and native code under the lock; on a
busy machine little runs, so that its errors are small: `of running` is what it is of the time on a core.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lanewise.diagnose.observe import ObserveOptions, observe_running
from lanewise.diagnose.states import held
from lanewise.diagnose.summary import summarise
from lanewise.host.facts import host_facts

HERE = Path(__file__).parent
PROGRAMS = HERE / "diagnose_programs.py"
# program, threads, period in µs, share of its running time under the lock, what the rest of the wall time is
CASES = [
    *(
        (f"spin_{share}", 1, period, share, None)
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
        for period in (50, 500, 5_000, 50_000)
    ),
    *(
        (f"spin_{share}", 2, period, share, "gil_wait")
        for share in (0.25, 0.5)
        for period in (500, 5_000)
    ),
    *(("pure_python", threads, 0, 1.0, "gil_wait") for threads in (1, 2, 4)),
    *(("dumps", threads, 0, 1.0, "gil_wait") for threads in (1, 2, 4)),
    *(("sha256", threads, 0, 0.01, None) for threads in (1, 2)),
    ("burst", 1, 1_000, 1.0, "io_sleep"),
    ("sleeps", 2, 0, 1.0, "io_sleep"),
    ("socket_waits", 2, 0, 1.0, "io_sleep"),
    ("lock_waits", 2, 0, 1.0, "lock_wait"),
]
LOOPS = ["loop_cpu", "loop_sleep", "loop_database", "loop_gc"]


def start(command, program, threads, period_us, seconds):
    return subprocess.Popen(
        [*command, str(PROGRAMS), program, str(threads), str(period_us), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )


def counters(pid, native_ids):
    found = {}
    for native_id in native_ids:
        run, queued, _ = Path(f"/proc/{pid}/task/{native_id}/schedstat").read_text().split()
        found[native_id] = (time.monotonic_ns(), int(run), int(queued))
    return found


def observe(pid, seconds):
    session = observe_running(pid, ObserveOptions(duration_s=seconds), "benchmark")
    return summarise(session)[0]


def one_case(command, case, seconds):
    program, threads, period_us, share, rest = case
    process = start(command, program, threads, period_us, seconds + 30)
    try:
        pid, *native_ids = map(int, process.stdout.readline().split())
        before = counters(pid, native_ids)
        summary = observe(pid, seconds)
        after = counters(pid, native_ids)
    finally:
        process.kill()
        process.wait()
    rows = []
    for one in summary.threads:
        native_id = summary.record.threads[one.thread].native_id
        if native_id in before:
            wall, run, queued = (
                b - a for a, b in zip(before[native_id], after[native_id], strict=True)
            )
            rows.append(
                compare(
                    one.shares, share * run / wall, 1 - (run + queued) / wall, rest, queued / wall
                )
            )
    return {
        "program": program, "threads": threads, "period_us": period_us,
        "held_true": sum(row["held_true"] for row in rows),
        "held": sum(row["held"] for row in rows),
        "held_error": max(abs(row["held"] - row["held_true"]) for row in rows),
        "wait_true": max(row["wait_true"] for row in rows),
        "wait": max(row["wait"] for row in rows),
        "wait_error": max(abs(row["wait"] - row["wait_true"]) for row in rows),
        "of_running": sum(row["ran_held"] for row in rows) / max(sum(row["running"] for row in rows), 1e-9),
        "of_running_true": share,
        "rest_error": max(row["rest_error"] for row in rows),
        "run_queue": max(row["run_queue"] for row in rows),
        "python_share": sum(row["python"] for row in rows) / max(sum(row["held"] for row in rows), 1e-9),
        "process_held": summary.gil_held_share,
        "source": summary.record.source,
    }  # fmt: skip


def compare(shares, held_true, neither, rest, run_queue):
    wait_true = neither if rest == "gil_wait" else 0.0
    row = {
        "held": held(shares),
        "held_true": held_true,
        "wait": shares["gil_wait"],
        "wait_true": wait_true,
    }
    row["running"], row["ran_held"] = shares["native_free"] + held(shares), held(shares)
    row["rest_error"] = abs(shares[rest] - neither) if rest not in (None, "gil_wait") else 0.0
    return row | {"run_queue": run_queue, "python": shares["python_gil"]}


def one_loop(command, program, seconds):
    process = start(command, program, 1, 0, seconds + 2)
    pid = int(process.stdout.readline())
    time.sleep(0.5)
    summary = observe(pid, seconds)
    true = float(process.communicate()[0])
    [loop] = summary.loops
    # The worst line is the one that most stalls are put down to.
    named = [f"{stall.function}:{stall.line}" for stall in loop.stalls]
    causes = [stall.cause for stall in loop.stalls]
    return {
        "program": program, "stalled_true": true, "stalled": loop.stalled_share, "lag_p99_s": loop.lag_p99_s,
        "named": max(set(named), key=named.count, default=None),
        "named_share": sum(program in name for name in named) / max(len(named), 1),
        "cause": max(set(causes), key=causes.count, default=None),
    }  # fmt: skip


def compiled(folder):
    library = Path(folder, "spin.so")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, HERE / "spin.c"], check=True)
    return str(library)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--python", default=sys.executable, help="command of the interpreter that is looked at"
    )
    parser.add_argument(
        "--load", type=int, default=0, help="so many other processes burn meanwhile"
    )
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--only", default="", help="only programs whose name contains this")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    command = shlex.split(arguments.python)
    results, loops = [], []
    burners = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(arguments.load)
    ]
    try:
        with tempfile.TemporaryDirectory(dir=os.environ.get("LANEWISE_BENCH_DIR")) as folder:
            os.environ["LANEWISE_SPIN_LIBRARY"] = compiled(folder)
            print(
                f"{'program':14} n  period |  held  true   err |  wait  true   err | other err | queue  bytecode of held"
            )
            for case in CASES:
                if arguments.only in case[0]:
                    made = one_case(command, case, arguments.seconds)
                    results.append(made)
                    print(
                        f"{made['program']:14} {made['threads']} {made['period_us']:7} |"
                        f" {made['held']:5.3f} {made['held_true']:5.3f} {made['held_error']:5.3f} |"
                        f" {made['wait']:5.3f} {made['wait_true']:5.3f} {made['wait_error']:5.3f} |"
                        f" {made['rest_error']:9.3f} | {made['run_queue']:5.3f}  {made['python_share']:.2f}",
                        flush=True,
                    )
            for program in LOOPS:
                if arguments.only in program:
                    made = one_loop(command, program, arguments.seconds)
                    loops.append(made)
                    print(
                        f"{program:14} stalled {made['stalled']:.3f} (true {made['stalled_true']:.3f}), named"
                        f" {made['named']} in {made['named_share']:.0%}: {made['cause']}",
                        flush=True,
                    )
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    if results:
        print(f"held within 0.05: {sum(one['held_error'] <= 0.05 for one in results)} of {len(results)};"
              f" waiting within 0.1: {sum(one['wait_error'] <= 0.1 for one in results)} of {len(results)};"
              f" source {results[0]['source']}")  # fmt: skip
    if arguments.output:
        facts = {
            "host": host_facts().as_dict(),
            "load_average": os.getloadavg(),
            "python": arguments.python,
            "load": arguments.load,
            "seconds": arguments.seconds,
        }
        arguments.output.write_text(
            json.dumps({**facts, "results": results, "loops": loops}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
