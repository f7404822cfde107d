"""Compare a supplier that was just saved with those that are there, in the time that there is."""

import asyncio
import time
from typing import Literal, NamedTuple

from lanewise import LanewiseError, Runtime

from supplyr.db.database import Database, Row
from supplyr.dedupe import DEFAULT_THRESHOLD
from supplyr.duplicates.neighbours import encode_neighbours, similar_neighbours
from supplyr.store import duplicates, suppliers
from supplyr.store.duplicates import NewCluster

_CANDIDATES = 300
_KEPT_FREE_S = 0.05  # for writing down what was found

Verdict = Literal["unchecked", "clear", "suspected"]


class Found(NamedTuple):
    """The verdict, and the suppliers that look the same, the most similar first."""

    verdict: Verdict
    suspected: list[int]


_UNCHECKED = Found("unchecked", [])


def _columns(row: Row) -> tuple[str, str, str, str, str]:
    return row["name"], row["street"], row["city"], row["postcode"], row["address_extra"]


async def check(database: Database, runtime: Runtime, supplier_id: int, within_s: float) -> Found:
    """Check one supplier. When time runs out or there is no room it stays "unchecked".

    A full run checks it later. Never raises because of time or load.
    """
    until_s = time.monotonic() + within_s
    try:
        async with asyncio.timeout(within_s):
            found = await _compared(database, runtime, supplier_id, until_s)
    except (TimeoutError, LanewiseError):
        return _UNCHECKED
    return found


async def _compared(
    database: Database, runtime: Runtime, supplier_id: int, until_s: float
) -> Found:
    row = await suppliers.get(database, supplier_id)
    if row is None or row["status"] != "active":
        return _UNCHECKED
    different = await duplicates.dismissed_with(database, supplier_id)
    others = [
        one
        for one in await duplicates.candidates(database, row, _CANDIDATES)
        if one["id"] not in different
    ]
    left_s = until_s - time.monotonic() - _KEPT_FREE_S
    if left_s <= 0:
        return _UNCHECKED
    similar = (
        await runtime.with_options(timeout_s=left_s, priority="high").run(
            similar_neighbours,
            encode_neighbours(_columns(row), [_columns(one) for one in others]),
            DEFAULT_THRESHOLD,
        )
        if others
        else []
    )
    scores = {others[place]["id"]: permille for place, permille in similar}
    if row["vat_number"]:
        scores |= {one["id"]: 1000 for one in others if one["vat_number"] == row["vat_number"]}
    return await _noted(database, row, scores)


async def _noted(database: Database, row: Row, scores: dict[int, int]) -> Found:
    """Write down what was found, unless the supplier is another by now: its own check will."""
    supplier_id = row["id"]
    best = sorted(scores, key=lambda at: (-scores[at], at))[:10]
    async with database.transaction() as transaction:
        # All at once, and in order: of two entries that are alike, each would wait for the other's.
        await suppliers.lock(transaction, [supplier_id, *best])
        if not await suppliers.is_still(transaction, supplier_id, row["version"]):
            return _UNCHECKED
        await duplicates.remove_open_of(transaction, supplier_id)
        if not best:
            await duplicates.mark(transaction, "clear", [supplier_id])
            return Found("clear", [])
        members = [(supplier_id, scores[best[0]]), *((at, scores[at]) for at in best)]
        await duplicates.add_clusters(
            transaction, [NewCluster(members, scores[best[0]])], job_id=None
        )
        await duplicates.mark(transaction, "suspected", [supplier_id, *best])
    return Found("suspected", best)
