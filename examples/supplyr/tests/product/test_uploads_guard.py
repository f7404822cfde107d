"""Who may send files, how many at once, and what is left of those that are refused."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from lanewise import OverloadedError

from supplyr.settings import Settings
from supplyr.store import suppliers
from supplyr.web import work
from supplyr.web.guards.known_senders import AT_ONCE

from .jobs_support import supplier_csv
from .people import add_user, context_of, key_of, log_in, serving

_HEAD = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nName,Country\r\n'
)
_MULTIPART = {"content-type": "multipart/form-data; boundary=b"}
_PATHS = (
    "/api/v1/uploads",
    "/imports",
    "/api/v1/suppliers/1/images",
    "/suppliers/1/images",
)


class _Body:
    """A multipart body that tells what was taken of it, and goes on when it is told to."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def pieces(self) -> AsyncIterator[bytes]:
        self.begun.set()
        yield _HEAD
        await self.may_end.wait()
        yield b"Weber,DE\r\n--b--\r\n"


_UNKNOWN: tuple[dict[str, str], ...] = (
    {},
    {"authorization": "Bearer sk_guessed"},
    {"cookie": "supplyr_session=x"},
)


@pytest.mark.parametrize("headers", _UNKNOWN, ids=["nobody", "key", "session"])
async def test_nothing_is_read_of_a_file_whose_sender_is_unknown(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    for path in _PATHS:
        body = _Body()
        answer = await client.post(path, content=body.pieces(), headers={**_MULTIPART, **headers})
        assert answer.status_code == 401, path
        assert answer.headers["connection"] == "close"
        assert not body.begun.is_set(), "a body was read before its sender was known"
        kind = "application/problem+json" if path.startswith("/api") else "text/html"
        assert answer.headers["content-type"].startswith(kind)


async def test_who_sends_too_often_is_told_before_anything_is_read(settings: Settings) -> None:
    async with serving(replace(settings, write_per_minute=1)) as (app, client):
        database = context_of(app).database
        headers = {**_MULTIPART, **await key_of(database, await add_user(database))}
        # A bucket holds five. Each request is counted once, by the guard or by its route.
        statuses = []
        for _ in range(5):
            answer = await client.post("/api/v1/uploads", content=b"--b--\r\n", headers=headers)
            statuses.append(answer.status_code)
        assert set(statuses) <= {400, 422}
        body = _Body()
        answer = await client.post("/api/v1/uploads", content=body.pieces(), headers=headers)
        assert (answer.status_code, body.begun.is_set()) == (429, False)
        assert int(answer.headers["retry-after"]) >= 1


async def test_an_account_sends_some_files_at_once_and_no_more(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    database = context_of(app).database
    headers = {**_MULTIPART, **await key_of(database, await add_user(database))}
    other = {**_MULTIPART, **await key_of(database, await add_user(database, "o@example.org"))}
    bodies = [_Body() for _ in range(AT_ONCE + 2)]

    async def send(body: _Body, sender: dict[str, str]) -> int:
        answer = await client.post("/api/v1/uploads", content=body.pieces(), headers=sender)
        return answer.status_code

    sending = [asyncio.create_task(send(body, headers)) for body in bodies[:AT_ONCE]]
    for body in bodies[:AT_ONCE]:
        await body.begun.wait()
    assert await send(bodies[AT_ONCE], headers) == 429
    assert not bodies[AT_ONCE].begun.is_set()
    # Somebody else is not kept waiting, and there is room again when one has ended.
    bodies[AT_ONCE + 1].may_end.set()
    assert await send(bodies[AT_ONCE + 1], other) == 201
    for body in bodies:
        body.may_end.set()
    assert await asyncio.gather(*sending) == [201] * AT_ONCE
    assert await send(bodies[AT_ONCE], headers) == 201


async def test_a_form_of_somebody_logged_in_still_needs_its_token(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    await add_user(context_of(app).database)
    await log_in(client)
    answer = await client.post("/imports", files={"file": ("a.csv", b"Name,Country\nWeber,DE\n")})
    assert answer.status_code == 403


def _kept(settings: Settings) -> list[Path]:
    folder = settings.data_dir / "uploads"
    return list(folder.iterdir()) if folder.is_dir() else []


async def test_nothing_is_kept_of_a_file_for_which_there_was_no_room(
    app: FastAPI, client: httpx.AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = context_of(app).database
    headers = await key_of(database, await add_user(database))

    async def full(*_: object) -> None:
        assert len(_kept(settings)) == 1
        raise OverloadedError("full", retry_after_s=1.0)

    monkeypatch.setattr(work, "_preview", full)
    files = {"file": ("a.csv", supplier_csv(3))}
    answer = await client.post("/api/v1/uploads", files=files, headers=headers)
    assert answer.status_code == 503
    assert _kept(settings) == []


async def test_nothing_is_kept_of_a_file_whose_sender_has_left(
    app: FastAPI, client: httpx.AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = context_of(app).database
    headers = await key_of(database, await add_user(database))
    looking = asyncio.Event()

    async def for_ever(*_: object) -> None:
        looking.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(work, "_preview", for_ever)
    files = {"file": ("a.csv", supplier_csv(3))}
    task = asyncio.create_task(client.post("/api/v1/uploads", files=files, headers=headers))
    await looking.wait()
    assert len(_kept(settings)) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert _kept(settings) == []


async def test_uploads_of_an_account_have_a_quota(settings: Settings) -> None:
    async with serving(replace(settings, upload_quota_bytes=500)) as (app, client):
        database = context_of(app).database
        headers = await key_of(database, await add_user(database))
        files = {"file": ("a.csv", supplier_csv(10))}
        first = await client.post("/api/v1/uploads", files=files, headers=headers)
        assert first.status_code == 201, first.text
        again = await client.post("/api/v1/uploads", files=files, headers=headers)
        assert (again.status_code, again.json()["type"]) == (409, "urn:supplyr:problem:quota")
        assert len(_kept(settings)) == 1


async def test_jobs_of_an_account_are_bounded_but_the_same_one_comes_again(
    settings: Settings,
) -> None:
    async with serving(replace(settings, jobs_per_user=2, run_jobs=False)) as (app, client):
        database = context_of(app).database
        async with database.transaction() as transaction:
            await suppliers.create(transaction, suppliers.Draft("Weber"))
        headers = await key_of(database, await add_user(database))

        async def run(key: str) -> httpx.Response:
            named = {**headers, "idempotency-key": key}
            return await client.post("/api/v1/duplicate-runs", json={}, headers=named)

        assert [(await run(key)).status_code for key in ("a", "b")] == [202, 202]
        refused = await run("c")
        assert (refused.status_code, refused.json()["type"]) == (429, "urn:supplyr:problem:jobs")
        assert (await run("a")).status_code == 202
        other = await key_of(database, await add_user(database, "o@example.org"))
        answer = await client.post("/api/v1/duplicate-runs", json={}, headers=other)
        assert answer.status_code == 202
        cancelled = await client.post("/api/v1/jobs/1/cancel", headers=headers)
        assert cancelled.status_code == 202
        assert (await run("c")).status_code == 202
        told = await database.fetch_all("SELECT action FROM audit_entries ORDER BY number")
        assert "job.cancel" in [row["action"] for row in told]
