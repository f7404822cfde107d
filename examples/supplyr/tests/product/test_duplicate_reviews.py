"""What is put up for review: decided on as it was seen, and kept while a run goes on."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from lanewise import Runtime

from supplyr.db.database import Database
from supplyr.jobs import duplicates as job
from supplyr.jobs import full_run
from supplyr.jobs.background import Background
from supplyr.jobs.entry_check import check
from supplyr.jobs.full_run import TooManyPairsError, find_clusters
from supplyr.settings import Settings
from supplyr.store import duplicates, jobs, suppliers
from supplyr.store.duplicates import NewCluster
from supplyr.store.job_life import NotYoursError
from supplyr.store.suppliers import Draft

from .jobs_support import add_user, ended, one, running
from .people import add_user as add_person
from .people import context_of, form_token, key_of, log_in
from .test_work_api import API

_ALIKE = Draft(
    "Weber Stahlbau GmbH", street="Hauptstraße 5", city="Ulm", postcode="89073", country="DE"
)


async def _clusters(database: Database, *groups: tuple[int, ...]) -> list[int]:
    async with database.transaction() as transaction:
        return await duplicates.add_clusters(
            transaction, [NewCluster([(at, 900) for at in group], 900) for group in groups], None
        )


async def _added(database: Database, count: int, draft: Draft = _ALIKE) -> list[int]:
    async with database.transaction() as transaction:
        return await suppliers.create_many(transaction, [draft] * count)


async def test_no_number_of_a_cluster_comes_again(database: Database) -> None:
    ids = await _added(database, 4)
    first = await _clusters(database, (ids[0], ids[1]))
    async with database.transaction() as transaction:
        await duplicates.remove_open(transaction)
    second = await _clusters(database, (ids[2], ids[3]), (ids[1], ids[2]))
    assert len({*first, *second}) == 3


async def test_other_members_than_were_seen_are_not_dismissed(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    database = context_of(app).database
    ids = await _added(database, 3)
    (cluster,) = await _clusters(database, (ids[0], ids[1]))
    client.headers.update(await key_of(database, await add_person(database)))
    address = f"{API}/duplicate-clusters/{cluster}/dismiss"
    answer = await client.post(address, json={"member_ids": [ids[0], ids[2]]})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:supplyr:problem:outdated")
    assert await duplicates.dismissed_pairs(database) == []
    assert await duplicates.count(database, "open") == 1
    answer = await client.post(address, json={"member_ids": [ids[1], ids[0]]})
    assert answer.status_code == 204, answer.text
    assert await duplicates.dismissed_pairs(database) == [(ids[0], ids[1])]


async def test_the_page_sends_who_was_seen(app: FastAPI, client: httpx.AsyncClient) -> None:
    database = context_of(app).database
    ids = await _added(database, 3)
    (cluster,) = await _clusters(database, (ids[0], ids[1]))
    await add_person(database)
    await log_in(client)
    page = (await client.get("/duplicates")).text
    assert [f'name="seen" value="{at}"' in page for at in ids] == [True, True, False]
    form = {"csrf_token": await form_token(client, "/duplicates"), "what": "dismiss"}
    stale = await client.post(f"/duplicates/{cluster}", data={**form, "seen": [ids[0], ids[2]]})
    assert stale.status_code == 409
    assert await duplicates.count(database, "open") == 1
    answer = await client.post(f"/duplicates/{cluster}", data={**form, "seen": ids[:2]})
    assert answer.status_code == 303, answer.text
    assert await duplicates.dismissed_pairs(database) == [(ids[0], ids[1])]


async def test_a_low_similarity_is_refused(app: FastAPI, client: httpx.AsyncClient) -> None:
    database = context_of(app).database
    client.headers.update(await key_of(database, await add_person(database)))
    answer = await client.post(f"{API}/duplicate-runs", json={"threshold": 0.5})
    assert answer.status_code == 422


async def test_too_many_pairs_end_a_run_with_a_reason(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(full_run, "MAX_PAIRS_EACH", 0)
    user = await add_user(database)
    await _added(database, 3)
    row = await _submitted(database, user)
    async with running(database, settings):
        over = await ended(database, row)
    assert (over["state"], over["attempts"]) == ("failed", 1)
    assert "higher similarity" in over["error"]


async def _submitted(database: Database, user: int) -> int:
    async with database.transaction() as transaction:
        row, _ = await jobs.add(transaction, jobs.NewJob(job.KIND, user, {}))
    return int(row["id"])


async def test_pairs_are_counted_as_they_come() -> None:
    async def pages() -> AsyncIterator[bytes]:
        yield b'[["Weber","H 5","Ulm","1",""],["Weber","H 5","Ulm","1",""]]'

    async with Runtime(processes=1) as runtime:
        background = Background(runtime)
        assert len(await find_clusters(background, pages())) == 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(full_run, "MAX_PAIRS_EACH", 0)
            with pytest.raises(TooManyPairsError):
                await find_clusters(background, pages())


def _meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], Any]) -> None:
    """Let something happen when a run has compared all that it read."""
    find = find_clusters

    async def then(*arguments: Any) -> Any:
        found = await find(*arguments)
        await change()
        return found

    monkeypatch.setattr(job, "find_clusters", then)


async def test_a_run_leaves_what_was_entered_while_it_compared(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await add_user(database)
    old = await _added(database, 2)
    other = Draft("Rossi Marmi", street="Via 1", city="Verona", postcode="37100", country="IT")
    (edited,) = await _added(database, 1, other)
    entered: list[int] = []

    async def enter() -> None:
        async with Runtime(processes=1) as runtime:
            entered.extend(await _added(database, 1, other))
            async with database.transaction() as transaction:
                # Not as it was compared any more; its check says so.
                await suppliers.update(transaction, edited, other._replace(phone="+39 1"))
            found = await check(database, runtime, entered[0], within_s=100.0)
            assert found == ("suspected", [edited])

    _meanwhile(monkeypatch, enter)
    row = await _submitted(database, user)
    async with running(database, settings):
        over = await ended(database, row)
    assert over["state"] == "done", over["error"]
    groups = [
        [member["supplier_id"] for member in cluster["members"]]
        for cluster in await duplicates.page(database, "open", None, 10)
    ]
    assert sorted(groups) == [old, [edited, entered[0]]]
    for at in (edited, entered[0]):
        now = await suppliers.get(database, at)
        assert now is not None
        assert now["duplicate_check"] == "suspected"


async def test_a_run_that_lost_its_job_marks_nobody(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await add_user(database)
    await _added(database, 1)
    row = await _submitted(database, user)

    async def lose() -> None:
        async with database.transaction() as transaction:
            await transaction.execute(
                "UPDATE jobs SET attempts = attempts + 1 WHERE id = ?", (row,)
            )

    _meanwhile(monkeypatch, lose)
    refused: list[bool] = []

    async def handler(run: Any) -> dict[str, Any]:
        try:
            return await job.run_duplicates(run)
        except (NotYoursError, asyncio.CancelledError):  # by whichever it hears of it first
            refused.append(True)
            raise

    async with running(database, settings, {job.KIND: handler}):
        while not refused:
            await one(database, "SELECT count(*) FROM jobs")
    assert (
        await one(database, "SELECT count(*) FROM suppliers WHERE duplicate_check = 'clear'") == 0
    )


async def test_an_entry_that_became_clear_leaves_no_cluster(app: FastAPI) -> None:
    context = context_of(app)
    database = context.database
    first, second = await _added(database, 2)
    found = await check(database, context.runtime, second, within_s=100.0)
    assert found == ("suspected", [first])
    other = Draft("Rossi Marmi", street="Via 1", city="Verona", postcode="37100", country="IT")
    async with database.transaction() as transaction:
        await suppliers.update(transaction, second, other)
    assert await check(database, context.runtime, second, within_s=100.0) == ("clear", [])
    assert await duplicates.count(database, "open") == 0
    left = await suppliers.get(database, first)
    assert left is not None
    assert left["duplicate_check"] == "unchecked", "nothing is left that it is suspected for"


async def test_the_verdict_on_an_earlier_version_is_not_noted(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = context_of(app)
    database = context.database
    _, second = await _added(database, 2)
    candidates = duplicates.candidates

    async def while_it_changes(*arguments: Any) -> Any:
        found = await candidates(*arguments)
        async with database.transaction() as transaction:
            await suppliers.update(transaction, second, Draft("Rossi Marmi"))
        return found

    monkeypatch.setattr(duplicates, "candidates", while_it_changes)
    found = await check(database, context.runtime, second, within_s=100.0)
    assert found == ("unchecked", [])
    assert await duplicates.count(database, "open") == 0


async def test_who_was_changed_since_keeps_the_verdict(database: Database) -> None:
    before, after = await _added(database, 2)
    read_at_s = time.time() + 60
    async with database.transaction() as transaction:
        await transaction.execute(
            "UPDATE suppliers SET updated_at_s = ? WHERE id = ?", (read_at_s + 1, after)
        )
        await duplicates.mark(transaction, "clear", [before, after], read_at_s=read_at_s)
    rows = await suppliers.by_ids(database, [before, after])
    assert [row["duplicate_check"] for row in rows] == ["clear", "unchecked"]
