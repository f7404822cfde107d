"""Forms of pages keep what they do not show, and offer what was the API's alone."""

import html
import re

import httpx
import pytest
from fastapi import FastAPI

from supplyr.db.database import Database
from supplyr.seeding import seed_directory
from supplyr.store import products, suppliers
from supplyr.store.suppliers import Draft

from .people import add_user, context_of, form_token, log_in


@pytest.fixture
async def database(app: FastAPI, client: httpx.AsyncClient) -> Database:
    """The database of an app in which a writer is logged in."""
    found = context_of(app).database
    await add_user(found)
    await log_in(client)
    return found


async def _add(database: Database, draft: Draft) -> int:
    async with database.transaction() as transaction:
        return await suppliers.create(transaction, draft)


def _filled(page: str) -> dict[str, str]:
    """Return what a browser sends of the edit form when nothing is changed."""
    form = page.partition('<form class="narrow sheet"')[2].partition("</form>")[0]
    values: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name = re.search(r'name="([^"]*)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        if name is not None:
            values[name[1]] = "" if value is None else value[1]
    values |= dict(re.findall(r'<textarea name="(\w+)"[^>]*>(.*?)</textarea>', form, re.DOTALL))
    for name, options in re.findall(r'<select name="(\w+)">(.*?)</select>', form):
        chosen = re.search(r'<option value="([^"]*)" selected>', options)
        values[name] = "" if chosen is None else chosen[1]
    return {name: html.unescape(value) for name, value in values.items()}


async def test_saving_a_form_as_it_came_changes_nothing(
    client: httpx.AsyncClient, database: Database
) -> None:
    draft = Draft(
        "Jansen & Zn.", description="One.\nTwo.", city="Breda", country="NL", codes=(),
        certificates=("ISO 9001, 2015", "EN 1090"), employees=7,
        latitude_deg=51.5, longitude_deg=4.8,
    )  # fmt: skip
    supplier = await _add(database, draft)
    page = (await client.get(f"/suppliers/{supplier}/edit")).text
    answer = await client.post(f"/suppliers/{supplier}/edit", data=_filled(page))
    assert answer.status_code == 303, answer.text
    row = await suppliers.get(database, supplier)
    assert row is not None
    kept = suppliers.draft_of(row)
    assert kept._replace(certificates=()) == draft._replace(certificates=())
    assert sorted(kept.certificates) == sorted(draft.certificates)


async def test_a_form_that_is_shown_again_keeps_its_country(
    client: httpx.AsyncClient, database: Database
) -> None:
    supplier = await _add(database, Draft("Jansen", country="NL"))
    form = _filled((await client.get(f"/suppliers/{supplier}/edit")).text)
    answer = await client.post(f"/suppliers/{supplier}/edit", data={**form, "founded_year": "1"})
    assert answer.status_code == 422
    assert _filled(answer.text)["country"] == "NL"


async def test_a_new_price_leaves_currency_and_quantity(
    client: httpx.AsyncClient, database: Database
) -> None:
    supplier = await _add(database, Draft("Weber", country="CH"))
    path = f"/suppliers/{supplier}/products"
    form = {"csrf_token": await form_token(client, f"/suppliers/{supplier}"), "sku": "A-100",
            "description": "Bar", "unit": "kg", "price": "5"}  # fmt: skip

    async def told() -> tuple[str, int, int]:
        row = await products.by_sku(database, supplier, "A-100")
        assert row is not None
        return row["currency"], row["min_quantity"], row["price_cents"]

    assert (await client.post(path, data=form)).status_code == 303
    assert await told() == ("EUR", 1, 500)
    more = {**form, "currency": "CHF", "min_quantity": "10"}
    assert (await client.post(path, data=more)).status_code == 303
    assert await told() == ("CHF", 10, 500)
    assert (await client.post(path, data={**form, "price": "6"})).status_code == 303
    assert await told() == ("CHF", 10, 600)
    for wrong in ({"currency": "XXX"}, {"min_quantity": "0"}, {"min_quantity": "x"}):
        assert (await client.post(path, data={**form, **wrong})).status_code == 422, wrong


async def test_a_merged_profile_leads_on_for_now_and_not_for_ever(
    client: httpx.AsyncClient, database: Database
) -> None:
    first = await _add(database, Draft("Weber"))
    second = await _add(database, Draft("Weber GmbH"))
    async with database.transaction() as transaction:
        await transaction.execute(
            "UPDATE suppliers SET status = 'merged', merged_into = ? WHERE id = ?", (first, second)
        )
    answer = await client.get(f"/suppliers/{second}")
    assert (answer.status_code, answer.headers["location"]) == (302, f"/suppliers/{first}")
    assert answer.headers["cache-control"] == "no-store"


async def test_what_was_archived_by_a_click_comes_back_by_one(
    client: httpx.AsyncClient, database: Database
) -> None:
    supplier = await _add(database, Draft("<b>Weber</b>", city="Ulm"))
    token = {"csrf_token": await form_token(client, f"/suppliers/{supplier}")}
    answer = await client.post(f"/suppliers/{supplier}/archive", data=token)
    page = (await client.get(answer.headers["location"])).text
    assert "&lt;b&gt;Weber" in page
    assert f'action="/suppliers/{supplier}/restore"' in page
    assert (await client.get(f"/suppliers/{supplier}")).status_code == 404
    assert (await client.post(f"/suppliers/{supplier}/restore", data=token)).status_code == 303
    assert (await client.get(f"/suppliers/{supplier}")).status_code == 200
    assert "Weber" not in (await client.get("/archive")).text
    client.cookies.clear()
    assert (await client.get("/archive")).status_code == 303


async def test_what_was_found_is_taken_along_as_it_was_found(
    client: httpx.AsyncClient, database: Database
) -> None:
    await seed_directory(database, 60)
    search = "/search?around=M%C3%BCnchen&radius_km=250&sort=name"
    page = (await client.get(search)).text
    count = re.search(r"<h1>(\d+)", page)
    assert count is not None
    links = [html.unescape(link) for link in re.findall(r'href="(/exports/[^"]*)"', page)]
    assert [link.partition("?")[0] for link in links] == [
        f"/exports/suppliers.{name}" for name in ("csv", "xlsx", "pdf")
    ]
    exported = await client.get(links[0])
    assert exported.status_code == 200
    assert exported.text.count("\r\n") == int(count[1]) + 1
    client.cookies.clear()
    assert "/exports/" not in (await client.get(search)).text


async def test_a_town_that_is_in_no_list_is_kept_in_the_form(
    client: httpx.AsyncClient, database: Database
) -> None:
    draft = Draft("Weber", city="Hintertupfing", latitude_deg=48.0, longitude_deg=12.0)
    await _add(database, draft)
    page = (await client.get("/search?around=Hintertupfing&radius_km=50")).text
    assert '<option value="Hintertupfing" selected>' in page


async def test_an_address_is_linked_as_mail_programs_take_it(
    client: httpx.AsyncClient, database: Database
) -> None:
    supplier = await _add(database, Draft("Weber", email="a+b%c@weber.example"))
    page = (await client.get(f"/suppliers/{supplier}")).text
    assert 'href="mailto:a+b%25c@weber.example"' in page
