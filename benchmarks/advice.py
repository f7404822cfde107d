"""What `lanewise diagnose` advises and predicts, against what really doing it gives.

    python benchmarks/advice.py [--seconds S] [--rounds N] [--only WORD ...] [--output FILE]

Each program runs as it is, is diagnosed, and then runs with its work where the advice would put it: in threads, in
processes, off the event loop. Throughput of both is measured without anybody looking, in turns. Where the right
answer is to stay, the gain of processes is measured all the same, so that "stay" can be wrong. On a machine that
others use, many answers are `unclear`, as they should be; those rows say so and are not counted. With --output and
--only, the rows of a file are replaced one by one, so that a long run may be divided.
"""

import argparse
import asyncio
import concurrent.futures
import functools
import hashlib
import json
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import time
import zlib
from pathlib import Path

from lanewise.diagnose.advice import advise
from lanewise.diagnose.observe import ObserveOptions, observe_running
from lanewise.diagnose.summary import summarise
from lanewise.host.facts import host_facts

ROWS = {str(number): list(range(20)) for number in range(200)}
TEXT = "alpha=1; beta=22; gamma=333; " * 400
NUMBERS = [(number * 7919) % 100_003 for number in range(20_000)]
MEGABYTE = bytes(1_000_000)


def bytecode():
    total = 0
    for number in range(20_000):
        total += number * number % 7
    return total


def dumps():
    return json.dumps(ROWS)


def many_dumps():
    for _ in range(20):
        json.dumps(ROWS)


def search():
    return re.findall(r"(\w+)=(\d+)", TEXT)


def order():
    return sorted(NUMBERS)


def digest():
    return hashlib.sha256(MEGABYTE).digest()


def squeeze():
    return zlib.compress(MEGABYTE, 6)


def rest():
    time.sleep(0.02)


def mixture():
    bytecode()
    bytecode()
    digest()


# name: (function, how many at once, kind, strategies that are right)
PROGRAMS = {
    "bytecode in 2 threads": (bytecode, 2, "threads", {"process", "interpreter"}),
    "bytecode in 4 threads": (bytecode, 4, "threads", {"process", "interpreter"}),
    "json in 2 threads": (dumps, 2, "threads", {"process", "interpreter", "variant"}),
    "regular expressions in 2": (search, 2, "threads", {"process", "interpreter", "variant"}),
    "sorting in 2 threads": (order, 2, "threads", {"process", "interpreter", "variant"}),
    "bytecode and sha256 in 2": (mixture, 2, "threads", {"process", "interpreter"}),
    "sha256 in 2 threads": (digest, 2, "threads", {"stay"}),
    "zlib in 2 threads": (squeeze, 2, "threads", {"stay"}),
    "sleep in 8 threads": (rest, 8, "threads", {"stay"}),
    "bytecode in 1 thread": (bytecode, 1, "threads", {"stay"}),
    "loop, blocked by sleep": (functools.partial(time.sleep, 0.1), 4, "loop", {"thread"}),
    "loop, blocked by bytecode": (bytecode, 4, "loop", {"process", "interpreter"}),
    "loop, blocked by sha256": (digest, 4, "loop", {"thread"}),
    "loop, blocked by json": (many_dumps, 4, "loop", {"process", "interpreter", "variant"}),
}


def until(stop, function):
    count = 0
    while time.monotonic() < stop:
        function()
        count += 1
    return count


def in_threads(function, many, seconds):
    stop = time.monotonic() + seconds
    with concurrent.futures.ThreadPoolExecutor(many) as pool:
        return sum(pool.map(until, [stop] * many, [function] * many)) / seconds


def who(seconds):
    time.sleep(seconds)
    return os.getpid()


def warm(pool, many):
    """Wait until all workers have started."""
    while len(set(pool.map(who, [0.1] * many))) < many:
        pass


def in_processes(function, many, seconds):
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(many, mp_context=context) as pool:
        warm(pool, many)
        stop = time.monotonic() + seconds
        return sum(pool.map(until, [stop] * many, [function] * many)) / seconds


async def handlers(function, many, seconds, pool):
    """So many clients, each of which asks again as soon as it was answered."""
    loop, stop, served = asyncio.get_running_loop(), time.monotonic() + seconds, 0

    async def client():
        nonlocal served
        while time.monotonic() < stop:
            if pool is None:
                function()
            else:
                await loop.run_in_executor(pool, function)
            served += 1
            await asyncio.sleep(0)

    await asyncio.gather(*(client() for _ in range(many)))
    return served / seconds


def on_a_loop(function, many, seconds, where):
    if where == "loop":
        return asyncio.run(handlers(function, many, seconds, None))
    context = multiprocessing.get_context("spawn")
    pool = (
        concurrent.futures.ThreadPoolExecutor(many)
        if where == "thread"
        else concurrent.futures.ProcessPoolExecutor(many, mp_context=context)
    )
    with pool:
        warm(pool, many if where == "process" else 1)
        return asyncio.run(handlers(function, many, seconds, pool))


def run_program(name, where, seconds):
    function, many, kind, _ = PROGRAMS[name]
    print("begun", flush=True)
    if kind == "loop":
        print(on_a_loop(function, many, seconds, where), flush=True)
    elif where == "process":
        print(in_processes(function, many, seconds), flush=True)
    else:
        print(in_threads(function, many, seconds), flush=True)


def start(name, where, seconds):
    command = [sys.executable, __file__, "--run", name, where, str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    return process


def throughput(name, where, seconds):
    return float(start(name, where, seconds).communicate()[0])


def diagnosed(name, kind, seconds):
    process = start(name, "loop" if kind == "loop" else "thread", seconds + 5)
    try:
        time.sleep(0.5)
        session = observe_running(process.pid, ObserveOptions(duration_s=seconds), "benchmark")
        return advise(summarise(session)[0])[0]
    finally:
        process.kill()
        process.wait()


def one(name, seconds, rounds):
    _, _, kind, right = PROGRAMS[name]
    best = diagnosed(name, kind, seconds)
    now = "loop" if kind == "loop" else "thread"
    then = "thread" if best.strategy == "thread" else "process"
    ratios = []
    for _ in range(rounds):
        before, after = throughput(name, now, seconds), throughput(name, then, seconds)
        ratios.append(after / before)
    real = statistics.median(ratios)
    predicted = best.predicted_gain
    return {
        "program": name, "strategy": best.strategy, "right": best.strategy in right, "measured": then,
        "predicted": predicted, "real": real, "ratios": ratios, "reason": best.reason,
        "within": None if predicted is None else abs(predicted / real - 1) <= 0.25,
    }  # fmt: skip


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
    arguments = parser.parse_args()
    if arguments.run:
        run_program(arguments.run[0], arguments.run[1], float(arguments.run[2]))
        return
    results = []
    print(f"{'program':26} {'advice':16} {'right':5}  predicted   real  where")
    for name in PROGRAMS:
        if any(word in name for word in arguments.only):
            made = one(name, arguments.seconds, arguments.rounds)
            results.append(made)
            predicted = "–" if made["predicted"] is None else f"{made['predicted']:.2f}"
            print(
                f"{name:26} {made['strategy']:16} {'yes' if made['right'] else 'no':5}  {predicted:>9}"
                f"  {made['real']:5.2f}  {made['measured']}",
                flush=True,
            )
    clear = [made for made in results if made["strategy"] != "unclear"]
    told = [made for made in clear if made["within"] is not None]
    print(f"{len(results) - len(clear)} unclear; right first: {sum(made['right'] for made in clear)} of {len(clear)};"
          f" within 25 %: {sum(made['within'] for made in told)} of {len(told)}")  # fmt: skip
    if arguments.output:
        before = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
        rows = {row["program"]: row for row in [*before.get("results", []), *results]}
        results = [rows[name] for name in PROGRAMS if name in rows]
        arguments.output.write_text(
            json.dumps(
                {
                    "host": host_facts().as_dict(),
                    "load_average": os.getloadavg(),
                    "results": results,
                },
                indent=1,
            )
            + "\n"
        )


if __name__ == "__main__":
    main()
