"""A small asyncio service: cheap requests arrive on schedule while heavy work runs beside them.

The same program runs twice. In the first form every heavy call is made where it is needed, in the
handler; in the second it is handed to a lanewise runtime, which follows a plan. Cheap requests are
an open loop: they arrive when they arrive, and their latency counts from that moment, so that a
blocked loop cannot hide by delaying its own clients.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from lanewise import Runtime, Task

from supplyr.tasks import (
    find_duplicates,
    hash_password,
    import_csv,
    make_thumbnails,
    validate_rows,
)

CHEAP_EVERY_S = 0.005
HEARTBEAT_S = 0.002
HEAVY_CLIENTS = 3

Run = Callable[..., Coroutine[Any, Any, Any]]
Handlers = AbstractAsyncContextManager[Run]


class Observed(NamedTuple):
    """What one form of the service did. Latencies and lags in seconds."""

    name: str
    heavy_per_s: float
    cheap_p50_s: float
    cheap_p99_s: float
    lag_p50_s: float
    lag_p99_s: float
    lag_max_s: float


def heavy_calls() -> list[tuple[Callable[..., Any], tuple[Any, ...]]]:
    """Return the heavy calls that clients make in turn: (function, arguments)."""
    sizes: tuple[tuple[Task[..., Any], int], ...] = (
        (find_duplicates, 300),
        (make_thumbnails, 128),
        (import_csv, 1000),
        (validate_rows, 1000),
        (hash_password, 8192),
    )
    return [(task, task.inputs(size)) for task, size in sizes if task.inputs is not None]


@asynccontextmanager
async def in_the_handler() -> AsyncIterator[Run]:
    """Yield a `run` that simply calls: what a service does that never thought about the GIL."""

    async def run(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    yield run


@asynccontextmanager
async def under_the_plan(plan: Path) -> AsyncIterator[Run]:
    """Yield the `run` of a lanewise runtime that follows a plan."""
    async with Runtime(plan=plan) as runtime:
        yield runtime.run


async def serve(name: str, handlers: Handlers, duration_s: float) -> Observed:
    """Run the service for `duration_s` and return what its clients saw."""
    async with handlers as run:
        for function, arguments in heavy_calls():  # start workers and import modules
            await asyncio.gather(*(run(function, *arguments) for _ in range(HEAVY_CLIENTS)))
        stop_at = time.perf_counter() + duration_s
        watching = asyncio.gather(_heartbeat(stop_at), _cheap_requests(stop_at))
        heavy = await asyncio.gather(
            *(_heavy_client(run, at, stop_at) for at in range(HEAVY_CLIENTS))
        )
        lags, cheap = await watching
    return Observed(
        name,
        sum(heavy) / duration_s,
        _quantile(cheap, 0.5),
        _quantile(cheap, 0.99),
        _quantile(lags, 0.5),
        _quantile(lags, 0.99),
        max(lags),
    )


async def _heartbeat(stop_at: float) -> list[float]:
    """Return how late the loop woke up, once for every moment at which it should have."""
    lags: list[float] = []
    due = time.perf_counter() + HEARTBEAT_S
    while due < stop_at:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        lags.append(max(0.0, time.perf_counter() - due))
        due += HEARTBEAT_S
    return lags


async def _cheap_requests(stop_at: float) -> list[float]:
    """Return the latencies of requests that arrive every few milliseconds, whatever happens."""
    latencies: list[float] = []
    due = time.perf_counter()
    while due < stop_at:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        hashlib.sha256(b"a profile page, say" * 20).hexdigest()
        latencies.append(time.perf_counter() - due)
        due += CHEAP_EVERY_S
    return latencies


async def _heavy_client(run: Run, number: int, stop_at: float) -> int:
    calls = heavy_calls()
    done = 0
    while time.perf_counter() < stop_at:
        function, arguments = calls[(number + done) % len(calls)]
        await run(function, *arguments)
        done += 1
        await asyncio.sleep(0)  # a handler awaits something else now and then
    return done


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
