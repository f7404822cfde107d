"""Ask for the ranking now and then: freshness fades by itself, so scores that stay grow wrong.

What is asked for is a job like any other: one at a time over all servers of a database, page by
page behind everybody who waits, and gone on with by the next server where one is killed.
"""

import contextlib
import time
from collections.abc import AsyncGenerator, Callable

from supplyr.db.database import Database, Reader
from supplyr.jobs import ranking
from supplyr.jobs.periodic import now_and_then
from supplyr.store import audit, job_counts, jobs
from supplyr.store.jobs import NewJob

# How often to look whether it is time: a read of a few rows.
LOOK_EVERY_S = 300.0
_HOUR_S = 3600.0
# Any number; servers on PostgreSQL queue for it, so that no two ask for the same ranking.
_LOCK = 7_208_320


async def rank_if_due(database: Database, every_s: float, now_s: float) -> int | None:
    """Add a ranking where the newest is older than `every_s`; return the job's number, if any.

    Neither while one is to be done, nor sooner because one failed or somebody cancelled it.
    """
    if not await _is_due(database, every_s, now_s):
        return None  # nearly always: nobody who writes has to wait
    async with database.transaction() as transaction:
        if transaction.dialect == "postgresql":
            await transaction.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        if not await _is_due(transaction, every_s, now_s):
            return None
        row, _ = await jobs.add(transaction, NewJob(ranking.KIND, None, {}))
        await audit.append(transaction, "system", f"job.{ranking.KIND}", f"job:{row['id']}")
    return int(row["id"])


async def _is_due(reader: Reader, every_s: float, now_s: float) -> bool:
    newest = await job_counts.newest(reader, ranking.KIND)
    return newest is None or (not newest.unfinished and now_s - newest.added_at_s >= every_s)


@contextlib.asynccontextmanager
async def ranking_now_and_then(
    database: Database, every_hours: float, ring: Callable[[], None]
) -> AsyncGenerator[None]:
    """Look again and again inside the block, and `ring` where a job was added."""

    async def once() -> None:
        if await rank_if_due(database, _HOUR_S * every_hours, time.time()) is not None:
            ring()

    failed = "a ranking could not be asked for; trying again"
    async with now_and_then(once, LOOK_EVERY_S, "ranking schedule", failed):
        yield
