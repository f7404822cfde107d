"""Jobs in both databases: taken once, held by one, added once."""

import asyncio
import os

import pytest

from supplyr.db.database import ConflictError, Database
from supplyr.jobs.owner import is_gone, this_owner
from supplyr.jobs.submit import submit
from supplyr.store import job_records, jobs
from supplyr.store.job_life import NotYoursError
from supplyr.store.jobs import Held, KeyUsedError

from .jobs_support import add_user, one

LEASE_S = 10.0


async def _take(database: Database, owner: str, now_s: float, *kinds: str) -> Held | None:
    async with database.transaction() as transaction:
        return await jobs.take(transaction, kinds or ("a", "b"), owner, now_s, LEASE_S)


async def _add(database: Database, user: int, kind: str = "a", key: str | None = None) -> int:
    row, _ = await submit(database, kind, user, f"user:{user}", {"n": 1}, key)
    return int(row["id"])


async def test_the_same_key_is_the_same_job(database: Database) -> None:
    user = await add_user(database)
    first = await _add(database, user, key="k")
    assert await _add(database, user, key="k") == first
    assert await _add(database, user, "b", key="k") != first
    other = await add_user(database, "other@example.org")
    assert await _add(database, other, key="k") != first
    with pytest.raises(KeyUsedError):
        await submit(database, "a", user, "x", {"n": 2}, "k")
    assert await one(database, "SELECT count(*) FROM jobs") == 3


async def test_the_same_key_at_the_same_moment_is_the_same_job(database: Database) -> None:
    user = await add_user(database)
    found = await asyncio.gather(*(_add(database, user, key="k") for _ in range(8)))
    assert len(set(found)) == 1
    assert await one(database, "SELECT count(*) FROM audit_entries") == 1


async def test_one_job_of_a_kind_runs_at_a_time(database: Database) -> None:
    user = await add_user(database)
    first, second, other = [await _add(database, user, kind) for kind in "aab"]
    taken = await asyncio.gather(*(_take(database, f"r{n}", 100.0) for n in range(6)))
    held = [one for one in taken if one is not None]
    assert sorted(one.id for one in held) == [first, other]
    async with database.transaction() as transaction:
        await jobs.finish(transaction, next(h for h in held if h.kind == "a"), {"x": 1})
    again = await _take(database, "r", 101.0)
    assert again is not None
    assert again.id == second


async def test_who_lost_a_job_can_change_nothing(database: Database) -> None:
    user = await add_user(database)
    job = await _add(database, user)
    old = await _take(database, "old", 100.0)
    assert old is not None
    async with database.transaction() as transaction:
        assert await jobs.release_lost(transaction, 105.0) == []
    async with database.transaction() as transaction:
        assert await jobs.release_lost(transaction, 100.0 + LEASE_S) == [job]
    new = await _take(database, "new", 111.0)
    assert new is not None
    assert (new.id, new.attempt) == (job, old.attempt + 1)

    async def refused(change: object) -> None:
        with pytest.raises(NotYoursError):
            async with database.transaction() as transaction:
                await change(transaction)  # type: ignore[operator]  # made below

    await refused(lambda t: jobs.finish(t, old, {}))
    await refused(lambda t: jobs.fail(t, old, "no", for_good=True))
    await refused(lambda t: jobs.stop(t, old))
    await refused(lambda t: jobs.renew(t, old, 112.0, LEASE_S))
    await refused(lambda t: jobs.check_held(t, old))
    async with database.transaction() as transaction:
        await jobs.finish(transaction, new, {})
    attempts = await job_records.attempts_of(database, job)
    assert [attempt["outcome"] for attempt in attempts] == ["lost", "done"]


async def test_a_step_is_done_once(database: Database) -> None:
    user = await add_user(database)
    await _add(database, user)
    held = await _take(database, "r", 100.0)
    assert held is not None

    async def do() -> None:
        async with database.transaction() as transaction:
            await job_records.add_row_errors(transaction, held.id, [(2, "name", "x")], 1)
            await job_records.add_step(transaction, held, "one", {"n": 1})

    await do()
    with pytest.raises(ConflictError):
        await do()
    row = await jobs.get(database, held.id)
    assert row is not None
    assert row["rows_rejected"] == 1
    assert await job_records.steps_done(database, held.id) == {"one": {"n": 1}}


async def test_asking_for_the_end_of_a_job(database: Database) -> None:
    user = await add_user(database)
    running, queued = await _add(database, user), await _add(database, user)
    held = await _take(database, "r", 100.0)
    assert held is not None
    async with database.transaction() as transaction:
        assert (await jobs.ask_cancel(transaction, queued)).state == "cancelled"
        assert (await jobs.ask_cancel(transaction, running)).state == "running"
    async with database.transaction() as transaction:
        await jobs.end_cancelled(transaction, held)
    row = await jobs.get(database, running)
    assert row is not None
    assert row["state"] == "cancelled"
    async with database.transaction() as transaction:
        assert (await jobs.ask_cancel(transaction, running)).state == "cancelled"


async def test_this_process_is_not_gone_and_others_are_told_apart() -> None:
    owner = this_owner()
    assert not is_gone(owner)
    place, pid, started, rest = owner.split(":")
    assert is_gone(f"{place}:{pid}:{int(started) + 1}:{rest}")  # a later process of that number
    assert not is_gone(f"elsewhere:{pid}:1:{rest}")
    assert not is_gone("nonsense")
    assert int(pid) == os.getpid()
