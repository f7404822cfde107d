"""The ranking that nobody asks for: when it is due, and that it is a job like any other."""

import asyncio
import time
from dataclasses import replace

import pytest

from supplyr.__main__ import main
from supplyr.db.database import Database
from supplyr.db.opening import opened
from supplyr.jobs import ranking, ranking_schedule
from supplyr.jobs.ranking_schedule import rank_if_due
from supplyr.seeding import seed_directory
from supplyr.settings import Settings, SettingsError
from supplyr.store import jobs, suppliers
from supplyr.store.jobs import NewJob
from supplyr.web.app import create_app

from .jobs_support import ended
from .people import add_user, context_of, log_in, serving

_DAY_S = 86_400.0


async def _state(database: Database, job: int, state: str, added_at_s: float) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(
            "UPDATE jobs SET state = ?, created_at_s = ? WHERE id = ?", (state, added_at_s, job)
        )


async def test_a_ranking_is_asked_for_once_and_again_when_it_is_old(database: Database) -> None:
    now = time.time()
    first = await rank_if_due(database, _DAY_S, now)
    assert first is not None
    row = await jobs.get(database, first)
    assert row is not None
    assert (row["kind"], row["state"], row["owner_id"]) == (ranking.KIND, "queued", None)
    entries = await database.fetch_all("SELECT actor, action, subject FROM audit_entries")
    assert [tuple(entry.values()) for entry in entries] == [
        ("system", "job.ranking", f"job:{first}")
    ]
    # However old: while it is to be done, there is no other.
    await _state(database, first, "running", now - 9 * _DAY_S)
    assert await rank_if_due(database, _DAY_S, now) is None
    for state in ("done", "failed", "cancelled"):
        await _state(database, first, state, now - 0.9 * _DAY_S)
        assert await rank_if_due(database, _DAY_S, now) is None, state
    await _state(database, first, "done", now - _DAY_S)
    second = await rank_if_due(database, _DAY_S, now)
    assert second is not None
    assert second != first


async def test_one_that_somebody_asked_for_counts(database: Database) -> None:
    async with database.transaction() as transaction:
        await jobs.add(transaction, NewJob(ranking.KIND, None, {}))
    assert await rank_if_due(database, _DAY_S, time.time()) is None


async def test_many_servers_ask_for_one(settings: Settings) -> None:
    async with opened(settings) as first, opened(settings) as second:
        now = time.time()
        found = await asyncio.gather(
            *(rank_if_due(database, _DAY_S, now) for database in (first, second) * 5)
        )
        assert len([job for job in found if job is not None]) == 1


async def test_a_server_ranks_by_itself_and_administrators_see_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking_schedule, "LOOK_EVERY_S", 0.01)
    async with opened(settings) as database:
        await seed_directory(database, 40)
        async with database.transaction() as transaction:
            await transaction.execute("UPDATE suppliers SET ranking_score = 0")
    async with serving(replace(settings, rank_every_hours=24.0)) as (app, client):
        database = context_of(app).database
        while not (rows := await jobs.latest(database, None, None, 10)):
            await asyncio.sleep(0.01)
        row = await ended(database, rows[0]["id"])
        assert row["state"] == "done"
        best = await database.fetch_one("SELECT min(ranking_score) AS least FROM suppliers")
        assert best is not None
        assert best["least"] > 0
        await add_user(database, "root@example.org", "admin")
        await log_in(client, "root@example.org")
        assert "Ranking" in (await client.get(f"/jobs/{row['id']}")).text
        assert len(await jobs.latest(database, None, None, 10)) == 1


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
async def test_settings_leave_it_out(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asyncio.Event()

    async def noted(*_: object) -> None:
        asked.set()

    monkeypatch.setattr(ranking_schedule, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(ranking_schedule, "rank_if_due", noted)
    ranks = replace(settings, rank_every_hours=24.0)
    for left_out in ({"rank_every_hours": 0.0}, {"run_jobs": False}):
        app = create_app(replace(ranks, **left_out))
        async with app.router.lifespan_context(app):
            await suppliers.count_active(context_of(app).database)
            assert not asked.is_set()
    app = create_app(ranks)
    async with app.router.lifespan_context(app):
        await asked.wait()


def test_how_often_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("-1", "nan", "9000"):
        monkeypatch.setenv("SUPPLYR_RANK_EVERY_HOURS", value)
        assert main(["migrate"]) == 2
    with pytest.raises(SettingsError, match="RANK_EVERY_HOURS"):
        Settings(rank_every_hours=float("inf"))
