"""Requests that nobody sends by mistake: each is answered for what it is, and none by a 500."""

import io
import json

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image

from supplyr.store import suppliers

from .people import add_user, context_of, form_token, key_of, log_in

_LONG = "9" * 5000  # more digits than Python reads
_HUGE = "1" + "0" * 30  # more than a database holds


def _multipart(fields: dict[str, bytes], charset: str) -> tuple[bytes, dict[str, str]]:
    """Return a form whose sender says in which character set its texts are."""
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)
        for name, value in fields.items()
    ]
    kind = f"multipart/form-data; boundary=b; charset={charset}"
    return b"".join(parts) + b"--b--\r\n", {"content-type": kind}


@pytest.fixture
async def admin(app: FastAPI, client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A browser in which an administrator is logged in."""
    await add_user(context_of(app).database, "root@example.org", "admin")
    await log_in(client, "root@example.org")
    return client


async def test_texts_that_no_database_keeps_are_refused_at_the_login(
    client: httpx.AsyncClient,
) -> None:
    token = await form_token(client, "/login")
    for field in ("email", "next"):
        form = {"csrf_token": token, "password": "x", field: "a\x00b"}
        assert (await client.post("/login", data=form)).status_code == 422, field


async def test_a_form_token_that_is_no_text_is_refused(client: httpx.AsyncClient) -> None:
    await form_token(client, "/login")
    body, headers = _multipart({"csrf_token": rb"\ud800"}, "raw_unicode_escape")
    answer = await client.post("/login", content=body, headers=headers)
    assert answer.status_code == 403


_PATHS = (
    f"/suppliers/{_LONG}",
    f"/suppliers/{_LONG}/edit",
    f"/api/v1/suppliers/{_LONG}",
    f"/api/v1/suppliers/{_LONG}/products",
    f"/api/v1/suppliers/{_LONG}/images",
    f"/api/v1/jobs/{_LONG}",
    f"/images/{_LONG}/small",
)


async def test_numbers_of_any_length_are_no_suppliers(client: httpx.AsyncClient) -> None:
    for path in _PATHS:
        for method in ("GET", "HEAD", "OPTIONS", "POST"):
            answer = await client.request(method, path)
            assert 400 <= answer.status_code < 500 or answer.status_code == 204, (method, path[:30])


async def test_numbers_that_no_row_has_are_refused(admin: httpx.AsyncClient) -> None:
    token = {"csrf_token": await form_token(admin, "/account")}
    for path in (
        f"/account/keys/{_HUGE}/revoke",
        f"/admin/users/{_HUGE}/disable",
        f"/admin/users/{_HUGE}/enable",
        f"/duplicates/{_HUGE}",
        f"/jobs/{_HUGE}/cancel",
        f"/suppliers/1/images/{_HUGE}/delete",
    ):
        assert (await admin.post(path, data=token)).status_code == 422, path
    form = {**token, "kind": "products", "supplier_id": "9" * 20}
    files = {"file": ("a.csv", b"Article,Description,Price\nA-1,Bar,5\n")}
    assert (await admin.post("/imports", data=form, files=files)).status_code == 422


async def test_texts_of_other_forms_are_looked_at_too(
    app: FastAPI, admin: httpx.AsyncClient
) -> None:
    token = await form_token(admin, "/account")
    answer = await admin.post("/account/keys", data={"csrf_token": token, "label": "a\x00b"})
    assert answer.status_code == 422
    form = {"csrf_token": token, "email": "a\x00b@example.org", "password": "a long password"}
    assert (await admin.post("/admin/users", data=form)).status_code == 422
    files = {"file": ("a.csv", b"Name,Country\nWeber,DE\n")}
    uploaded = await admin.post("/imports", data={"csrf_token": token}, files=files)
    assert uploaded.status_code == 303, uploaded.text
    form = {"csrf_token": token, "column_0": "name", "column_1": "country", "key": "a\x00b"}
    answer = await admin.post(uploaded.headers["location"], data=form)
    assert answer.status_code == 422
    database = context_of(app).database
    headers = await key_of(database, await add_user(database))
    named = {**headers, "idempotency-key": "a\x01b"}
    answer = await admin.post("/api/v1/duplicate-runs", json={}, headers=named)
    assert answer.status_code == 422


async def test_forms_in_character_sets_that_are_none_are_refused(
    admin: httpx.AsyncClient,
) -> None:
    token = (await form_token(admin, "/account")).encode()
    for charset in ("undefined", "idna", "rot13", "no-such-set"):
        body, headers = _multipart({"csrf_token": token, "name": b"xn--\xff"}, charset)
        for path in ("/suppliers/new", "/logout"):
            answer = await admin.post(path, content=body, headers=headers)
            assert answer.status_code in (303, 400, 401, 403, 422), (charset, path)


async def test_what_is_no_text_is_not_shown_again_as_it_came(admin: httpx.AsyncClient) -> None:
    token = (await form_token(admin, "/account")).encode()
    body, headers = _multipart({"csrf_token": token, "name": rb"a\ud800"}, "raw_unicode_escape")
    answer = await admin.post("/suppliers/new", content=body, headers=headers)
    assert answer.status_code == 422
    assert "Name" in answer.text


async def test_members_that_are_no_text_are_refused(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    database = context_of(app).database
    headers = await key_of(database, await add_user(database))
    headers["content-type"] = "application/json"
    body = json.dumps({"name": "x", "\ud800": 1})
    answer = await client.post("/api/v1/suppliers", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_a_picture_is_taken_from_the_page_of_a_profile(
    app: FastAPI, admin: httpx.AsyncClient
) -> None:
    async with context_of(app).database.transaction() as transaction:
        supplier = await suppliers.create(transaction, suppliers.Draft("Weber", country="DE"))
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (9, 99, 199)).save(buffer, format="PNG")
    path = f"/suppliers/{supplier}"
    token = {"csrf_token": await form_token(admin, path)}
    for role in ("logo", "photo"):
        files = {"file": ("a.png", buffer.getvalue())}
        answer = await admin.post(f"{path}/images", data={**token, "role": role}, files=files)
        assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?saved=1")
    page = (await admin.get(path)).text
    assert "/images/1/medium" in page
    assert "/images/2/large" in page
    for image in (1, 2):
        assert f'action="{path}/images/{image}/delete"' in page
        answer = await admin.post(f"{path}/images/{image}/delete", data=token)
        assert answer.status_code == 303
    assert "/images/" not in (await admin.get(path)).text.partition("<article")[2].replace(
        f"{path}/images", ""
    )
    assert (await admin.post(f"{path}/images/1/delete", data=token)).status_code == 404


async def test_an_address_with_a_stroke_too_many_leads_nowhere_else(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/search/", headers={"host": "elsewhere.example"})
    assert answer.status_code == 404
    assert "location" not in answer.headers


async def test_lanes_are_found_without_their_stroke(admin: httpx.AsyncClient) -> None:
    answer = await admin.get("/lanes")
    assert (answer.status_code, answer.headers["location"]) == (307, "/lanes/")


async def test_versions_that_no_supplier_has_are_refused(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    database = context_of(app).database
    headers = await key_of(database, await add_user(database))
    added = await client.post("/api/v1/suppliers", json={"name": "x"}, headers=headers)
    path = f"/api/v1/suppliers/{added.json()['id']}"
    for version, status in ((2**53 - 1, 422), (2**31, 422), (2**31 - 1, 409), (1, 200)):
        body = {"name": "x", "version": version}
        answer = await client.put(path, json=body, headers=headers)
        assert answer.status_code == status, version
