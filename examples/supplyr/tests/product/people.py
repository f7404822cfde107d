"""Accounts and logins for tests."""

import contextlib
import re
from collections.abc import AsyncGenerator

import httpx
from fastapi import FastAPI

from supplyr.accounts import hash_password
from supplyr.auth import keys
from supplyr.db.database import Database
from supplyr.settings import Settings
from supplyr.store import users
from supplyr.store.users import Role
from supplyr.web.app import create_app
from supplyr.web.context import STATE_KEY, Context

PASSWORD = "a long enough password"


@contextlib.asynccontextmanager
async def serving(settings: Settings) -> AsyncGenerator[tuple[FastAPI, httpx.AsyncClient]]:
    """Yield an app of these settings that runs, and somebody who speaks with it."""
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://supplyr.test"
        ) as client,
    ):
        yield app, client


def context_of(app: FastAPI) -> Context:
    context = getattr(app.state, STATE_KEY)
    assert isinstance(context, Context)
    return context


async def add_user(
    database: Database, email: str = "ada@example.org", role: Role = "writer"
) -> int:
    async with database.transaction() as transaction:
        return await users.add(transaction, email, "Ada", hash_password(PASSWORD, 64), role)


async def key_of(database: Database, user_id: int) -> dict[str, str]:
    """Return the headers of a program with a new key."""
    async with database.transaction() as transaction:
        made = await keys.make_key(transaction, user_id, "test")
    return {"authorization": f"Bearer {made.key}"}


async def form_token(client: httpx.AsyncClient, path: str) -> str:
    page = await client.get(path)
    match = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert match is not None, page.text
    return match.group(1)


async def log_in(
    client: httpx.AsyncClient,
    email: str = "ada@example.org",
    password: str = PASSWORD,
    target: str = "/",
) -> httpx.Response:
    token = await form_token(client, "/login")
    form = {"email": email, "password": password, "csrf_token": token, "next": target}
    return await client.post("/login", data=form)
