"""The ranking job: the score of every profile, page by page, each page in a transaction."""

import time
from datetime import UTC, datetime
from typing import Any

from supplyr.jobs.run import Run
from supplyr.profile_score import score_page
from supplyr.store import pages, suppliers

KIND = "ranking"
PAGE_ROWS = 1000
_UPDATE = "UPDATE suppliers SET completeness = ?, ranking_score = ? WHERE id = ?"


async def run_ranking(run: Run) -> dict[str, Any]:
    """Handle a ranking. It goes on behind the last page that an earlier attempt has written."""
    total = await suppliers.count_active(run.database)
    day = datetime.fromtimestamp(time.time(), UTC).date().toordinal()
    outcomes = [value for name, value in run.done.items() if name.startswith("page ")]
    seen = sum(outcome["seen"] for outcome in outcomes)
    changed = sum(outcome["changed"] for outcome in outcomes)
    last_id = max((outcome["last_id"] for outcome in outcomes), default=0)
    while True:
        page = await pages.for_ranking(run.database, last_id, PAGE_ROWS)
        if page.size == 0:
            return {"suppliers": seen, "changed": changed}
        scored = await run.background.run(score_page, page.rows, day)
        async with run.step(f"page {last_id}") as step:
            await step.transaction.execute_many(
                _UPDATE, [(one.completeness, one.score, one.supplier_id) for one in scored]
            )
            step.outcome = {"seen": page.size, "changed": len(scored), "last_id": page.last_id}
        seen, changed, last_id = seen + page.size, changed + len(scored), page.last_id
        await run.progress(seen, max(total, seen))
