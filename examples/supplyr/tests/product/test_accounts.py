"""Logging in, sessions, keys, form tokens; and those who try to get around them."""

import asyncio
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI

from supplyr.auth.rate_limit import RateLimiter
from supplyr.db.database import Database
from supplyr.settings import Settings
from supplyr.store import login_failures, users
from supplyr.web.identity import SESSION_COOKIE
from supplyr.web.pages.account import safe_target

from .people import PASSWORD, add_user, context_of, form_token, key_of, log_in


async def test_a_login_lets_in_and_a_logout_ends_it(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    await add_user(context_of(app).database)
    answer = await log_in(client, target="/account")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    token = client.cookies[SESSION_COOKIE]
    assert (await client.get("/account")).status_code == 200
    await client.post("/logout", data={"csrf_token": await form_token(client, "/account")})
    client.cookies.set(SESSION_COOKIE, token, domain="supplyr.test")
    answer = await client.get("/account")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Faccount")


async def test_cookies_are_for_https_alone_where_that_is_set(
    settings: Settings,
) -> None:
    from supplyr.web.app import create_app

    app = create_app(replace(settings, cookie_secure=True))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://x.test") as client:
            answer = await client.get("/login")
    assert "; secure" in answer.headers["set-cookie"].lower()
    assert "max-age" in answer.headers["strict-transport-security"]


async def test_wrong_passwords_and_unknown_addresses_look_the_same(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    await add_user(context_of(app).database)
    answers = [
        await log_in(client, password="not the password"),
        await log_in(client, email="nobody@example.org"),
        await log_in(client, password=""),
        await log_in(client, email="", password=""),
    ]
    assert {answer.status_code for answer in answers} == {403}
    assert SESSION_COOKIE not in client.cookies
    texts = {answer.text.partition("<main")[2].partition("csrf_token")[0] for answer in answers}
    assert len(texts) == 1


async def test_a_session_that_was_planted_is_not_taken_over(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    await add_user(context_of(app).database)
    client.cookies.set(SESSION_COOKIE, "planted-by-somebody", domain="supplyr.test")
    await log_in(client)
    tokens = {cookie.value or "" for cookie in client.cookies.jar if cookie.name == SESSION_COOKIE}
    assert tokens
    first = next(iter(tokens - {"planted-by-somebody"}))
    client.cookies.clear()
    client.cookies.set(SESSION_COOKIE, "planted-by-somebody", domain="supplyr.test")
    assert (await client.get("/account")).status_code == 303
    # And a second login ends the session of the first.
    client.cookies.clear()
    client.cookies.set(SESSION_COOKIE, first, domain="supplyr.test")
    answer = await client.get("/login")
    assert answer.status_code == 303


async def test_forms_without_their_token_are_refused(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    await add_user(context_of(app).database)
    form = {"email": "ada@example.org", "password": PASSWORD}
    assert (await client.post("/login", data=form)).status_code == 403
    await log_in(client)
    for form in ({}, {"csrf_token": ""}, {"csrf_token": "made-up"}):
        for path in ("/account/keys", "/suppliers/new", "/logout"):
            answer = await client.post(path, data={"label": "x", "name": "x", **form})
            assert answer.status_code == 403, path
    # Somebody else's token is none either.
    other = await form_token(client, "/account")
    await add_user(context_of(app).database, "eve@example.org")
    client.cookies.clear()
    await log_in(client, "eve@example.org")
    answer = await client.post("/account/keys", data={"label": "x", "csrf_token": other})
    assert answer.status_code == 403


async def test_guessing_is_slowed_down_even_when_all_guesses_come_at_once(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So long that no wait is over before the test is, however slow the machine.
    monkeypatch.setattr(login_failures, "_FIRST_WAIT_S", 600.0)
    context = context_of(app)
    await add_user(context.database)
    token = await form_token(client, "/login")

    async def guess(number: int) -> int:
        form = {"email": "ADA@example.org", "password": f"guess {number}", "csrf_token": token}
        return (await client.post("/login", data=form)).status_code

    statuses = await asyncio.gather(*(guess(number) for number in range(20)))
    # The first mistakes are free, and the one after them begins the wait.
    assert statuses.count(403) <= login_failures.FREE_BY_ACCOUNT + 1
    assert statuses.count(429) >= 20 - login_failures.FREE_BY_ACCOUNT - 1
    # A guess for which there was no room was not looked at, so the wait may have to be begun yet.
    for number in range(20, 20 + statuses.count(503)):
        await guess(number)
    answer = await log_in(client)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


async def test_the_wait_is_over_some_time_and_a_right_password_ends_the_count(
    database: Database,
) -> None:
    now = 1_000_000.0
    subject, free = "account:x", 2
    async with database.transaction() as transaction:
        for _ in range(3):
            assert (await login_failures.begin(transaction, subject, free, now)).allowed
        blocked = await login_failures.begin(transaction, subject, free, now)
        assert not blocked.allowed
        later = now + blocked.wait_s + 0.1
        assert (await login_failures.begin(transaction, subject, free, later)).allowed
        again = await login_failures.begin(transaction, subject, free, later + 0.1)
        assert again.wait_s > blocked.wait_s
        await login_failures.forget(transaction, subject)
        assert (await login_failures.begin(transaction, subject, free, later + 0.2)).allowed


def test_waits_double_up_to_a_quarter_of_an_hour() -> None:
    waits = [login_failures.wait_after(failures, 5) for failures in range(40)]
    assert waits[:6] == [0.0] * 6
    assert waits[6:9] == [2.0, 4.0, 8.0]
    assert waits[-1] == 900.0


async def test_keys_let_programs_in_until_they_are_revoked(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    context = context_of(app)
    user_id = await add_user(context.database)
    headers = await key_of(context.database, user_id)
    draft = {"name": "By a program"}
    answer = await client.post("/api/v1/suppliers", json=draft, headers=headers)
    assert answer.status_code == 201
    for wrong in ("Bearer sk_nothing", "Bearer ", "Basic abc", headers["authorization"] + "x"):
        answer = await client.post(
            "/api/v1/suppliers", json=draft, headers={"authorization": wrong}
        )
        assert answer.status_code == 401, wrong
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await client.post("/api/v1/suppliers", json=draft)).status_code == 401
    async with context.database.transaction() as transaction:
        await transaction.execute("UPDATE api_keys SET revoked_at_s = 1")
    answer = await client.post("/api/v1/suppliers", json=draft, headers=headers)
    assert answer.status_code == 401


async def test_secrets_are_not_in_the_database(app: FastAPI, client: httpx.AsyncClient) -> None:
    database = context_of(app).database
    user_id = await add_user(database)
    key = (await key_of(database, user_id))["authorization"].removeprefix("Bearer ")
    await log_in(client)
    token = client.cookies[SESSION_COOKIE]
    for table in ("users", "sessions", "api_keys", "audit_entries"):
        told = repr(await database.fetch_all(f"SELECT * FROM {table}"))  # noqa: S608
        for secret in (PASSWORD, key, token):
            assert secret not in told


async def test_a_key_is_made_on_the_account_page_and_shown_once(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    await add_user(context_of(app).database)
    await log_in(client)
    form = {"label": "<b>nightly</b>", "csrf_token": await form_token(client, "/account")}
    page = (await client.post("/account/keys", data=form)).text
    assert "sk_" in page
    assert "&lt;b&gt;nightly" in page
    key = page.partition('class="key">')[2].partition("<")[0]
    answer = await client.post(
        "/api/v1/suppliers", json={"name": "x"}, headers={"authorization": f"Bearer {key}"}
    )
    assert answer.status_code == 201
    assert key not in (await client.get("/account")).text


async def test_a_changed_password_ends_other_sessions(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    await add_user(context_of(app).database)
    await log_in(client)
    elsewhere = client.cookies[SESSION_COOKIE]
    client.cookies.clear()
    await log_in(client)
    new = "another long password"
    token = await form_token(client, "/account")
    form = {"old": "wrong", "new": new, "csrf_token": token}
    assert (await client.post("/account/password", data=form)).status_code == 403
    form["old"], form["new"] = PASSWORD, "short"
    assert (await client.post("/account/password", data=form)).status_code == 422
    form["new"] = new
    assert (await client.post("/account/password", data=form)).status_code == 200
    assert (await client.get("/account")).status_code == 200
    client.cookies.clear()
    client.cookies.set(SESSION_COOKIE, elsewhere, domain="supplyr.test")
    assert (await client.get("/account")).status_code == 303
    client.cookies.clear()
    assert (await log_in(client, password=new)).status_code == 303


async def test_writers_are_no_administrators(app: FastAPI, client: httpx.AsyncClient) -> None:
    database = context_of(app).database
    await add_user(database)
    await log_in(client)
    assert (await client.get("/admin")).status_code == 403
    assert (await client.get("/lanes/")).status_code == 403
    await add_user(database, "root@example.org", "admin")
    client.cookies.clear()
    assert (await client.get("/lanes/")).status_code == 303
    await log_in(client, "root@example.org")
    assert (await client.get("/admin")).status_code == 200
    assert "lanewise" in (await client.get("/lanes/")).text


async def test_who_is_disabled_is_out_at_once(app: FastAPI, client: httpx.AsyncClient) -> None:
    database = context_of(app).database
    user_id = await add_user(database)
    headers = await key_of(database, user_id)
    await log_in(client)
    async with database.transaction() as transaction:
        await users.set_disabled(transaction, user_id, disabled=True)
    assert (await client.get("/account")).status_code == 303
    answer = await client.post("/api/v1/suppliers", json={"name": "x"}, headers=headers)
    assert answer.status_code == 401
    client.cookies.clear()
    assert (await log_in(client)).status_code == 403


async def test_who_asks_too_often_is_told_when_to_come_again(
    settings: Settings,
) -> None:
    from supplyr.web.app import create_app

    app = create_app(replace(settings, search_per_minute=1))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://supplyr.test"
        ) as client,
    ):
        statuses = [(await client.get("/api/v1/codes")).status_code for _ in range(7)]
        answer = await client.get("/api/v1/codes")
    assert statuses[:5] == [200] * 5
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_bucket_fills_up_with_time() -> None:
    now = [0.0]
    limiter = RateLimiter(lambda: now[0])
    assert [limiter.taken("a", 60) for _ in range(10)] == [0.0] * 10
    assert limiter.taken("a", 60) == pytest.approx(1.0)
    assert limiter.taken("b", 60) == 0.0
    now[0] = 1.0
    assert limiter.taken("a", 60) == 0.0
    assert limiter.taken("a", 60) > 0


@pytest.mark.parametrize(
    ("target", "safe"),
    [
        ("/account", "/account"),
        ("/search?q=a&b=c", "/search?q=a&b=c"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nset-cookie: x=y", "/"),
        ("", "/"),
    ],
)
def test_a_login_leads_to_pages_of_ours_alone(target: str, safe: str) -> None:
    assert safe_target(target) == safe
