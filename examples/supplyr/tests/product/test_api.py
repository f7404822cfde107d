"""The API: changes, conflicts, and values that nobody should send."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from supplyr.seeding import seed_directory
from supplyr.store import audit

from .people import add_user, context_of, key_of

_FULL = {
    "name": "Weiß Stahlbau GmbH", "description": "Balconies.\nStaircases.",
    "street": "Werkstraße 1",
    "city": "Berlin", "postcode": "10115", "region": "Berlin", "country": "DE",
    "phone": "+49 30 1234567", "email": "info@weiss.example", "website": "https://weiss.example/",
    "vat_number": "DE136695976", "latitude_deg": 52.52, "longitude_deg": 13.4, "employees": 12,
    "founded_year": 1987, "response_time_h": 5, "external_ref": "W-1", "codes": ["25.11", "25"],
    "certificates": ["EN 1090"],
}  # fmt: skip


@pytest.fixture
async def writer(app: FastAPI) -> dict[str, str]:
    """The headers of a program that may change things."""
    database = context_of(app).database
    return await key_of(database, await add_user(database))


async def test_a_supplier_is_added_found_changed_archived_and_restored(
    app: FastAPI, client: httpx.AsyncClient, writer: dict[str, str]
) -> None:
    answer = await client.post("/api/v1/suppliers", json=_FULL, headers=writer)
    assert answer.status_code == 201
    path = f"/api/v1/suppliers/{answer.json()['id']}"
    read = (await client.get(path)).json()
    assert {name: read[name] for name in _FULL} == {**_FULL, "codes": ["25", "25.11"]}
    assert read["version"] == 1

    found = (await client.get("/api/v1/suppliers", params={"q": "weiss"})).json()
    assert [item["name"] for item in found["items"]] == [_FULL["name"]]

    change = {**_FULL, "name": "Schwarz Stahlbau GmbH", "version": 1}
    assert (await client.put(path, json=change, headers=writer)).json()["version"] == 2
    answer = await client.put(path, json=change, headers=writer)
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:supplyr:problem:outdated"
    assert not (await client.get("/api/v1/suppliers", params={"q": "weiss"})).json()["items"]
    assert (await client.get("/api/v1/suppliers", params={"q": "schwarz"})).json()["items"]

    assert (await client.delete(path, headers=writer)).status_code == 204
    assert (await client.get(path)).status_code == 404
    assert not (await client.get("/api/v1/suppliers", params={"q": "schwarz"})).json()["items"]
    assert (await client.put(path, json=_FULL, headers=writer)).status_code == 404
    assert (await client.post(f"{path}/restore", headers=writer)).status_code == 204
    assert (await client.get("/api/v1/suppliers", params={"q": "schwarz"})).json()["items"]

    database = context_of(app).database
    entries = await audit.of_subject(database, f"supplier:{read['id']}", 10)
    assert [entry["action"] for entry in reversed(entries)] == [
        "supplier.create",
        "supplier.update",
        "supplier.archive",
        "supplier.restore",
    ]
    assert {entry["actor"] for entry in entries} == {"key:1"}
    assert json.loads(entries[2]["detail_json"]) == {"changed": ["name"]}


async def test_products_are_put_paged_found_and_removed(
    client: httpx.AsyncClient, writer: dict[str, str]
) -> None:
    new = (await client.post("/api/v1/suppliers", json={"name": "A"}, headers=writer)).json()
    path = f"/api/v1/suppliers/{new['id']}/products"
    items = [
        {"sku": f"SKU-{n:02d}", "description": f"Gizmo {n}", "price_cents": 5} for n in range(9)
    ]
    assert (await client.post(path, json={"items": items}, headers=writer)).status_code == 204
    items[0]["description"] = "Contraption"
    assert (await client.post(path, json={"items": items}, headers=writer)).status_code == 204
    page = (await client.get(path, params={"limit": 5})).json()
    rest = (await client.get(path, params={"limit": 5, "after": page["next_after"]})).json()
    told = page["items"] + rest["items"]
    assert [item["sku"] for item in told] == [item["sku"] for item in items]
    assert rest["next_after"] is None
    found = await client.get("/api/v1/suppliers", params={"q": "contraption"})
    assert [item["id"] for item in found.json()["items"]] == [new["id"]]
    gone = f"{path}/{told[0]['id']}"
    assert (await client.delete(gone, headers=writer)).status_code == 204
    assert (await client.delete(gone, headers=writer)).status_code == 404
    found = await client.get("/api/v1/suppliers", params={"q": "contraption"})
    assert found.json()["items"] == []


_WRONG = [
    {"name": ""},
    {"name": "   "},
    {"name": "x" * 201},
    {"name": "nul\x00"},
    {"name": "lone \ud800"},
    {"name": "x", "country": "Germany"},
    {"name": "x", "codes": ["25.111"]},
    {"name": "x", "codes": ["99.99"]},
    {"name": "x", "codes": ["25.11"] * 21},
    {"name": "x", "website": "javascript:alert(1)"},
    {"name": "x", "latitude_deg": 91},
    {"name": "x", "employees": 2**70},
    {"name": "x", "founded_year": -1},
    {"name": "x", "id": 5},
    {"name": ["x"]},
    {},
    [],
    None,
]


async def test_what_is_not_a_supplier_is_refused_with_the_reason(
    client: httpx.AsyncClient, writer: dict[str, str]
) -> None:
    headers = {**writer, "content-type": "application/json"}
    for draft in _WRONG:
        body = json.dumps(draft)
        answer = await client.post("/api/v1/suppliers", content=body, headers=headers)
        assert answer.status_code in (409, 422), draft
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]


_NOT_JSON = [
    b"",
    b"{",
    b"\xff\xfe",
    b'{"name": NaN}',
    b'{"name":"x","latitude_deg":NaN}',
    b"[" * 50_000,
]


async def test_what_is_not_json_is_refused(
    client: httpx.AsyncClient, writer: dict[str, str]
) -> None:
    headers = {**writer, "content-type": "application/json"}
    for body in _NOT_JSON:
        answer = await client.post("/api/v1/suppliers", content=body, headers=headers)
        assert answer.status_code in (400, 422), body[:40]


async def test_references_are_unique(client: httpx.AsyncClient, writer: dict[str, str]) -> None:
    assert (await client.post("/api/v1/suppliers", json=_FULL, headers=writer)).status_code == 201
    answer = await client.post("/api/v1/suppliers", json=_FULL, headers=writer)
    assert answer.status_code == 409
    assert "W-1" in answer.json()["detail"]


_UNANSWERABLE = [
    "lat=1", "lat=91&lon=0", "lat=nan&lon=0", "radius_km=501&lat=0&lon=0", "limit=0",
    "limit=101", "sort=secret", "country=de", "code=x", "code=25'--", "cursor=nonsense",
    f"q={'x' * 201}", "q=%00", "region=%00", "radius_km=inf&lat=0&lon=0", "q=%ED%A0%80%00",
]  # fmt: skip


async def test_questions_that_cannot_be_answered_are_refused(client: httpx.AsyncClient) -> None:
    for query in _UNANSWERABLE:
        answer = await client.get(f"/api/v1/suppliers?{query}")
        assert answer.status_code in (400, 422), query
        assert answer.headers["content-type"] == "application/problem+json"


async def test_injections_are_only_words(
    app: FastAPI, client: httpx.AsyncClient, writer: dict[str, str]
) -> None:
    database = context_of(app).database
    nasty = "Robert'); DROP TABLE suppliers; -- <script>alert(1)</script> ${7*7} {{7*7}} %s ? $1"
    answer = await client.post(
        "/api/v1/suppliers", json={"name": nasty, "city": nasty[:120]}, headers=writer
    )
    supplier_id = answer.json()["id"]
    for word in (
        "robert",
        "'; DELETE FROM suppliers; --",
        '" OR 1=1',
        "x' UNION SELECT * FROM users --",
    ):
        for name in ("q", "region", "certificate"):
            answer = await client.get("/api/v1/suppliers", params={name: word})
            assert answer.status_code == 200
        assert (await client.get("/api/v1/suggestions", params={"q": word})).status_code == 200
    assert (await client.get(f"/api/v1/suppliers/{supplier_id}")).json()["name"] == nasty
    page = (await client.get(f"/suppliers/{supplier_id}")).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert "49" not in page.partition("<h1>")[2].partition("</h1>")[0]
    rows = await database.fetch_all("SELECT id FROM suppliers")
    assert len(rows) == 1


async def test_large_bodies_are_refused_declared_or_not(
    client: httpx.AsyncClient, writer: dict[str, str]
) -> None:
    answer = await client.post("/api/v1/suppliers", content=b"x" * 300_000, headers=writer)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"

    async def drip() -> AsyncIterator[bytes]:  # an endless body, undeclared
        while True:
            yield b"x" * 10_000

    headers = {**writer, "content-type": "application/json"}
    answer = await client.post("/api/v1/suppliers", content=drip(), headers=headers)
    assert answer.status_code == 413


async def test_pages_of_a_whole_directory(app: FastAPI, client: httpx.AsyncClient) -> None:
    made = await seed_directory(context_of(app).database, 130)
    seen: list[int] = []
    cursor: str | None = None
    while True:
        params = {"limit": "50", "sort": "name"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/api/v1/suppliers", params=params)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(made.ids)


async def test_the_description_is_complete(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/api/v1/openapi.json")).json()
    assert all(path.startswith("/api/v1/") for path in schema["paths"])
    for path, methods in schema["paths"].items():
        for method, told in methods.items():
            assert told["description"], (method, path)
            assert {"422", "429", "503"} <= set(told["responses"]), (method, path)
