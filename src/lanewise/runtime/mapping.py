"""``map``: one function over many items, some at once, short ones in chunks."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lanewise.errors import NotPortableError
from lanewise.model.lane import Failed
from lanewise.runtime.batching import TARGET_S, ChunkSize

_MAX_CHUNK = 65_536

Pending = dict["asyncio.Task[list[Any]]", None]


@dataclass(frozen=True, slots=True)
class ItemCalls:
    """What a map needs of the runtime.

    Attributes:
        chunk: Runs items as one call; gives None where they must go one by one.
        one: Runs one item.
    """

    chunk: Callable[[list[Any]], Awaitable[tuple[list[Any], float | None] | None]]
    one: Callable[[Any], Awaitable[Any]]


async def map_in_chunks(  # noqa: PLR0913 - because: what is called, on what, and how
    calls: ItemCalls,
    items: Iterable[Any],
    *,
    ordered: bool,
    width: int,
    window: int | None,
    target_s: float = TARGET_S,
) -> AsyncGenerator[Any, None]:
    """Yield what the calls gave.

    Args:
        calls: Runs the items.
        items: Read no further ahead than the window.
        ordered: In the order of the items, or as chunks end.
        width: Chunks in flight.
        window: Items in flight at most, or None.
        target_s: What one chunk is to take.

    Raises:
        Exception: What the call of the next item raised.
    """
    size = ChunkSize(target_s, largest=_MAX_CHUNK if window is None else max(1, window // width))
    source = iter(items)
    pending: Pending = {}
    exhausted = False
    try:
        while True:
            while not exhausted and len(pending) < min(width, window or width):
                chunk = list(itertools.islice(source, size.items))
                exhausted = len(chunk) < size.items
                if chunk:
                    pending[asyncio.ensure_future(_run(calls, chunk, size))] = None
            if not pending:
                return
            for finished in await _next_finished(pending, ordered=ordered):
                del pending[finished]
                for outcome in finished.result():
                    if type(outcome) is Failed:
                        raise outcome.error
                    yield outcome
    finally:
        for left in pending:
            left.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _run(calls: ItemCalls, items: list[Any], size: ChunkSize) -> list[Any]:
    try:
        ran = await calls.chunk(items)
    except NotPortableError as error:
        if error.started:
            raise
        ran = None  # some item cannot cross, or the function: each by itself, on a thread where it must
    except Exception as error:
        if len(items) > 1:
            raise
        return [Failed(error)]
    if ran is not None:
        outcomes, run_time_s = ran
        if run_time_s is not None:
            size.ran(len(items), run_time_s)
        return outcomes
    return [await _outcome(calls.one, item, size) for item in items]


async def _outcome(run: Callable[[Any], Awaitable[Any]], item: Any, size: ChunkSize) -> Any:
    started = time.perf_counter()
    try:
        return await run(item)
    except Exception as error:  # noqa: BLE001 - because: it is raised when its turn comes
        return Failed(error)
    finally:
        size.ran(1, time.perf_counter() - started)


async def _next_finished(pending: Pending, *, ordered: bool) -> list[asyncio.Task[list[Any]]]:
    if ordered:
        first = next(iter(pending))
        await asyncio.wait([first])
        return [first]
    done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    return list(done)
