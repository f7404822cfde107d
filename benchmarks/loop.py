"""What happens to an event loop beside CPU-bound work, what routing costs, and what overload does.

    python benchmarks/loop.py lag        # how late the loop is while all cores compute
    python benchmarks/loop.py overhead   # what a routed call costs beside the call
    python benchmarks/loop.py overload   # 95 % cheap reads, 5 % heavy calls at 1.6 times what can be done

Contestants take turns, several rounds; what is compared are medians over rounds. `lag` and `overload` show
asyncio.to_thread, a thread pool as `def` endpoints have it, and ProcessPoolExecutor beside lanewise.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from lanewise import OverloadedError, Runtime, TaskTimeoutError, task

TICK_S = 0.001
CORES = len(os.sched_getaffinity(0))


def burn(duration_s):
    stop_at = time.thread_time() + duration_s
    while time.thread_time() < stop_at:
        pass


@task(lane="event_loop")
def tiny_here(value):
    return value


@task(lane="thread")
def tiny_there(value):
    return value


def tiny(value):
    return value


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


# --- contestants ------------------------------------------------------------------------------------


@asynccontextmanager
async def lanewise_runtime(**options):
    async with Runtime(preload=["__main__"], **options) as rt:
        yield rt.run


@asynccontextmanager
async def to_thread(**_):
    yield asyncio.to_thread


@asynccontextmanager
async def def_endpoints(**_):
    """The pool of 40 threads that `def` endpoints of Starlette and FastAPI run in."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(40) as pool:
        yield lambda fn, *args: loop.run_in_executor(pool, fn, *args)


@asynccontextmanager
async def process_pool(**_):
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(CORES) as pool:
        await asyncio.gather(*(loop.run_in_executor(pool, burn, 0.01) for _ in range(CORES)))
        yield lambda fn, *args: loop.run_in_executor(pool, fn, *args)


CONTESTANTS = {
    "lanewise": lanewise_runtime,
    "to_thread": to_thread,
    "def endpoints": def_endpoints,
    "ProcessPoolExecutor": process_pool,
}


# --- lag --------------------------------------------------------------------------------------------


async def lags(duration_s):
    loop, seen = asyncio.get_running_loop(), []
    end = loop.time() + duration_s
    while (due := loop.time() + TICK_S) < end:
        await asyncio.sleep(TICK_S)
        seen.append(max(0.0, loop.time() - due))
    return seen


async def lag_beside(contestant, duration_s):
    async with CONTESTANTS[contestant]() as run:
        await run(burn, 0.001)
        idle = await lags(duration_s)
        stop = False

        async def caller():
            while not stop:
                await run(burn, 0.030)

        callers = [asyncio.create_task(caller()) for _ in range(2 * CORES)]
        await asyncio.sleep(0.3)  # what is learned is learned
        busy = await lags(duration_s)
        stop = True
        await asyncio.gather(*callers)
    return percentile(idle, 0.99), percentile(busy, 0.99)


def lag(arguments):
    rows = {name: [] for name in CONTESTANTS}
    for _ in range(arguments.rounds):
        for name in random.sample(list(CONTESTANTS), len(CONTESTANTS)):
            rows[name].append(asyncio.run(lag_beside(name, arguments.seconds)))
    result = {}
    for name, some in rows.items():
        idle, busy = (statistics.median(one[at] for one in some) for at in (0, 1))
        result[name] = {"idle_p99_s": idle, "busy_p99_s": busy, "above_idle_s": busy - idle}
        print(
            f"{name:22} p99 of the loop's lag: idle {idle * 1e3:6.2f} ms, all cores computing "
            f"{busy * 1e3:7.2f} ms, above idle {(busy - idle) * 1e3:7.2f} ms"
        )
    return result


# --- overhead ---------------------------------------------------------------------------------------


async def per_call(call, count):
    started = time.perf_counter()
    for _ in range(count):
        await call()
    return (time.perf_counter() - started) / count


async def overheads(rounds):
    found = {"plain": [], "event loop": [], "to_thread": [], "thread": []}

    async def plain():
        return tiny(1)

    async with Runtime(lanes=("event_loop", "thread")) as rt:
        for _ in range(rounds):
            found["plain"].append(await per_call(plain, 20_000))
            found["event loop"].append(await per_call(lambda: rt.run(tiny_here, 1), 20_000))
            found["to_thread"].append(await per_call(lambda: asyncio.to_thread(tiny, 1), 2_000))
            found["thread"].append(await per_call(lambda: rt.run(tiny_there, 1), 2_000))
    return {name: statistics.median(some) for name, some in found.items()}


def overhead(arguments):
    result = asyncio.run(overheads(arguments.rounds))
    here_s = result["event loop"] - result["plain"]
    print(f"event-loop lane: {here_s * 1e6:.2f} µs more than awaiting a coroutine that calls it")
    print(f"thread lane: {result['thread'] / result['to_thread']:.2f} of asyncio.to_thread")
    return result


# --- overload ---------------------------------------------------------------------------------------


def read(rows):
    """A cheap read: some tens of microseconds on the loop."""
    return sum(len(row) for row in rows[:400])


async def capacity(run, heavy_s):
    """Heavy calls a second that a lane carries, closed loop."""
    done, end = 0, time.perf_counter() + 3.0

    async def caller():
        nonlocal done
        while time.perf_counter() < end:
            await run(burn, heavy_s)
            done += 1

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(2 * CORES)))
    return done / (time.perf_counter() - started)


async def overloaded(contestant, arguments):
    """One open-loop run; all latencies count from the intended time."""
    options = {"queue_timeout_s": arguments.deadline_s / 2, "max_queue": 64}
    loop, dice = asyncio.get_running_loop(), random.Random(arguments.seed)
    rows = [("x" * n) for n in range(400)]
    async with CONTESTANTS[contestant](**(options if contestant == "lanewise" else {})) as run:
        peak = await capacity(run, arguments.heavy_s)
        heavy_rate = 1.6 * peak
        rate = heavy_rate / 0.05
        cheap, heavy, refused, in_flight = [], [], [], set()
        begun = loop.time() + 0.1

        async def request(at, is_heavy):
            try:
                if is_heavy:
                    await run(burn, arguments.heavy_s)
                else:
                    read(rows)
            except (OverloadedError, TaskTimeoutError):
                refused.append(loop.time() - at)
            else:
                (heavy if is_heavy else cheap).append(loop.time() - at)

        at, sent = begun, {True: 0, False: 0}
        while at < begun + arguments.seconds:
            at += dice.expovariate(rate)
            is_heavy = dice.random() < 0.05
            if at > loop.time():
                await asyncio.sleep(at - loop.time())
            sent[is_heavy] += 1
            one = asyncio.create_task(request(at, is_heavy))
            in_flight.add(one)
            one.add_done_callback(in_flight.discard)
        await asyncio.sleep(arguments.deadline_s)  # whoever asked last has left by now
        left = len(in_flight)
        ended = loop.time()
        idle_s = None
        if left <= 500:
            await asyncio.gather(*in_flight)
            idle_s = loop.time() - ended
        else:
            for one in in_flight:
                one.cancel()
        in_time = sum(1 for one in heavy if one <= arguments.deadline_s)
        return {
            "peak_per_s": peak,
            "cheap_ok": sum(1 for one in cheap if one <= 0.1) / max(sent[False], 1),
            "heavy_goodput_of_peak": in_time / arguments.seconds / peak,
            "heavy_in_time": in_time / max(sent[True], 1),
            "refused": len(refused) / max(sent[True], 1),
            "refused_p99_s": percentile(refused, 0.99) if refused else None,
            "left_after_clients": left,
            "idle_after_s": idle_s,
        }


def overload(arguments):
    result = {}
    for name in CONTESTANTS:
        rows = [asyncio.run(overloaded(name, arguments)) for _ in range(arguments.rounds)]
        merged = {
            key: statistics.median(values) if values else None
            for key in rows[0]
            for values in [[row[key] for row in rows if row[key] is not None]]
        }
        result[name] = merged
        refused_s = merged["refused_p99_s"]
        print(
            f"{name:22} cheap ok {merged['cheap_ok']:7.2%}, heavy goodput {merged['heavy_goodput_of_peak']:6.1%} "
            f"of the peak ({merged['heavy_in_time']:6.1%} of what came), refused {merged['refused']:6.1%}"
            + (f" (p99 after {refused_s * 1e3:.0f} ms)" if refused_s is not None else "")
            + f", left over {merged['left_after_clients']:.0f}"
        )
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("lag", "overhead", "overload"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--heavy-s", type=float, default=0.05)
    parser.add_argument("--deadline-s", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", help="write all figures to this file")
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, {CORES} cores", file=sys.stderr)
    result = {"lag": lag, "overhead": overhead, "overload": overload}[arguments.what](arguments)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
