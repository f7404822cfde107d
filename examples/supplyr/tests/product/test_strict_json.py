"""The API takes the types that its description names, and describes what it answers."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from .people import add_user, context_of, form_token, key_of, log_in

API = "/api/v1"


@pytest.fixture
async def writer(app: FastAPI, client: httpx.AsyncClient) -> httpx.AsyncClient:
    database = context_of(app).database
    client.headers.update(await key_of(database, await add_user(database)))
    return client


_LAX: list[tuple[str, dict[str, Any]]] = [
    ("/suppliers", {"name": "x", "employees": "12"}),
    ("/suppliers", {"name": "x", "employees": True}),
    ("/suppliers", {"name": "x", "founded_year": "1987"}),
    ("/suppliers", {"name": "x", "response_time_h": "5"}),
    ("/suppliers", {"name": "x", "latitude_deg": "52.5"}),
    ("/suppliers", {"name": "x", "longitude_deg": True}),
    ("/suppliers/1/products", {"items": [{"sku": "A-1", "description": "x", "price_cents": "5"}]}),
    (
        "/suppliers/1/products",
        {"items": [{"sku": "A-1", "description": "x", "price_cents": 5, "min_quantity": "1"}]},
    ),
    ("/duplicate-runs", {"threshold": "0.9"}),
    ("/duplicate-runs", {"threshold": True}),
    ("/duplicate-clusters/1/merge", {"survivor_id": "1", "member_ids": [2]}),
    ("/duplicate-clusters/1/merge", {"survivor_id": 1, "member_ids": ["2"]}),
    ("/imports", {"upload_id": "1"}),
    ("/imports", {"upload_id": 1, "update_existing": "yes"}),
    ("/imports", {"upload_id": 1, "update_existing": 1}),
    ("/imports", {"upload_id": 1, "columns": {"name": "0"}}),
]


async def test_what_has_another_type_is_refused(writer: httpx.AsyncClient) -> None:
    for path, body in _LAX:
        answer = await writer.post(f"{API}{path}", json=body)
        assert answer.status_code == 422, (path, body)
        assert answer.json()["errors"][0]["field"].startswith("body."), (path, body)


async def test_what_has_the_right_type_is_taken(writer: httpx.AsyncClient) -> None:
    body = {"name": "x", "employees": 12, "latitude_deg": 52, "longitude_deg": 13.4}
    answer = await writer.post(f"{API}/suppliers", json=body)
    assert answer.status_code == 201, answer.text
    path = f"{API}/suppliers/{answer.json()['id']}"
    assert (await writer.get(path)).json()["latitude_deg"] == 52.0
    changed = await writer.put(path, json={**body, "version": 1, "external_ref": None})
    assert changed.status_code == 200, changed.text
    assert (await writer.put(path, json={**body, "version": "2"})).status_code == 422
    items = [{"sku": "A-1", "description": "x", "price_cents": 5, "min_quantity": 10}]
    answer = await writer.post(f"{path}/products", json={"items": items})
    assert answer.status_code == 204, answer.text


async def test_forms_have_nothing_but_texts(app: FastAPI, client: httpx.AsyncClient) -> None:
    await add_user(context_of(app).database)
    await log_in(client)
    form = {"name": "x", "employees": "12", "latitude_deg": "52.5",
            "csrf_token": await form_token(client, "/suppliers/new")}  # fmt: skip
    answer = await client.post("/suppliers/new", data=form)
    assert answer.status_code == 303, answer.text
    path = answer.headers["location"].partition("?")[0]
    read = (await client.get(f"{API}{path}")).json()
    assert (read["employees"], read["latitude_deg"]) == (12, 52.5)
    form |= {"employees": "13", "version": "1"}
    assert (await client.post(f"{path}/edit", data=form)).status_code == 303


async def test_every_operation_tells_what_any_may_answer(client: httpx.AsyncClient) -> None:
    schema = (await client.get(f"{API}/openapi.json")).json()
    for path, methods in schema["paths"].items():
        for method, told in methods.items():
            statuses = set(told["responses"])
            assert {"400", "401", "413", "422", "429", "503", "504"} <= statuses, (method, path)
    file = schema["paths"][f"{API}/jobs/{{job_id}}/file"]["get"]["responses"]
    assert {"200", "206", "404", "416"} <= set(file)
