"""The full duplicate run as a job: compare everybody, then put the clusters up for review.

Nothing is written until all is compared; then the clusters that nobody has decided on are replaced
in one transaction. An attempt that is killed before leaves the earlier clusters as they are. What
was entered or changed while it compared has a check of its own, and that stands.
"""

import json
import time
from array import array
from collections.abc import AsyncIterator, Sequence
from typing import Any

from supplyr.db.database import Transaction
from supplyr.dedupe import DEFAULT_THRESHOLD
from supplyr.jobs.full_run import PAGE_ROWS, Stage, TooManyPairsError, find_clusters
from supplyr.jobs.run import JobFailedError, Run
from supplyr.store import audit, duplicates, jobs, pages
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
    read_at_s = time.time()
    ids, new = await _compared(run, threshold)
    suspected = {at for one in new for at, _ in one.members}
    await _mark_clear(run, ids, suspected, read_at_s)
    async with run.step("clusters") as step:
        await _replace(run, step.transaction, new, frozenset(ids), read_at_s)
        await duplicates.mark(step.transaction, "suspected", sorted(suspected), read_at_s=read_at_s)
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


async def _compared(run: Run, threshold: float) -> tuple[Sequence[int], list[NewCluster]]:
    """Return the suppliers that were compared, and the clusters among them."""
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

    try:
        clusters = await find_clusters(run.background, read(), threshold, report, apart)
    except TooManyPairsError as error:
        raise JobFailedError(
            f"At {threshold:.0%} too many suppliers look alike to be looked through;"
            " take a higher similarity."
        ) from error
    return ids, [
        NewCluster(
            [(ids[place], permille) for place, permille in zip(*one[:2], strict=True)],
            one.best_permille,
        )
        for one in clusters
    ]


async def _replace(
    run: Run,
    transaction: Transaction,
    new: Sequence[NewCluster],
    read: frozenset[int],
    read_at_s: float,
) -> None:
    """Put new clusters in the place of the open ones, but for those that know more than they do.

    That is what a check on entry put up meanwhile, of suppliers that were not read, or read before
    they were changed. Nobody is to look at the same suppliers twice, though.
    """
    newer = await duplicates.made_since(transaction, read_at_s)
    members = {one["id"]: {at["supplier_id"] for at in one["members"]} for one in newer}
    everybody = sorted(set[int]().union(*members.values()))
    changed = await duplicates.changed_since(transaction, everybody, read_at_s)
    # A supplier is in one of the new clusters at most.
    home = {at: number for number, one in enumerate(new) for at, _ in one.members}
    superseded: list[int] = []
    held: set[int] = set()
    for cluster_id, group in members.items():
        homes = {home.get(at, -1) for at in group}
        if (group <= read and not group & changed) or (len(homes) == 1 and -1 not in homes):
            superseded.append(cluster_id)
            continue
        held |= {
            number for number in homes - {-1} if {at for at, _ in new[number].members} <= group
        }
    await duplicates.remove_open(transaction, read_at_s, superseded)
    fresh = [one for number, one in enumerate(new) if number not in held]
    await duplicates.add_clusters(transaction, fresh, run.job.id)


async def _mark_clear(run: Run, ids: Sequence[int], suspected: set[int], read_at_s: float) -> None:
    """Note who has no duplicate, some at a time, so that nobody waits long to write."""
    for start in range(0, len(ids), _MARKED_AT_ONCE):
        clear = [at for at in ids[start : start + _MARKED_AT_ONCE] if at not in suspected]
        async with run.database.transaction() as transaction:
            await jobs.check_held(transaction, run.job)
            await duplicates.mark(transaction, "clear", clear, read_at_s=read_at_s)
        await run.progress(start, len(ids), "noting results")
