"""Logging in while there is no room for a password's check."""

import httpx
import pytest
from fastapi import FastAPI
from lanewise import OverloadedError

from supplyr.auth.passwords import Passwords
from supplyr.store import login_failures

from .people import add_user, context_of, log_in


async def test_a_password_that_was_not_looked_at_was_not_wrong(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So long that no wait is over before the test is, however slow the machine.
    monkeypatch.setattr(login_failures, "_FIRST_WAIT_S", 600.0)
    database = context_of(app).database
    await add_user(database)

    async def full(*_: object) -> bool:
        raise OverloadedError("full", retry_after_s=1.0)

    with monkeypatch.context() as overloaded:
        overloaded.setattr(Passwords, "holds", full)
        statuses = {
            (await log_in(client)).status_code for _ in range(login_failures.FREE_BY_ADDRESS + 2)
        }
    assert statuses == {503}
    rows = await database.fetch_all("SELECT failures, blocked_until_s FROM login_failures")
    assert {(row["failures"], row["blocked_until_s"]) for row in rows} == {(0, 0.0)}
    assert (await log_in(client)).status_code == 303


async def test_mistakes_are_still_counted_between_those_that_found_no_room(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_failures, "_FIRST_WAIT_S", 600.0)
    await add_user(context_of(app).database)

    async def full(*_: object) -> bool:
        raise OverloadedError("full", retry_after_s=1.0)

    for _ in range(login_failures.FREE_BY_ACCOUNT + 1):
        assert (await log_in(client, password="not the password")).status_code == 403
        with monkeypatch.context() as overloaded:
            overloaded.setattr(Passwords, "holds", full)
            await log_in(client)
    assert (await log_in(client)).status_code == 429


async def test_a_right_password_lets_in_where_there_is_no_room_to_hash_it_anew(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = context_of(app).database
    await add_user(database)

    async def full(*_: object) -> str:
        raise OverloadedError("full", retry_after_s=1.0)

    monkeypatch.setattr(Passwords, "hashed", full)
    monkeypatch.setattr(Passwords, "is_outdated", lambda *_: True)
    assert (await log_in(client)).status_code == 303
    assert await database.fetch_all("SELECT subject FROM login_failures WHERE failures > 0") == []
