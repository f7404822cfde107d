"""When near words are looked for, and what is said of a text that holds none."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from lanewise import OverloadedError, Runtime

from supplyr.auth.signing import Signer
from supplyr.db.database import Database
from supplyr.places import towns
from supplyr.search import index
from supplyr.search.cursor import MAX_CHARACTERS, Cursor, parsed, written
from supplyr.search.engine import Engine
from supplyr.search.question import Question
from supplyr.search.suggest import suggest
from supplyr.store import suppliers
from supplyr.store.suppliers import Draft

from .people import context_of

_KEY = "a key of thirty-two characters ok"
_NAMES = ["Leder Huber", "Weder Stahlbau", *(f"Leber {n}" for n in range(8))]


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[Engine]:
    async with database.transaction() as transaction:
        ids = await suppliers.create_many(transaction, [Draft(name) for name in _NAMES])
        await index.refresh(transaction, ids)
    async with Runtime(processes=1, lanes=("event_loop", "thread")) as runtime:
        made = Engine(database, runtime, Signer(_KEY))
        yield made
        await made.close()


async def test_a_short_page_of_many_finds_is_no_sign_of_a_mistake(engine: Engine) -> None:
    page = await engine.page(Question("leber"), 2)
    assert page.near_words == {}
    assert page.next_cursor is not None
    assert all(hit.row["name"].startswith("Leber") for hit in page.hits)


async def test_a_name_that_is_right_is_not_corrected(engine: Engine) -> None:
    page = await engine.page(Question("leder huber"), 20)
    assert page.near_words == {}
    assert [hit.row["name"] for hit in page.hits] == ["Leder Huber"]


async def test_a_right_word_beside_a_wrong_one_is_left_alone(engine: Engine) -> None:
    page = await engine.page(Question("weder stahlbua"), 20)
    assert page.near_words == {"stahlbua": ("stahlbau",)}
    assert [hit.row["name"] for hit in page.hits] == ["Weder Stahlbau"]


async def test_words_that_are_right_each_are_corrected_where_nothing_has_them_all(
    engine: Engine,
) -> None:
    page = await engine.page(Question("leder stahlbau"), 20)
    assert "weder" in page.near_words["leder"]
    assert [hit.row["name"] for hit in page.hits] == ["Weder Stahlbau"]


async def test_a_search_is_answered_where_there_is_no_room_for_its_help(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any) -> Any:
        raise OverloadedError("full", retry_after_s=1.0)

    monkeypatch.setattr(engine._runtime, "run", full)
    page = await engine.page(Question("hubr"), 20)
    assert (page.hits, page.near_words) == ([], {})


async def test_a_text_without_words_counts_nothing(engine: Engine) -> None:
    overview = await engine.overview(Question("!!!"))
    assert overview.suppliers == 0
    assert overview.facets["countries"] == ()
    assert not await engine.finds_more_than(Question("!!!"), 0)


async def test_counting_goes_as_far_as_it_is_asked_to(engine: Engine) -> None:
    assert await engine.finds_more_than(Question("leber"), 7)
    assert not await engine.finds_more_than(Question("leber"), 8)


async def test_suggestions_of_any_word_keep_their_order(engine: Engine, database: Database) -> None:
    found = [one.text for one in await suggest(database, "huber")]
    assert found == ["Leder Huber"]
    found = [one.text for one in await suggest(database, "stahlbau wed")]
    assert found == ["Weder Stahlbau"]


def test_a_cursor_of_a_long_name_can_be_read_again() -> None:
    signer = Signer(_KEY)
    cursor = Cursor("f", "株" * 200 + "會" * 200, 7, {"ab": ("abc",)})
    text = written(signer, cursor)
    assert len(text) <= MAX_CHARACTERS
    assert parsed(signer, text, "f") == cursor
    narrow = Cursor("f", "я" * 400, 7, {})
    assert len(written(signer, narrow)) < 2000


def test_a_question_knows_its_words_and_equals_its_like() -> None:
    one, other = Question("25.62 Weiß"), Question("25.62 Weiß")
    assert one.words is one.words
    assert one.words == ("c2562", "weiss")
    assert one == other
    assert hash(one) == hash(other)


def test_towns_are_sorted_once() -> None:
    assert towns() is towns()


async def test_the_first_page_shows_what_was_filled_in(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    database = context_of(app).database
    assert "The directory is empty" in (await client.get("/")).text
    async with database.transaction() as transaction:
        draft = Draft("Weber", city="Ulm", country="DE", latitude_deg=48.4, longitude_deg=10.0)
        at = await suppliers.create(transaction, draft)
        await index.refresh(transaction, [at])
    page = (await client.get("/")).text
    assert "The directory is empty" not in page
    assert "1 suppliers" in page
    assert 'class="atlas"' in page


async def test_the_head_of_a_search_without_words_fits_its_list(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    database = context_of(app).database
    async with database.transaction() as transaction:
        at = await suppliers.create(transaction, Draft("Weber", country="DE"))
        await index.refresh(transaction, [at])
    counted = (await client.get("/api/v1/suppliers/overview", params={"q": "!!!"})).json()
    assert counted["count"] == 0


async def test_who_is_near_is_kept_and_what_is_said_of_them_is_not(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.execute("INSERT INTO codes (code, title) VALUES ('25.62', 't')")
        ids = [
            await suppliers.create(
                transaction,
                Draft(
                    f"Weber {n}", codes=("25.62",), latitude_deg=48.0 + n / 100, longitude_deg=10.0
                ),
            )
            for n in range(5)
        ]
    async with Runtime(processes=1, lanes=("event_loop", "thread")) as runtime:
        made = Engine(database, runtime, Signer(_KEY))
        row = await suppliers.get(database, ids[0])
        assert row is not None
        near = await made.neighbours(row, 3)
        assert [hit.row["id"] for hit in near] == ids[1:4]
        assert near[0].distance_km == pytest.approx(1.11, abs=0.01)
        async with database.transaction() as transaction:
            await suppliers.set_status(transaction, ids[1], "archived")
            row_2 = await suppliers.get(transaction, ids[2])
            assert row_2 is not None
            draft = suppliers.draft_of(row_2)._replace(name="Maier")
            await suppliers.update(transaction, ids[2], draft)
        near = await made.neighbours(row, 3)
        assert [hit.row["name"] for hit in near] == ["Maier", "Weber 3"]
        assert await made.neighbours({**row, "codes": []}, 3) == []
        await made.close()
