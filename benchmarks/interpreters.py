"""The interpreter lane against InterpreterPoolExecutor, awaited from asyncio.

All contestants live in this process, with as many workers each, and take turns in random order, round
after round. Medians over rounds; ratios are what to read.

    python3.14 benchmarks/interpreters.py
    python3.14 benchmarks/interpreters.py --rounds 15 --output benchmarks/results

Needs Python 3.14 or later.
"""

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import threading
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from _lanewise_worker.call import echo, nothing
from lanewise.host.facts import host_facts
from lanewise.lanes.interpreter import InterpreterLane
from lanewise.lanes.process import ProcessLane

LARGE_BYTES = 10_000_000
GOAL = 0.7


class OnLane:
    """Calls on a lane of ours."""

    def __init__(self, lane):
        self.lane = lane

    async def __aenter__(self):
        await self.lane.open()
        return self

    async def __aexit__(self, *_error):
        await self.lane.close()

    def run(self, function, *args):  # noqa: D102
        return self.lane.run(function, "default", args, {})


class OnPool:
    """Calls on an executor of the standard library."""

    def __init__(self, pool):
        self.pool = pool

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_error):
        await asyncio.to_thread(self.pool.shutdown)

    def run(self, function, *args):  # noqa: D102
        return asyncio.get_running_loop().run_in_executor(self.pool, function, *args)


async def one_after_another(contestant, count=150):
    started = time.perf_counter()
    for _ in range(count):
        await contestant.run(nothing, 1)
    return (time.perf_counter() - started) / count


async def many_in_flight(contestant, at_once=64, each=5):
    async def caller():
        for _ in range(each):
            await contestant.run(nothing, 1)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    return (time.perf_counter() - started) / (at_once * each)


async def beside_a_busy_thread(contestant):
    """A thread of the same program computes: whoever needs this interpreter's lock waits for it."""
    stop = threading.Event()

    def computes():
        while not stop.is_set():
            sum(range(1_000))

    thread = threading.Thread(target=computes)
    thread.start()
    try:
        return await one_after_another(contestant, 60)
    finally:
        stop.set()
        thread.join()


def sending(value, count=6):
    async def measure(contestant):
        started = time.perf_counter()
        for _ in range(count):
            await contestant.run(nothing, value)
        return (time.perf_counter() - started) / count

    return measure


async def there_and_back(contestant, count=4):
    data = bytes(LARGE_BYTES)
    started = time.perf_counter()
    for _ in range(count):
        await contestant.run(echo, data)
    return (time.perf_counter() - started) / count


def copies(source, into):
    """How long a copy of as many bytes takes: into memory that is there, or is made for it."""
    started = time.perf_counter()
    if into is None:
        bytearray(source)
    else:
        into[:] = source
    return time.perf_counter() - started


async def contest(rounds, workers):
    from concurrent.futures import InterpreterPoolExecutor

    source = bytes(LARGE_BYTES)
    works = {
        "one no-op call after another": one_after_another,
        "64 no-op calls in flight, per call": many_in_flight,
        "no-op calls beside a thread that computes": beside_a_busy_thread,
        "10 MB bytes as argument": sending(source),
        "10 MB memoryview as argument": sending(memoryview(source)),
        "10 MB bytes there and back": there_and_back,
    }
    contestants = {
        "interpreter lane": OnLane(InterpreterLane(workers)),
        "InterpreterPoolExecutor": OnPool(InterpreterPoolExecutor(workers)),
        "process lane": OnLane(ProcessLane(workers)),
    }
    times = {work: {name: [] for name in contestants} for work in works}
    memcpy = {"into warm memory": [], "into new memory": []}
    warm = memoryview(bytearray(LARGE_BYTES))
    async with contextlib.AsyncExitStack() as stack:
        for contestant in contestants.values():
            await stack.enter_async_context(contestant)
            for _ in range(2 * workers):  # every worker imports what is called
                await asyncio.gather(*(contestant.run(nothing, 1) for _ in range(workers)))
        turns = [
            (work, name)
            for work in works
            for name in contestants
            if (name, "memoryview" in work) != ("process lane", True)  # has no pickle
        ]
        for _ in range(rounds):
            random.shuffle(turns)
            for work, name in turns:
                times[work][name].append(await works[work](contestants[name]))
            memcpy["into warm memory"].append(copies(source, warm))
            memcpy["into new memory"].append(copies(source, None))
    return times, memcpy


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    times, memcpy = asyncio.run(contest(arguments.rounds, arguments.workers))
    rows = []
    for work, by_name in times.items():
        medians = {name: statistics.median(one) for name, one in by_name.items() if one}
        ratio = medians["interpreter lane"] / medians["InterpreterPoolExecutor"]
        rows.append({"work": work, "medians_s": medians, "ratio": ratio})
        told = "  ".join(f"{name} {value * 1e6:,.0f} µs" for name, value in medians.items())
        print(f"{work}: {told}\n    {ratio:.2f} of the executor's time")
    copied = {name: statistics.median(one) for name, one in memcpy.items()}
    print("a copy of 10 MB: " + ", ".join(f"{n} {t * 1e6:,.0f} µs" for n, t in copied.items()))
    print(f"goal for one call after another: at most {GOAL}; measured {rows[0]['ratio']:.2f}")
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        path = arguments.output / f"interpreters_{version}.json"
        result = {
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": asdict(host_facts()),
            "rounds": arguments.rounds,
            "workers": arguments.workers,
            "memcpy_s": copied,
            "rows": rows,
        }
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
