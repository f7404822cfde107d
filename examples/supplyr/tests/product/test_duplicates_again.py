"""A merge that was undone stands in nobody's way: runs and checks go on as before."""

import httpx
import pytest
from fastapi import FastAPI

from supplyr import merging
from supplyr.db.database import Database
from supplyr.jobs.entry_check import check
from supplyr.store import duplicates, suppliers
from supplyr.store.duplicates import NewCluster
from supplyr.store.suppliers import Draft

from .jobs_support import one
from .people import add_user, context_of, key_of
from .test_work_api import API, over


async def _merged_and_undone(database: Database) -> list[int]:
    """Add two suppliers that are alike, merge them and undo it; return their ids."""
    alike = Draft(
        "Weber Stahlbau GmbH", street="Hauptstraße 5", city="Ulm", postcode="89073", country="DE"
    )
    async with database.transaction() as transaction:
        ids = [await suppliers.create(transaction, alike) for _ in range(2)]
        (cluster,) = await duplicates.add_clusters(
            transaction, [NewCluster([(at, 1000) for at in ids], 1000)], job_id=None
        )
        merge = await merging.merge(transaction, cluster, ids[0], ids[1:], None)
        await merging.undo(transaction, merge, None)
    return ids


async def test_a_full_run_follows_an_undone_merge(app: FastAPI, client: httpx.AsyncClient) -> None:
    database = context_of(app).database
    await _merged_and_undone(database)
    client.headers.update(await key_of(database, await add_user(database)))
    for _ in range(2):
        job = await over(client, await client.post(f"{API}/duplicate-runs", json={}))
        assert job["state"] == "done", job["error"]
        assert job["result"]["clusters"] == 1
    assert await one(database, "SELECT count(*) FROM duplicate_clusters") == 1
    # What was done is still known, only not as part of a group that is gone.
    assert await one(database, "SELECT count(*) FROM merges WHERE cluster_id IS NULL") == 1


@pytest.mark.parametrize("times", [1, 2])
async def test_a_check_on_entry_follows_an_undone_merge(app: FastAPI, times: int) -> None:
    context = context_of(app)
    first, second = await _merged_and_undone(context.database)
    for _ in range(times):
        found = await check(context.database, context.runtime, first, within_s=60.0)
        assert found == ("suspected", [second])
    assert await one(context.database, "SELECT count(*) FROM duplicate_clusters") == 1
