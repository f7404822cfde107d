"""A job is taken as it is, not as it was when it was looked for."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from supplyr.db.database import Database, Parameters, Row, Transaction
from supplyr.jobs.submit import submit
from supplyr.store import jobs
from supplyr.store.job_life import Life, stop, take

from .jobs_support import add_user


class _Interrupted:
    """A transaction after whose first look somebody else does something."""

    def __init__(self, real: Transaction, then: Callable[[], Awaitable[None]]) -> None:
        self._real = real
        self._then: Callable[[], Awaitable[None]] | None = then

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def fetch_all(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        rows = await self._real.fetch_all(sql, parameters)
        then, self._then = self._then, None
        if then is not None:
            await then()
        return rows


async def test_a_job_that_was_cancelled_meanwhile_is_left_alone(database: Database) -> None:
    if database.dialect == "sqlite":
        pytest.skip("nobody else writes meanwhile")
    user = await add_user(database)
    first, second = [
        int((await submit(database, kind, user, "x", {}, None))[0]["id"]) for kind in "ab"
    ]

    async def cancel() -> None:
        async with database.transaction() as transaction:
            assert (await jobs.ask_cancel(transaction, first)).state == "cancelled"

    async with database.transaction() as transaction:
        interrupted: Any = _Interrupted(transaction, cancel)
        held = await jobs.take(interrupted, ("a", "b"), "r", 1e12, 10.0)
    assert held is not None
    assert held.id == second, "the next one is taken in its place"
    row = await jobs.get(database, first)
    assert row is not None
    assert (row["state"], row["attempts"]) == ("cancelled", 0)
    assert row["cancel_asked_at_s"] is not None
    assert row["finished_at_s"] is not None


def test_a_job_that_the_servers_end_stopped_says_so() -> None:
    life = take(Life(), "a", 0.0, 10.0)
    stopped = stop(life, "a", life.attempt)
    assert stopped.state == "queued"
    assert stopped.error is not None
    assert "stopped" in stopped.error
    assert stop(Life(state="running", attempt=1, lease_owner="a", cancel_asked=True), "a", 1) == (
        Life(state="cancelled", attempt=1, cancel_asked=True)
    )
