"""What `lanewise diagnose` says of threads whose time with the lock was added up by themselves.

    python benchmarks/diagnose_exact.py [--python PYTHON] [--load N] [--seconds S] [--output FILE] [CASE ...]

A case is SHARE:PERIOD_US:THREADS, with :sleeps behind it where what is not done with the lock is sleeping. Each thread
runs cycles in C (`cycles.c`) that take that share of each period with the lock, and notes how long it really computed
with it, without it, and waited to get it back. So the truth is exact also where calling C takes its time (at 50 µs,
a twentieth) and where the machine is busy. `held` and `wait` are shares of the wall time; a wait is an upper bound, for
it contains the time in the run queue after having been woken.
"""

import argparse
import ctypes
import json
import mmap
import os
import shlex
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
CASES = [
    "0.5:50:1", "0.25:500:1", "0.5:500:1", "0.5:5000:1", "0.9:50000:1", "0.2:1000:1:sleeps",
    "0.5:500:2", "0.25:5000:2", "0.3:500:4",
]  # fmt: skip
SUMS = 6
BYTES = 8 * SUMS
# Sums are read between calls of C, which take so long.
CALL_S = 0.2


def run_program(library, file, cases):
    """The program that is looked at."""
    call = ctypes.PyDLL(library).cycles
    call.argtypes = [*[ctypes.c_double] * 2, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
    call.restype = None
    jobs = []
    for share, period_us, threads, *sleeps in (case.split(":") for case in cases):
        jobs += [(float(share), float(period_us) / 1e6, len(sleeps))] * int(threads)
    with Path(file).open("r+b") as opened:
        shared = mmap.mmap(opened.fileno(), BYTES * len(jobs))
    sums = ctypes.addressof(ctypes.c_char.from_buffer(shared))

    def run(at, share, period_s, sleeps):
        count = max(1, int(CALL_S / period_s))
        while True:
            call(period_s * share, period_s * (1 - share), sleeps, count, sums + BYTES * at)

    threads = [
        threading.Thread(target=run, args=(at, *job), daemon=True) for at, job in enumerate(jobs)
    ]
    for thread in threads:
        thread.start()
    print(os.getpid(), *(thread.native_id for thread in threads), flush=True)
    threads[0].join()


def read(file, pid, native_ids):
    data = file.read_bytes()
    rows = []
    for at, native_id in enumerate(native_ids):
        queued = int(Path(f"/proc/{pid}/task/{native_id}/schedstat").read_text().split()[1])
        rows.append((time.monotonic(), queued / 1e9, *struct.unpack_from("<6d", data, BYTES * at)))
    return rows


def one_case(command, case, seconds, folder):
    from lanewise.diagnose.observe import ObserveOptions, observe_running
    from lanewise.diagnose.states import held
    from lanewise.diagnose.summary import summarise

    threads = int(case.split(":")[2])
    file = folder / "sums"
    file.write_bytes(bytes(BYTES * threads))
    process = subprocess.Popen(
        [*command, __file__, "--run", str(folder / "cycles.so"), str(file), case],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        pid, *native_ids = map(int, process.stdout.readline().split())
        time.sleep(0.3)
        before = read(file, pid, native_ids)
        session = observe_running(pid, ObserveOptions(duration_s=seconds), "benchmark")
        after = read(file, pid, native_ids)
    finally:
        process.kill()
        process.wait()
    summary = summarise(session)[0]
    shares = {summary.record.threads[one.thread].native_id: one.shares for one in summary.threads}
    rows = []
    for native_id, first, last in zip(native_ids, before, after, strict=True):
        wall, queued, held_wall, held_cpu, _, _, taken, taken_cpu = (
            b - a for a, b in zip(first, last, strict=True)
        )
        seen = shares[native_id]
        rows.append(
            {
                "held": held(seen),
                "held_true": held_cpu / wall,
                "wait": seen["gil_wait"],
                "wait_at_most": (taken - taken_cpu) / wall,
                "queued": queued / wall,
                "locked": held_wall / wall,
            }
        )
    return {
        "case": case, "source": summary.record.source, "threads": rows,
        "process_held": summary.gil_held_share, "process_held_true": sum(row["locked"] for row in rows),
    }  # fmt: skip


def wait_error(row):
    """How far a wait lies outside what it may have been: the run queue may have been part of it, or not."""
    least = max(0.0, row["wait_at_most"] - row["queued"])
    return max(row["wait"] - row["wait_at_most"], least - row["wait"], 0.0)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", default=sys.executable, help="command of the interpreter")
    parser.add_argument("--load", type=int, default=0, help="so many other processes burn")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    arguments = parser.parse_args()
    if arguments.run:
        run_program(*arguments.run, arguments.cases)
        return
    burners = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(arguments.load)
    ]
    results = []
    try:
        with tempfile.TemporaryDirectory(dir=os.environ.get("LANEWISE_BENCH_DIR")) as name:
            folder = Path(name)
            command = ["cc", "-O2", "-shared", "-fPIC", "-o", folder / "cycles.so"]
            subprocess.run([*command, HERE / "cycles.c"], check=True)
            print(f"{'case':20} |  held  true  error |  wait  at most | queue | process held, true")
            for case in arguments.cases or CASES:
                made = one_case(shlex.split(arguments.python), case, arguments.seconds, folder)
                results.append(made)
                for row in made["threads"]:
                    print(
                        f"{case:20} | {row['held']:.3f} {row['held_true']:.3f} {row['held'] - row['held_true']:+.3f} |"
                        f" {row['wait']:.3f}  {row['wait_at_most']:.3f} | {row['queued']:.3f} |"
                        f" {made['process_held']:.3f} {made['process_held_true']:.3f}",
                        flush=True,
                    )
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    rows = [row for made in results for row in made["threads"]]
    errors = [abs(row["held"] - row["held_true"]) for row in rows]
    print(f"held within 0.05: {sum(error <= 0.05 for error in errors)} of {len(rows)} threads, worst {max(errors):.3f};"
          f" waiting within 0.1: {sum(wait_error(row) <= 0.1 for row in rows)}; source {results[0]['source']}")  # fmt: skip
    if arguments.output:
        facts = {
            "python": arguments.python,
            "load": arguments.load,
            "load_average": os.getloadavg(),
        }
        arguments.output.write_text(json.dumps({**facts, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
