"""One contestant of routing.py: a process with an open runtime that makes its calls when it is told to.

It reads lines, does so, and answers each with a line of JSON. ``idle``: how late is a loop that does
nothing? A number: make so many of the workload's calls. ``end``: leave.

    python routing_contestant.py WORKLOAD LANE [PLAN]
"""

import asyncio
import itertools
import json
import sys
import time

from routing_workloads import all_workloads

from lanewise import Runtime

TICK_S = 0.002
ROUTED = "routed"


async def ticks(lags):
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + TICK_S
        await asyncio.sleep(TICK_S)
        lags.append(loop.time() - due)


async def lines():
    """Yield what comes on standard input, without a thread that would take part."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().strip():
        yield line


async def beside_ticks(work):
    """Return how long some work took, and how late the loop was meanwhile."""
    lags = []
    ticker = asyncio.create_task(ticks(lags))
    await asyncio.sleep(0)
    started = time.perf_counter()
    await work
    took_s = time.perf_counter() - started
    ticker.cancel()
    return took_s, lags or [took_s]  # no tick: it never got a turn


async def main(name, lane, *plan):
    workload = next(one for one in all_workloads() if one.name == name)
    calls = iter(workload.calls)
    async with Runtime(preload=["routing_workloads"], plan=plan[0] if plan else None) as rt:
        view = rt if lane == ROUTED else rt.with_options(lane=lane)

        async def caller(some):
            for task, argument in some:
                await view.run(task, argument)

        async def turn(count):
            some = itertools.islice(calls, count)
            await asyncio.gather(*(caller(some) for _ in range(workload.callers)))

        async for line in lines():
            if line == "end":
                break
            took_s, lags = await beside_ticks(
                asyncio.sleep(0.2) if line == "idle" else turn(int(line))
            )
            routes = rt.statistics().routes.items()
            answer = {
                "took_s": took_s,
                "lags_s": lags,
                "routes": {f"{to}/{variant}": n for (_, to, variant), n in routes},
            }
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
