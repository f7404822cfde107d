"""HEAD, OPTIONS, wrong methods, and requests for what is known already."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import StreamingResponse
from starlette.types import Message

from supplyr.seeding import seed_directory
from supplyr.web.guards.methods import Methods

from .people import add_user, context_of, log_in


@pytest.fixture
async def filled(app: FastAPI) -> list[int]:
    """The ids of a small directory."""
    return (await seed_directory(context_of(app).database, 40)).ids


async def test_head_is_get_without_the_body(
    app: FastAPI, client: httpx.AsyncClient, filled: list[int]
) -> None:
    await add_user(context_of(app).database, "root@example.org", "admin")
    await log_in(client, "root@example.org")
    for path in (
        "/",
        f"/suppliers/{filled[0]}",
        "/imports",
        "/jobs",
        "/duplicates",
        "/account",
        "/api",
        "/healthz",
        "/lanes/",
        f"/api/v1/suppliers/{filled[0]}",
        "/suppliers/999999",
    ):
        got, head = await client.get(path), await client.head(path)
        assert head.status_code == got.status_code, path
        assert head.content == b"", path
        assert head.headers["content-type"] == got.headers["content-type"], path
    got, head = (
        await client.get(f"/api/v1/suppliers/{filled[0]}"),
        await client.head(f"/api/v1/suppliers/{filled[0]}"),
    )
    assert head.headers["content-length"] == str(len(got.content))
    # A stream's end is not waited for: there is no length to tell.
    export = await client.head("/api/v1/exports/suppliers.csv")
    assert (export.status_code, export.content) == (200, b"")


async def test_methods_that_an_address_takes_are_told(client: httpx.AsyncClient) -> None:
    for path, allowed in (
        ("/search", "GET, HEAD, OPTIONS"),
        ("/login", "GET, HEAD, OPTIONS, POST"),
        ("/api/v1/suppliers", "GET, HEAD, OPTIONS, POST"),
        ("/api/v1/suppliers/7", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("/logout", "OPTIONS, POST"),
    ):
        answer = await client.options(path)
        assert (answer.status_code, answer.headers["allow"]) == (204, allowed), path
        refused = await client.request("PATCH", path)
        assert (refused.status_code, refused.headers["allow"]) == (405, allowed), path
    assert (await client.head("/logout")).status_code == 405
    assert (await client.options("/nothing")).status_code == 404


async def test_a_head_request_ends_what_streams() -> None:
    gone = asyncio.Event()
    router = APIRouter()

    async def endless() -> Any:
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0)
        finally:
            gone.set()

    @router.get("/endless")
    async def stream() -> StreamingResponse:
        return StreamingResponse(endless())

    app = FastAPI()
    app.include_router(router)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    scope: dict[str, Any] = {
        "type": "http", "asgi": {"spec_version": "2.3"}, "method": "HEAD", "path": "/endless",
        "raw_path": b"/endless", "query_string": b"", "headers": [], "root_path": "",
        "scheme": "http", "server": None, "client": None, "http_version": "1.1",
    }  # fmt: skip
    await Methods(app, routers=[router])(scope, receive, send)
    await gone.wait()
    assert [message.get("body") for message in sent] == [None, b""]
    assert sent[-1]["more_body"] is False


async def test_whoever_has_it_already_is_told_so(
    app: FastAPI, client: httpx.AsyncClient, filled: list[int]
) -> None:
    path = f"/api/v1/suppliers/{filled[0]}"
    style = (await client.get("/")).text.partition('rel="stylesheet" href="')[2].partition('"')[0]
    for address in (path, style):
        first = await client.get(address)
        tag = first.headers["etag"]
        for sent in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = await client.get(address, headers={"if-none-match": sent})
            assert (again.status_code, again.content) == (304, b""), sent
            assert again.headers["etag"] == tag
        for sent in ('"other"', tag[:-2] + '"', ""):
            changed = await client.get(address, headers={"if-none-match": sent})
            assert (changed.status_code, changed.content) == (200, first.content), sent
    tag = (await client.get(path)).headers["etag"]
    async with context_of(app).database.transaction() as transaction:
        await transaction.execute("UPDATE suppliers SET name = 'Other' WHERE id = ?", (filled[0],))
    assert (await client.get(path, headers={"if-none-match": tag})).status_code == 200
