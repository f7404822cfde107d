"""Uploads, imports, jobs, duplicates, exports and pictures through the API and pages."""

import asyncio
import csv
import io
import json
import re
import zipfile
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image
from python_calamine import CalamineWorkbook

from supplyr.auth import keys
from supplyr.auth.sessions import begin_session
from supplyr.db.database import Database
from supplyr.imports.fields import SUPPLIERS
from supplyr.store import suppliers, users
from supplyr.thumbnails import draw_logo
from supplyr.web.context import Context
from supplyr.web.identity import SESSION_COOKIE

from .jobs_support import supplier_csv

API = "/api/v1"
# Most start an app with its workers, and wait for jobs.
pytestmark = pytest.mark.timeout(300)


def context(app: FastAPI) -> Context:
    found = app.state.supplyr
    assert isinstance(found, Context)
    return found


async def _key(app: FastAPI, email: str, role: str = "writer") -> str:
    database = context(app).database
    async with database.transaction() as transaction:
        user = await users.add(transaction, email, "Somebody", "x", role)  # type: ignore[arg-type]  # a role
        return (await keys.make_key(transaction, user, "test")).key


@pytest.fixture
async def writer(app: FastAPI, client: httpx.AsyncClient) -> httpx.AsyncClient:
    client.headers["authorization"] = f"Bearer {await _key(app, 'w@example.org', 'admin')}"
    return client


async def over(client: httpx.AsyncClient, answer: httpx.Response) -> dict[str, Any]:
    """Wait for the job of an answer; the test's timeout bounds it."""
    assert answer.status_code == 202, answer.text
    while True:
        job: dict[str, Any] = (await client.get(answer.headers["location"])).json()
        if job["finished_at_s"] is not None:
            return job
        await asyncio.sleep(0.03)


async def _upload(client: httpx.AsyncClient, data: bytes, **form: Any) -> httpx.Response:
    files = {"file": ("../../etc/suppliers.csv", data, "text/html")}
    return await client.post(f"{API}/uploads", files=files, data=form)


async def _import(client: httpx.AsyncClient, data: bytes, **more: Any) -> dict[str, Any]:
    upload = (await _upload(client, data)).json()
    asked = {"upload_id": upload["id"], **more}
    return await over(client, await client.post(f"{API}/imports", json=asked))


async def test_from_a_file_to_what_is_found(writer: httpx.AsyncClient) -> None:
    answer = await _upload(writer, supplier_csv(40) + b"\nR9,,,,,DE,,,,\n")
    assert answer.status_code == 201, answer.text
    upload = answer.json()
    assert upload["file_name"] == "suppliers.csv"
    assert len(upload["rows"]) == 12
    assert upload["columns"]["vat_number"] == 8
    asked = {"upload_id": upload["id"]}
    headers = {"idempotency-key": "once"}
    first = await writer.post(f"{API}/imports", json=asked, headers=headers)
    again = await writer.post(f"{API}/imports", json=asked, headers=headers)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotency-replayed"] == "true"
    other = {**asked, "update_existing": True}
    assert (await writer.post(f"{API}/imports", json=other, headers=headers)).status_code == 409
    job = await over(writer, first)
    assert job["result"] == {"rows": 41, "created": 40, "updated": 0, "rejected": 1}
    errors = await writer.get(f"{API}/jobs/{job['id']}/errors.csv")
    rows = list(csv.reader(io.StringIO(errors.text.removeprefix("\ufeff"))))
    assert rows[1][:2] == ["42", "name"]
    found = (await writer.get(f"{API}/suppliers", params={"country": "DE"})).json()
    assert found["items"]


async def test_events_tell_of_the_end(writer: httpx.AsyncClient) -> None:
    job = await _import(writer, supplier_csv(5))
    answer = await writer.get(f"{API}/jobs/{job['id']}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = re.findall(r"event: (\w+)\ndata: (.*)\n", answer.text)
    assert events[-1][0] == "end"
    assert json.loads(events[-1][1])["result"]["created"] == 5


async def test_jobs_are_their_owners(app: FastAPI, writer: httpx.AsyncClient) -> None:
    job = await _import(writer, supplier_csv(1))
    other = {"authorization": f"Bearer {await _key(app, 'o@example.org')}"}
    for path in ("", "/events", "/errors.csv", "/file"):
        answer = await writer.get(f"{API}/jobs/{job['id']}{path}", headers=other)
        assert answer.status_code == 404
    answer = await writer.post(f"{API}/jobs/{job['id']}/cancel", headers=other)
    assert answer.status_code == 404
    assert (await writer.get(f"{API}/jobs", headers=other)).json()["items"] == []
    assert (await writer.post(f"{API}/ranking-runs", headers=other)).status_code == 403
    del writer.headers["authorization"]
    assert (await writer.get(f"{API}/jobs/{job['id']}")).status_code == 401


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"PK\x03\x04 broken", "XLSX"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1old", "old or encrypted"),
        (b"a,b\0c", "zero bytes"),
        (b'Name,Country\n"A', "quotation"),
    ],
)
async def test_files_that_cannot_be_read_are_told(
    writer: httpx.AsyncClient, data: bytes, said: str
) -> None:
    answer = await _upload(writer, data)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


async def test_what_is_exported_can_be_imported_again(
    app: FastAPI, writer: httpx.AsyncClient
) -> None:
    evil = "=HYPERLINK(A1)"
    async with context(app).database.transaction() as transaction:
        await suppliers.create(
            transaction,
            suppliers.Draft(evil, country="DE", phone="+49 40 123456", codes=("25.62",)),
        )
    job = await over(writer, await writer.post(f"{API}/exports", json={"format": "csv"}))
    text = (await writer.get(f"{API}/jobs/{job['id']}/file")).text
    row = next(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert row["Name"] == f"'{evil}"
    assert row["Phone"] == "'+49 40 123456"
    upload = (await _upload(writer, text.encode())).json()
    known = {field.name for field in SUPPLIERS}
    assert set(upload["columns"]) == known, "headings of exports are those of imports"
    await _import(writer, text.encode())
    rows = await context(app).database.fetch_all("SELECT name, phone FROM suppliers")
    assert [(row["name"], row["phone"]) for row in rows] == [(evil, "+49 40 123456")] * 2


@pytest.mark.parametrize("name", ["csv", "xlsx", "pdf"])
async def test_exports_streamed_and_as_jobs_hold_everything(
    app: FastAPI, writer: httpx.AsyncClient, name: str
) -> None:
    await _import(writer, supplier_csv(450))
    streamed = await writer.get(f"{API}/exports/suppliers.{name}")
    assert streamed.status_code == 200, streamed.text
    job = await over(writer, await writer.post(f"{API}/exports", json={"format": name}))
    written = await writer.get(f"{API}/jobs/{job['id']}/file")
    for content in (streamed.content, written.content):
        if name == "pdf":
            assert content.startswith(b"%PDF")
            assert content.count(b"/Type /Page\n") == 12  # 39 suppliers a page
        elif name == "xlsx":
            sheet = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0)
            assert len(sheet.to_python()) == 451
            archive = zipfile.ZipFile(io.BytesIO(content))
            assert b"<f>" not in archive.read("xl/worksheets/sheet1.xml")
        else:
            assert content.count(b"\r\n") == 451
    scratch = context(app).settings.data_dir / "scratch"
    assert not scratch.exists() or not list(scratch.iterdir())


async def _add(database: Database, **values: Any) -> int:
    async with database.transaction() as transaction:
        return await suppliers.create(transaction, suppliers.Draft(**values))


async def test_duplicates_are_found_merged_and_parted_again(
    app: FastAPI, writer: httpx.AsyncClient
) -> None:
    database = context(app).database
    same = {"street": "Hauptstraße 5", "city": "Ulm", "postcode": "89073", "country": "DE"}
    first = await _add(database, name="Weber Stahlbau GmbH", codes=("25.11",), **same)
    second = await _add(database, name="Weber Stahlbau", phone="+49 731 99", **same)
    await _add(database, name="Rossi Marmi", city="Verona", country="IT")
    price = {"sku": "A-1", "description": "Bar", "unit": "pcs", "price_cents": 5, "currency": "EUR"}
    put = await writer.post(f"{API}/suppliers/{second}/products", json={"items": [price]})
    assert put.status_code == 204, put.text
    job = await over(writer, await writer.post(f"{API}/duplicate-runs", json={}))
    assert job["result"]["clusters"] == 1
    (cluster,) = (await writer.get(f"{API}/duplicate-clusters")).json()["items"]
    assert [one["supplier_id"] for one in cluster["members"]] == [first, second]
    address = f"{API}/duplicate-clusters/{cluster['id']}"
    asked = {"survivor_id": first, "member_ids": [second]}
    merged = await writer.post(f"{address}/merge", json=asked)
    assert merged.status_code == 200, merged.text
    assert (await writer.post(f"{address}/merge", json=asked)).status_code == 409
    now = (await writer.get(f"{API}/suppliers/{first}")).json()
    assert now["phone"] == "+49 731 99"
    gone = await writer.get(f"{API}/suppliers/{second}")
    assert gone.json()["merged_into"] == first
    products = (await writer.get(f"{API}/suppliers/{first}/products")).json()["items"]
    assert [one["sku"] for one in products] == ["A-1"]
    undone = await writer.post(f"{API}/merges/{merged.json()['merge_id']}/undo")
    assert undone.status_code == 204, undone.text
    assert (await writer.get(f"{API}/suppliers/{first}")).json()["phone"] == ""
    assert (await writer.get(f"{API}/suppliers/{second}")).status_code == 200
    products = (await writer.get(f"{API}/suppliers/{second}/products")).json()["items"]
    assert [one["sku"] for one in products] == ["A-1"]
    assert (await writer.post(f"{address}/dismiss")).status_code == 204
    job = await over(writer, await writer.post(f"{API}/duplicate-runs", json={}))
    assert job["result"]["clusters"] == 0


async def test_an_entry_is_checked_when_it_is_saved(
    app: FastAPI, writer: httpx.AsyncClient
) -> None:
    new = {"name": "Weber Stahlbau GmbH", "postcode": "89073", "country": "DE"}
    alone = (await writer.post(f"{API}/suppliers", json=new)).json()
    assert alone["duplicate_check"] == "clear"
    again = (await writer.post(f"{API}/suppliers", json=new)).json()
    assert again["duplicate_check"] == "suspected"
    row = await suppliers.get(context(app).database, again["id"])
    assert row is not None
    assert row["duplicate_check"] == "suspected"


async def test_the_ranking_is_computed_anew(app: FastAPI, writer: httpx.AsyncClient) -> None:
    await _import(writer, supplier_csv(30))
    job = await over(writer, await writer.post(f"{API}/ranking-runs"))
    assert job["result"] == {"suppliers": 30, "changed": 30}
    job = await over(writer, await writer.post(f"{API}/ranking-runs"))
    assert job["result"] == {"suppliers": 30, "changed": 0}


def png(edge_px: int) -> bytes:
    buffer = io.BytesIO()
    draw_logo(edge_px).save(buffer, format="PNG")
    return buffer.getvalue()


async def test_pictures_are_made_anew_and_served_safely(
    app: FastAPI, writer: httpx.AsyncClient
) -> None:
    supplier = await _add(context(app).database, name="Weber", country="DE")
    address = f"{API}/suppliers/{supplier}/images"
    sent = png(300) + b"<script>alert(1)</script>"
    answer = await writer.post(address, files={"file": ("x.svg", sent, "image/svg+xml")})
    assert answer.status_code == 201, answer.text
    image = answer.json()
    again = await writer.post(address, files={"file": ("y.png", sent, "image/png")})
    assert again.json()["id"] == image["id"]
    for size, edge_px in (("small", 48), ("medium", 128), ("large", 256)):
        shown = await writer.get(f"/images/{image['id']}/{size}")
        assert shown.headers["content-type"] == "image/png"
        assert shown.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in shown.headers["content-security-policy"]
        assert b"<script" not in shown.content
        assert Image.open(io.BytesIO(shown.content)).size == (edge_px, edge_px)
    tag = {"if-none-match": shown.headers["etag"]}
    assert (await writer.get(f"/images/{image['id']}/large", headers=tag)).status_code == 304
    page = await writer.get(f"/suppliers/{supplier}")
    assert f"/images/{image['id']}/medium" in page.text
    assert (await writer.delete(f"{address}/{image['id']}")).status_code == 204
    assert (await writer.get(f"/images/{image['id']}/large")).status_code == 404


def _bomb() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422),
        (png(64)[:-40], 422),
        (_bomb(), 422),
        (b"GIF89a" + bytes(50), 422),
        (b"", 422),
        (b"\x89PNG\r\n\x1a\n" + bytes(9 * 1024 * 1024), 413),
    ],
    ids=["svg", "truncated", "bomb", "gif", "empty", "large"],
)
async def test_hostile_pictures_are_refused(
    app: FastAPI, writer: httpx.AsyncClient, data: bytes, status: int
) -> None:
    supplier = await _add(context(app).database, name="Weber", country="DE")
    answer = await writer.post(
        f"{API}/suppliers/{supplier}/images", files={"file": ("logo.png", data, "image/png")}
    )
    assert answer.status_code == status, answer.text
    assert await context(app).database.fetch_all("SELECT id FROM images") == []


async def test_pages_work_without_javascript(app: FastAPI, client: httpx.AsyncClient) -> None:
    made = context(app)
    async with made.database.transaction() as transaction:
        user = await users.add(transaction, "p@example.org", "P", "x", "admin")
        token = await begin_session(transaction, user, made.settings)
    client.cookies.set(SESSION_COOKIE, token)

    async def csrf(path: str) -> str:
        page = await client.get(path)
        assert page.status_code == 200, page.text
        found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
        assert found is not None
        return found.group(1)

    token = await csrf("/imports")
    refused = await client.post("/imports", files={"file": ("a.csv", supplier_csv(3))})
    assert refused.status_code == 403
    answer = await client.post(
        "/imports", files={"file": ("<b>.csv", supplier_csv(3))}, data={"csrf_token": token}
    )
    assert answer.status_code == 303, answer.text
    columns = await client.get(answer.headers["location"])
    assert columns.text.count(" selected>") >= 9
    key = re.search(r'name="key" value="([^"]+)"', columns.text)
    assert key is not None
    form = {"csrf_token": token, "key": key.group(1), "column_1": "name"}
    wrong = await client.post(answer.headers["location"], data=form)
    assert wrong.status_code == 422
    assert "Country" in wrong.text
    started = await client.post(answer.headers["location"], data={**form, "column_5": "country"})
    twice = await client.post(answer.headers["location"], data={**form, "column_5": "country"})
    assert started.headers["location"] == twice.headers["location"]
    while "hx-trigger" in (page := await client.get(started.headers["location"])).text:
        assert '<noscript><meta http-equiv="refresh"' in page.text
        await asyncio.sleep(0.05)
    assert '<span class="state done">' in page.text
    assert "<script>" not in page.text
    for path in ("/jobs", "/duplicates", "/duplicates?state=merged"):
        await csrf(path)
    run = await client.post("/duplicates/runs", data={"csrf_token": token, "percent": "80"})
    assert run.status_code == 303
