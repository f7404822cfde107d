"""How much heavy work a build carries at best: found in a closed loop, before any open one."""

import asyncio
import time
from typing import NamedTuple

from supplyr_load.generator import in_precise_loop
from supplyr_load.wire import Answer, Connection, Request
from supplyr_load.works import WORKS, arguments

_PROBE_ROWS = 100


class Peak(NamedTuple):
    """What a lane did with always something to do.

    Attributes:
        per_s: Calls that it finished a second.
        median_s: How long one took its caller, waiting included.
    """

    per_s: float
    median_s: float


def size_for(work: str, seconds: float) -> int:
    """Return the size at which a call takes about so much CPU time on this machine.

    By CPU time, not by the clock: on a busy machine the clock counts the neighbours' work too.
    """
    size, taken_s = _PROBE_ROWS, 0.0
    for _ in range(3):
        given = arguments(work, size)
        WORKS[work](*given)
        begun = time.process_time()
        WORKS[work](*given)
        taken_s = max(1e-4, time.process_time() - begun)
        size = max(1, round(size * seconds / taken_s))
    return size


def peak(port: int, asked: Request, callers: int, seconds: float) -> Peak:
    """Ask for the same work again and again with so many callers; refusals do not count."""

    async def main() -> Peak:
        until = time.monotonic() + seconds
        latencies: list[float] = []
        await asyncio.gather(*(_caller(port, asked, until, latencies) for _ in range(callers)))
        ordered = sorted(latencies) or [float("nan")]
        return Peak(len(latencies) / seconds, ordered[len(ordered) // 2])

    found: Peak = in_precise_loop(main)
    return found


async def _caller(port: int, asked: Request, until: float, latencies: list[float]) -> None:
    connection: Connection | None = None
    while time.monotonic() < until:
        if connection is None or not connection.is_open:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
        begun = time.monotonic()
        answer = await _answer(connection, asked)
        if time.monotonic() > until:
            break
        if answer is not None and answer.status < 400:
            latencies.append(time.monotonic() - begun)
        else:
            await asyncio.sleep(0.01)
    if connection is not None:
        connection.close()


async def _answer(connection: Connection, asked: Request) -> Answer | None:
    future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
    connection.on_answer = future.set_result

    def lost(_: bool) -> None:
        future.set_result(None)

    connection.on_lost = lost
    connection.ask(asked.data)
    return await future
