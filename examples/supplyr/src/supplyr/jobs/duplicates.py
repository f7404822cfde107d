"""The full duplicate run as a job: compare everybody, then put the clusters up for review.

Nothing is written until all is compared; then the clusters that nobody has decided on are replaced
in one transaction. An attempt that is killed before leaves the earlier clusters as they are.
"""

import json
from array import array
from collections.abc import AsyncIterator, Sequence
from typing import Any

from supplyr.dedupe import DEFAULT_THRESHOLD
from supplyr.jobs.full_run import PAGE_ROWS, Stage, find_clusters
from supplyr.jobs.run import Run
from supplyr.store import audit, duplicates, pages
from supplyr.store.duplicates import NewCluster

KIND = "duplicates"
_MARKED_AT_ONCE = 2000


async def run_duplicates(run: Run) -> dict[str, Any]:
    """Handle a full duplicate run. Payload: threshold (a share, optional)."""
    if "clusters" not in run.done:
        await _find(run)
    outcome: dict[str, Any] = run.done["clusters"]
    return outcome


async def _find(run: Run) -> None:
    threshold = float(run.job.payload.get("threshold", DEFAULT_THRESHOLD))
    ids = array("q")
    dismissed = await duplicates.dismissed_pairs(run.database)

    async def read() -> AsyncIterator[bytes]:
        last_id = 0
        while True:
            page = await pages.for_comparison(run.database, last_id, PAGE_ROWS)
            if page.size == 0:
                return
            ids.extend(json.loads(page.ids))
            last_id = page.last_id
            yield page.rows

    async def report(stage: Stage) -> None:
        await run.progress(stage.done, stage.total, stage.what)

    def apart() -> list[tuple[int, int]]:
        place = {at: number for number, at in enumerate(ids)} if dismissed else {}
        pairs = ((place.get(one, -1), place.get(other, -1)) for one, other in dismissed)
        return [(min(pair), max(pair)) for pair in pairs if min(pair) >= 0]

    clusters = await find_clusters(run.background, read(), threshold, report, apart)
    new = [
        NewCluster(
            [(ids[place], permille) for place, permille in zip(*one[:2], strict=True)],
            one.best_permille,
        )
        for one in clusters
    ]
    suspected = {at for one in new for at, _ in one.members}
    await _mark_clear(run, ids, suspected)
    async with run.step("clusters") as step:
        await duplicates.remove_open(step.transaction)
        await duplicates.add_clusters(step.transaction, new, run.job.id)
        await duplicates.mark(step.transaction, "suspected", sorted(suspected))
        step.outcome = {
            "suppliers": len(ids),
            "clusters": len(new),
            "suspected": len(suspected),
            "threshold": threshold,
        }
        await audit.append(
            step.transaction,
            f"user:{run.job.owner_id}",
            "duplicates.run",
            f"job:{run.job.id}",
            step.outcome,
        )


async def _mark_clear(run: Run, ids: Sequence[int], suspected: set[int]) -> None:
    """Note who has no duplicate, some at a time, so that nobody waits long to write."""
    for start in range(0, len(ids), _MARKED_AT_ONCE):
        clear = [at for at in ids[start : start + _MARKED_AT_ONCE] if at not in suspected]
        async with run.database.transaction() as transaction:
            await duplicates.mark(transaction, "clear", clear)
        await run.progress(start, len(ids), "noting results")
