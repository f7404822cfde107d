"""Pages as a browser without JavaScript sees them, and the parts that htmx asks for."""

import re

import httpx
import pytest
from fastapi import FastAPI

from supplyr.seeding import seed_directory
from supplyr.store import suppliers

from .people import add_user, context_of, form_token, log_in

_HTMX = {"hx-request": "true"}


@pytest.fixture
async def filled(app: FastAPI) -> list[int]:
    """The ids of a small directory."""
    return (await seed_directory(context_of(app).database, 120)).ids


def _links(page: str) -> list[str]:
    return [
        link.replace("&amp;", "&") for link in re.findall(r'(?:href|hx-get|src)="(/[^"]*)"', page)
    ]


async def test_every_link_of_every_page_leads_somewhere(
    app: FastAPI, client: httpx.AsyncClient, filled: list[int]
) -> None:
    await add_user(context_of(app).database, "root@example.org", "admin")
    await log_in(client, "root@example.org")
    seen: set[str] = set()
    todo = [
        "/",
        f"/suppliers/{filled[0]}",
        "/search?country=DE&code=25",
        "/account",
        "/admin",
        "/api",
    ]
    while todo:
        path = todo.pop()
        kind = re.sub(r"\d+|=[^&]*", "#", path.partition("#")[0])
        if kind in seen:  # one of each kind is enough
            continue
        seen.add(kind)
        answer = await client.get(path)
        assert answer.status_code == 200, path
        if answer.headers["content-type"].startswith("text/html") and len(seen) < 60:
            todo += _links(answer.text)
    assert len(seen) > 15


async def test_an_empty_directory_says_how_to_fill_it(client: httpx.AsyncClient) -> None:
    assert "python -m supplyr generate" in (await client.get("/")).text
    assert "Nothing was found" in (await client.get("/search?q=x")).text


async def test_a_search_shows_hits_facets_and_the_next_page(
    client: httpx.AsyncClient, filled: list[int]
) -> None:
    page = (await client.get("/search?country=DE&sort=name")).text
    assert page.count('<li class="hit">') == 20
    assert "Bayern" in page
    more = next(link for link in _links(page) if "cursor=" in link)
    following = (await client.get(more)).text
    names = re.compile(r'<h3><a href="/suppliers/(\d+)">')
    assert not set(names.findall(page)) & set(names.findall(following))
    assert "<html" in following
    part = (await client.get(more, headers=_HTMX)).text
    assert "<html" not in part
    assert names.findall(part) == names.findall(following)
    # A browser that goes back gets the whole page.
    back = await client.get(more, headers={**_HTMX, "hx-history-restore-request": "true"})
    assert "<html" in back.text


async def test_around_a_town(client: httpx.AsyncClient, filled: list[int]) -> None:
    page = (await client.get("/search", params={"around": "Munchen", "radius_km": 500})).text
    assert "No town" in page
    for name in ("München", "muenchen"):
        page = (await client.get("/search", params={"around": name, "radius_km": 100})).text
        assert " km</b>" in page


async def test_what_is_wrong_with_a_question_is_told_on_a_page(client: httpx.AsyncClient) -> None:
    for path in ("/search?cursor=x", "/search?lat=1", "/search?sort=x", "/search?radius_km=x"):
        answer = await client.get(path)
        assert answer.status_code in (400, 422)
        assert "<html" in answer.text


async def test_suggestions_are_links(client: httpx.AsyncClient, filled: list[int]) -> None:
    part = (await client.get("/suggest?q=sch", headers=_HTMX)).text
    assert "<html" not in part
    assert 'role="option"' in part
    assert (await client.get("/suggest?q=")).text.strip() == ""


async def test_writers_add_change_and_archive_without_javascript(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    database = context_of(app).database
    await add_user(database)
    await log_in(client)
    form = {"name": "Weiß Stahlbau", "codes": "25.11, 25.62", "city": "Berlin", "employees": "",
            "description": "One.\r\nTwo.",
            "csrf_token": await form_token(client, "/suppliers/new")}  # fmt: skip
    answer = await client.post("/suppliers/new", data={**form, "founded_year": "12"})
    assert answer.status_code == 422
    assert "Founded year" in answer.text
    assert 'value="Weiß Stahlbau"' in answer.text  # nothing that was typed is lost
    answer = await client.post("/suppliers/new", data=form)
    assert answer.status_code == 303
    path = answer.headers["location"].partition("?")[0]
    page = (await client.get(path)).text
    assert "Steel structures" in page
    assert "supplier.create" in page

    edit = await client.get(f"{path}/edit")
    assert 'name="version" value="1"' in edit.text
    changed = {**form, "name": "Schwarz Stahlbau", "version": "1"}
    assert (await client.post(f"{path}/edit", data=changed)).status_code == 303
    answer = await client.post(f"{path}/edit", data=changed)
    assert answer.status_code == 422
    assert "Somebody else has changed" in answer.text

    product = {"sku": "a-100", "description": "Stair", "unit": "pcs", "price": "1.234,50",
               "csrf_token": form["csrf_token"]}  # fmt: skip
    assert (await client.post(f"{path}/products", data=product)).status_code == 303
    assert "1,234.50" in (await client.get(path)).text
    product["price"] = "a lot"
    answer = await client.post(f"{path}/products", data=product)
    assert answer.status_code == 422
    assert "a lot" in answer.text

    token = {"csrf_token": form["csrf_token"]}
    assert (await client.post(f"{path}/archive", data=token)).status_code == 303
    assert (await client.get(path)).status_code == 404
    assert await suppliers.count_active(database) == 0


async def test_hostile_values_do_nothing_on_pages(app: FastAPI, client: httpx.AsyncClient) -> None:
    database = context_of(app).database
    nasty = '"><img src=x onerror=alert(1)>{{7*7}}'
    async with database.transaction() as transaction:
        draft = suppliers.Draft(
            nasty,
            description=nasty,
            city=nasty,
            region=nasty,
            email=nasty,
            phone=nasty,
            website="javascript:alert(1)",
            country="DE",
        )
        new = await suppliers.create(transaction, draft)
    for path in (f"/suppliers/{new}", "/search", f"/search?q={nasty}", "/", f"/nothing/{nasty}"):
        page = (await client.get(path)).text
        assert "<img src=x" not in page, path
        assert "javascript:" not in page, path
        assert 'onerror=alert(1)"' not in page, path


async def test_no_page_has_scripts_or_styles_that_the_policy_forbids(
    app: FastAPI, client: httpx.AsyncClient, filled: list[int]
) -> None:
    await add_user(context_of(app).database, "root@example.org", "admin")
    await log_in(client, "root@example.org")
    for path in (
        "/",
        "/search",
        f"/suppliers/{filled[0]}",
        "/suppliers/new",
        "/admin",
        "/account",
        "/api",
    ):
        page = (await client.get(path)).text
        assert not re.search(r"<script(?![^>]*\ssrc=)", page), path
        assert not re.search(r"\sstyle=|<style|\son[a-z]+=|javascript:", page), path
        assert all(not link.startswith("//") for link in _links(page)), path
