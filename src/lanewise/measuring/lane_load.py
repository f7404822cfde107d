"""Load one lane from a real event loop and see what it delivers and what it does to the loop.

Closed loop: each of ``concurrency`` callers waits for its result before it calls again, as handlers
of a service do that each serve one request. Loop lag is measured with ticks from another process:
each carries the moment at which it was sent, and the lag is how long it lay before the loop saw it.
A timer on the loop itself would add asyncio's own rounding (its selector rounds up to a full
millisecond), and a thread would need the very lock whose effect is to be seen.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from lanewise.measuring.case import Case
from lanewise.model.lane import Lane

_TICK = struct.Struct("=q")
# Latencies travel to the session as plain numbers; a median needs no more.
_MAX_LATENCIES = 1_000
_MAX_LAGS = 4_000
_MAX_COPIES = 1_000


class LagMeter:
    """Collects the lags of the ticks that arrive on a socket. Owner: the loop's thread."""

    def __init__(self, ticks: socket.socket) -> None:
        ticks.setblocking(False)
        self._ticks = ticks
        self._rest = b""
        self.lags_s: list[float] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Collect lags while the block runs, from a clean start to the last tick sent."""
        loop = asyncio.get_running_loop()
        self._discard()
        loop.add_reader(self._ticks, self._read)
        try:
            yield
            # Ticks that came while the last call blocked the loop are still in the socket.
            await asyncio.sleep(0)
            self._read()
        finally:
            loop.remove_reader(self._ticks)

    def _discard(self) -> None:
        self._read()
        self.lags_s.clear()

    def _read(self) -> None:
        while True:
            try:
                data = self._ticks.recv(1 << 16)
            except BlockingIOError:
                return
            if not data:
                return
            now_ns = time.monotonic_ns()
            data = self._rest + data
            whole = len(data) - len(data) % _TICK.size
            self.lags_s += [(now_ns - sent) / 1e9 for (sent,) in _TICK.iter_unpack(data[:whole])]
            self._rest = data[whole:]


async def load_lane(
    lane: Lane, case: Case, concurrency: int, duration_s: float, meter: LagMeter
) -> dict[str, Any]:
    """Drive ``concurrency`` callers for ``duration_s`` and return what happened as plain values.

    Returns:
        ``throughput_per_s``, ``calls``, ``latencies_s``, ``lags_s``, ``elapsed_s``.
    """
    supply = _Supply(case)
    async with meter.listening():
        started = time.perf_counter()
        stop_at = started + duration_s
        callers = [_caller(lane, case, supply, started, stop_at) for _ in range(concurrency)]
        finished = await asyncio.gather(*callers)
    elapsed_s = time.perf_counter() - started
    latencies = [latency for caller in finished for latency in caller]
    return {
        # Each caller's own rate up to the end of its own last call: with few long calls, counting
        # up to a common end would charge the lane for callers that had nothing left to do.
        "throughput_per_s": sum(len(caller) / sum(caller) for caller in finished if caller),
        "calls": len(latencies),
        "latencies_s": _thinned(latencies, _MAX_LATENCIES),
        "lags_s": _thinned(meter.lags_s, _MAX_LAGS),
        "elapsed_s": elapsed_s,
    }


async def idle_loop(duration_s: float, meter: LagMeter) -> dict[str, Any]:
    """Measure the lag of a loop that has nothing to do: what the machine itself adds."""
    async with meter.listening():
        await asyncio.sleep(duration_s)
    return {"lags_s": _thinned(meter.lags_s, _MAX_LAGS)}


class _Supply:
    """Arguments for one load: always the same, or copies made beforehand for a task that changes them.

    Making copies while the load runs would be charged to the lane, so when they are used up the load
    ends early. Owner: the loop's thread.
    """

    def __init__(self, case: Case) -> None:
        self._same = None if case.mutates else case.args
        self._copies = case.fresh_arguments(_MAX_COPIES) if case.mutates else []

    def next(self) -> tuple[Any, ...] | None:
        if self._same is not None:
            return self._same
        return self._copies.pop() if self._copies else None


async def _caller(
    lane: Lane, case: Case, supply: _Supply, started: float, stop_at: float
) -> list[float]:
    reference, variant = case.task.reference, case.variant.name
    latencies: list[float] = []
    wanted = started
    while (args := supply.next()) is not None:
        # A handler awaits other things too; and on the event-loop lane nothing else would yield.
        await asyncio.sleep(0)
        await lane.run(reference, variant, args, {})
        now = time.perf_counter()
        latencies.append(now - wanted)
        wanted = now
        if now >= stop_at:
            break
    return latencies


def _thinned(values: list[float], most: int) -> list[float]:
    """At most ``most`` values, evenly taken, so that early and late ones stay represented."""
    if len(values) <= most:
        return values
    step = len(values) / most
    return [values[int(at * step)] for at in range(most)]
