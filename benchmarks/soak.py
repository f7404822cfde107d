"""Minutes of mixed load with recycling: memory, descriptors and processes must stay level.

Small calls, large arrays both ways, shared objects that come and go, streams, maps, log records, output,
exceptions, crashes, timeouts and cancellations, on workers that are replaced every few hundred calls. A
sample is taken every few seconds; the medians of the second quarter and of the last one are compared (the
first quarter is warm-up).

    pip install numpy
    python benchmarks/soak.py --minutes 10
    python benchmarks/soak.py --minutes 10 --loop uvloop
"""

import argparse
import asyncio
import collections
import contextlib
import ctypes
import gc
import json
import logging
import os
import random
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from chaos import below

from lanewise import OverloadedError, Runtime, TaskTimeoutError, WorkerDiedError

logging.getLogger("soak").addHandler(logging.NullHandler())
logging.getLogger("soak").propagate = False


def square(n):
    return n * n


def spin(duration_s):
    end = time.perf_counter() + duration_s
    while time.perf_counter() < end:
        pass


def add_one(array):
    return array + 1


def total(array):
    return float(array.sum())


def count_to(n):
    yield from range(n)


def fail(n):
    raise ValueError(n)


def crash():
    ctypes.string_at(0)


def speak(n):
    logging.getLogger("soak").warning("number %d", n)


async def some_small(rt, dice):
    n = dice.randrange(1000)
    assert await rt.run(square, n) == n * n


async def an_array(rt, dice):
    array = np.full(dice.randrange(1_000, 400_000), 3.0)
    result = await rt.run(add_one, array)
    assert result[0] == result[-1] == 4.0


async def shared(rt, dice):
    handle = rt.share(np.full(200_000, float(dice.randrange(50))))
    first, second = await asyncio.gather(rt.run(total, handle), rt.run(total, handle))
    assert first == second


async def a_stream(rt, dice):
    wanted = dice.randrange(1, 60)
    items = rt.stream(count_to, 100)
    got = 0
    async for _ in items:
        got += 1
        if got == wanted:
            break
    await items.aclose()


async def a_map(rt, dice):
    count = dice.randrange(1, 2_000)
    assert [n async for n in rt.map(square, range(count))] == [n * n for n in range(count)]


async def an_error(rt, dice):
    with contextlib.suppress(ValueError):
        await rt.run(fail, dice.randrange(9))


async def a_crash(rt, dice):
    if dice.random() < 0.05:
        with contextlib.suppress(WorkerDiedError):
            await rt.run(crash)


async def a_timeout(rt, dice):
    if dice.random() < 0.1:
        # Where calls wait already it is refused at once: it could not end in time.
        with contextlib.suppress(TaskTimeoutError, OverloadedError):
            await rt.with_options(timeout_s=0.02).run(spin, 5)


async def a_cancellation(rt, dice):
    running = asyncio.create_task(rt.run(spin, 0.005))
    await asyncio.sleep(dice.random() * 0.01)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def a_record(rt, dice):
    await rt.run(speak, dice.randrange(9))


KINDS = (
    *(some_small, some_small, some_small, an_array, shared, a_stream, a_map),
    *(an_error, a_crash, a_timeout, a_cancellation, a_record),
)


def sample():
    gc.collect()
    status = Path("/proc/self/status").read_text()
    fields = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if " kB" in line}
    processes = [pid for pid, _ in below(os.getpid())]
    family_kb = 0
    for pid in processes:
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            family_kb += int(next(one for one in lines if one.startswith("Pss:")).split()[1])
    return {
        "parent_mb": int(fields["VmRSS"]) / 1024,
        "family_mb": family_kb / 1024,
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "mappings": len(Path("/proc/self/maps").read_text().splitlines()),
        "processes": len(processes),
        "tasks": len(asyncio.all_tasks()),
    }


async def load(arguments):
    done, samples = collections.Counter(), []
    end = time.monotonic() + arguments.minutes * 60

    async def caller(rt, seed):
        dice = random.Random(seed)
        while time.monotonic() < end:
            kind = dice.choice(KINDS)
            try:
                await kind(rt, dice)
            except WorkerDiedError as error:  # poisoned, or beside a worker that was killed
                done["died" if not error.poisoned else "poisoned"] += 1
            else:
                done[kind.__name__] += 1

    async with Runtime(processes=2, lanes=("process",), max_calls_per_worker=300) as rt:
        callers = [asyncio.create_task(caller(rt, seed)) for seed in range(arguments.callers)]
        every_s = max(0.5, arguments.minutes * 60 / 120)
        while time.monotonic() < end:
            await asyncio.sleep(every_s)
            samples.append(sample())
        await asyncio.gather(*callers)
        workers = rt.statistics().workers
    return done, samples, workers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    arguments = parser.parse_args()
    factory = None
    if arguments.loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        done, samples, workers = runner.run(load(arguments))
    quarter = len(samples) // 4
    level = {}
    for name in samples[0]:
        second = statistics.median(one[name] for one in samples[quarter : 2 * quarter])
        last = statistics.median(one[name] for one in samples[3 * quarter :])
        level[name] = {"second_quarter": round(second, 1), "last_quarter": round(last, 1)}
    left = below(os.getpid())
    report = {
        "python": sys.version.split()[0],
        "loop": arguments.loop,
        "minutes": arguments.minutes,
        "done": dict(done),
        "workers": str(workers),
        "level": level,
        "left": len(left),
    }
    print(json.dumps(report, indent=1))
    grown = [
        name for name, one in level.items() if one["last_quarter"] > 1.1 * one["second_quarter"] + 3
    ]
    print("level" if not grown and not left else f"BROKEN: {grown or left}")
    sys.exit(bool(grown or left))


if __name__ == "__main__":
    main()
