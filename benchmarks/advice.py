"""What `lanewise diagnose` advises and predicts, against what really doing it gives.

    python benchmarks/advice.py [--seconds S] [--rounds N] [--only WORD ...] [--output FILE]

Each program runs as it is, is diagnosed, and then runs with its work where the advice puts it: in threads, in
processes or interpreters that its arguments really cross to, with another library, or with a short switch interval.
Throughput of both is measured without anybody looking, in turns. Where the answer is to stay, the gain of processes
is measured, so that "stay" can be wrong. Each program has one right answer. At the end it says how often that came
first, and how many predictions were within 25 %; `unclear`, and no prediction, count as misses of both. With
--output and --only, the rows of a file are replaced one by one, so that a long run may be divided.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from advice_programs import PORT, PROGRAMS, run, serve

from lanewise.diagnose.advice import advise_all
from lanewise.diagnose.observe import ObserveOptions, observe_running
from lanewise.diagnose.summary import summarise
from lanewise.host.facts import host_facts

WITHIN = 0.25
# What cannot be done here, or changes nothing, is compared with processes.
INSTEAD = {"stay": "process", "unclear": "process", "free_threaded": "process"}


@contextlib.contextmanager
def server():
    """The server that programs ask; its port is in the environment of all that are started meanwhile."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True
    )
    try:
        os.environ[PORT] = process.stdout.readline().strip()
        yield
    finally:
        process.kill()
        process.wait()


def start(name, where, seconds):
    command = [sys.executable, __file__, "--run", name, where, str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    return process


def throughput(name, where, seconds):
    return float(start(name, where, seconds).communicate()[0])


def diagnosed(name, seconds):
    several = PROGRAMS[name].kind == "workers"
    process = start(name, "now", seconds + 5)
    try:
        time.sleep(1.5 if several else 0.5)
        options = ObserveOptions(duration_s=seconds, follow=several)
        session = observe_running(process.pid, options, "benchmark")
        return advise_all(summarise(session))[0]
    finally:
        # Its workers end by themselves, and what follows must not run beside them.
        if several:
            process.wait()
        process.kill()
        process.wait()


def one(name, seconds, rounds):
    best = diagnosed(name, seconds)
    where = INSTEAD.get(best.strategy, best.strategy)
    if where == "variant" and PROGRAMS[name].variant is None:
        where = "process"
    ratios = []
    for _ in range(rounds):
        before, after = throughput(name, "now", seconds), throughput(name, where, seconds)
        ratios.append(after / before)
    real = statistics.median(ratios)
    predicted = None if best.strategy == "unclear" else best.predicted_gain
    return {
        "program": name, "strategy": best.strategy, "right_strategy": PROGRAMS[name].right,
        "right": best.strategy == PROGRAMS[name].right, "measured": where, "function": best.function,
        "predicted": predicted, "real": real, "ratios": ratios, "reason": best.reason,
        "within": is_within(best.strategy, predicted, real),
    }  # fmt: skip


def is_within(strategy, predicted, real):
    """Whether a prediction holds; "stay" says that the alternative gains nothing, not how much it loses."""
    if predicted is None:
        return False
    if strategy == "stay":
        return real <= predicted * (1 + WITHIN)
    return abs(predicted / real - 1) <= WITHIN


def tell(made):
    predicted = "–" if made["predicted"] is None else f"{made['predicted']:.2f}"
    print(
        f"{made['program']:26} {made['strategy']:16} {'yes' if made['right'] else 'no':5}  {predicted:>9}"
        f"  {made['real']:5.2f}  {made['measured']}",
        flush=True,
    )


def conclude(results):
    unclear = sum(made["strategy"] == "unclear" for made in results)
    print(
        f"the right strategy first: {sum(made['right'] for made in results)} of {len(results)}; "
        f"predictions within {WITHIN:.0%}: {sum(made['within'] for made in results)} of {len(results)} "
        f"({unclear} unclear, which are misses)"
    )


def keep(path, results):
    before = json.loads(path.read_text()) if path.exists() else {}
    rows = {row["program"]: row for row in [*before.get("results", []), *results]}
    results = [rows[name] for name in PROGRAMS if name in rows]
    host, load = host_facts().as_dict(), os.getloadavg()
    document = {"host": host, "load_average": load, "results": results}
    path.write_text(json.dumps(document, indent=1) + "\n")
    return results


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", nargs="+", default=[""], help="only programs whose name contains one of these"
    )
    parser.add_argument("--output", type=Path)
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
    elif arguments.run:
        print("begun", flush=True)
        print(run(arguments.run[0], arguments.run[1], float(arguments.run[2])), flush=True)
    else:
        compare(arguments)


def compare(arguments):
    results = []
    print(f"{'program':26} {'advice':16} {'right':5}  predicted   real  measured as")
    with server():
        for name in PROGRAMS:
            if any(word in name for word in arguments.only):
                results.append(one(name, arguments.seconds, arguments.rounds))
                tell(results[-1])
    if arguments.output:
        results = keep(arguments.output, results)
    conclude(results)


if __name__ == "__main__":
    main()
