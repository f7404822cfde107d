"""The full duplicate run: short calls in the background, as many at once as there are cores.

Each call takes some tens of milliseconds and is of low priority, so whoever waits for an answer
gets the next free worker: a run over the whole directory goes on beside requests.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from supplyr.candidates import PASSES
from supplyr.dedupe import DEFAULT_THRESHOLD
from supplyr.duplicates.clusters import Cluster, cluster_pairs, clusters_of
from supplyr.duplicates.compare import PAIR, compare_segment
from supplyr.duplicates.passes import Segment, sort_pass
from supplyr.duplicates.prepare import prepare_page
from supplyr.jobs.background import Background

PAGE_ROWS = 2000
# So many pairs for each supplier, and the groups are of no use to anybody; and all pairs wait here
# until the last is found.
MAX_PAIRS_EACH = 20

T = TypeVar("T")


class TooManyPairsError(Exception):
    """So much looks alike that it cannot be grouped; nothing was."""


class Stage(NamedTuple):
    """How far a run is: what it does, how many calls of that are done, and of how many."""

    what: str
    done: int
    total: int | None


Report = Callable[[Stage], Awaitable[object]]


async def _nothing(_: Stage) -> None:
    return None


async def find_clusters(
    background: Background,
    pages: AsyncIterator[bytes],
    threshold: float = DEFAULT_THRESHOLD,
    report: Report = _nothing,
    apart: Callable[[], Sequence[tuple[int, int]]] = tuple,
) -> list[Cluster]:
    """Return the clusters of all records; a member is its place in the order of the pages.

    Args:
        background: Where the calls run.
        pages: What `encode_page` makes, PAGE_ROWS rows each, in the order of the directory.
        threshold: The least similarity, 0.001 to 1.
        report: Awaited after each call.
        apart: Called when all pages were read: pairs (lower place first) that are known to differ.

    Raises TooManyPairsError beyond MAX_PAIRS_EACH pairs for each record. Cancellation: stops the
    calls that run and returns at once.
    """
    at_once = background.at_once
    prepared = await _prepared(background, pages, report)
    rows = PAGE_ROWS * len(prepared)
    shared = await background.share(prepared)
    passes = await _all(
        at_once,
        [partial(background.run, sort_pass, shared, number, rows) for number in range(PASSES)],
    )
    segments: list[Segment] = [segment for found in passes for segment in found]
    counted = pairs_found = 0
    most = MAX_PAIRS_EACH * rows

    async def compared(segment: Segment) -> bytes:
        nonlocal counted, pairs_found
        if pairs_found > most:
            return b""
        found = await background.run(compare_segment, segment, threshold)
        counted += 1
        pairs_found += len(found) // PAIR.itemsize
        await report(Stage("comparing", counted, len(segments)))
        return found

    pairs = await _all(at_once, [partial(compared, one) for one in segments])
    if pairs_found > most:
        raise TooManyPairsError(f"more than {most:,} pairs")
    return clusters_of(await background.run(cluster_pairs, pairs, list(apart())))


async def _prepared(
    background: Background, pages: AsyncIterator[bytes], report: Report
) -> list[bytes]:
    """Prepare pages while the next ones are read; no more than two for each place are held."""
    places = asyncio.Semaphore(2 * background.at_once)
    done = 0

    async def prepare(page: bytes) -> bytes:
        nonlocal done
        try:
            prepared = await background.run(prepare_page, page)
        finally:
            places.release()
        done += 1
        await report(Stage("reading", done, None))
        return prepared

    async with asyncio.TaskGroup() as group:
        started = []
        async for page in pages:
            await places.acquire()
            started.append(group.create_task(prepare(page)))
    return [one.result() for one in started]


async def _all(at_once: int, calls: Sequence[Callable[[], Awaitable[Any]]]) -> list[Any]:
    """Await all calls, so many at once, and return their results in order."""
    results: list[Any] = [None] * len(calls)
    waiting = iter(enumerate(calls))

    async def work(calls_left: Iterable[tuple[int, Callable[[], Awaitable[Any]]]]) -> None:
        for place, call in calls_left:
            results[place] = await call()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(at_once, len(calls))):
            group.create_task(work(waiting))
    return results
