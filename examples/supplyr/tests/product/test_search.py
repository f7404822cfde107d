"""What is found, in which order, and how pages follow each other: on both databases alike."""

import math
from collections.abc import AsyncIterator
from random import Random

import pytest
from lanewise import Runtime

from supplyr.auth.signing import Signer
from supplyr.db.database import Database
from supplyr.places import town_called
from supplyr.ranking import distance_km
from supplyr.records import PriceRow
from supplyr.search import index
from supplyr.search.cursor import CursorError
from supplyr.search.engine import Engine
from supplyr.search.question import Near, Question, Sort
from supplyr.search.suggest import suggest
from supplyr.seeding import put_codes, seed_directory
from supplyr.store import products, suppliers
from supplyr.store.suppliers import Draft

_KEY = "a key of thirty-two characters ok"
_BERLIN = (52.52, 13.40)
_DRAFTS = [
    Draft("Weiß Stahlbau GmbH", city="Berlin", country="DE", region="Berlin", codes=("25.11",),
          latitude_deg=52.52, longitude_deg=13.40, description="Balconies and staircases."),
    Draft("Müller Zerspanungstechnik AG", city="München", country="DE", region="Bayern",
          codes=("25.62",), certificates=("ISO 9001",), latitude_deg=48.14, longitude_deg=11.58),
    Draft("Schmidt Druckerei", city="Wien", country="AT", region="Wien", codes=("18.12",),
          latitude_deg=48.21, longitude_deg=16.37, certificates=("ISO 9001", "ISO 14001")),
    Draft("Stahl und Eisen Handel KG", city="Berlin", country="DE", region="Berlin",
          codes=("46.69",), latitude_deg=52.50, longitude_deg=13.50),
    Draft("Fiji Dateline Pumps", city="Taveuni", country="FJ", latitude_deg=-16.8,
          longitude_deg=179.99, codes=("28.13",)),
    Draft("Samoa Pumps", city="Apia", country="WS", latitude_deg=-16.8, longitude_deg=-179.98,
          codes=("28.13",)),
]  # fmt: skip


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[Engine]:
    await put_codes(database)
    async with database.transaction() as transaction:
        ids = await suppliers.create_many(transaction, _DRAFTS)
        row = PriceRow("2511-1", "Spiral staircase 90 cm", "pcs", 100, "EUR", 1)
        await products.put_many(transaction, [(ids[0], row)])
        await index.refresh(transaction, ids)
    async with Runtime(processes=1, lanes=("event_loop", "thread")) as runtime:
        made = Engine(database, runtime, Signer(_KEY))
        yield made
        await made.close()


async def _names(engine: Engine, question: Question) -> list[str]:
    return [hit.row["name"] for hit in (await engine.page(question, 20)).hits]


_FOUND = [
    ("weiss", "Weiß Stahlbau GmbH"),
    ("WEISS stahlbau", "Weiß Stahlbau GmbH"),
    ("mueller", "Müller Zerspanungstechnik AG"),
    ("müller", "Müller Zerspanungstechnik AG"),
    ("spiral staircase", "Weiß Stahlbau GmbH"),
    ("balconies", "Weiß Stahlbau GmbH"),
    ("precision machining", "Müller Zerspanungstechnik AG"),
    ("mécanique", "Müller Zerspanungstechnik AG"),
    ("25.62", "Müller Zerspanungstechnik AG"),
    ("25.6", "Müller Zerspanungstechnik AG"),
    ("druck wien", "Schmidt Druckerei"),
    ("iso 14001", "Schmidt Druckerei"),
    ("zerspan", "Müller Zerspanungstechnik AG"),
]


async def test_words_are_found_wherever_they_stand(engine: Engine) -> None:
    for text, first in _FOUND:
        assert (await _names(engine, Question(text)))[0] == first, text


_MISTAKES = [
    ("shcmidt", "Schmidt Druckerei"),  # swapped
    ("schmit", "Schmidt Druckerei"),  # left out
    ("zerspanugnstechnik", "Müller Zerspanungstechnik AG"),
    ("wiess stahlbau", "Weiß Stahlbau GmbH"),
    ("druckrei wein", "Schmidt Druckerei"),
    ("munchen", "Müller Zerspanungstechnik AG"),  # one umlaut for "muenchen"
]


async def test_mistakes_are_forgiven(engine: Engine) -> None:
    for text, name in _MISTAKES:
        page = await engine.page(Question(text), 20)
        assert name in [hit.row["name"] for hit in page.hits], text
        assert page.near_words


async def test_the_name_weighs_more_than_the_rest(engine: Engine, database: Database) -> None:
    async with database.transaction() as transaction:
        new = await suppliers.create(transaction, Draft("Balconies Direct"))
        await index.refresh(transaction, [new])
    assert await _names(engine, Question("balconies")) == ["Balconies Direct", "Weiß Stahlbau GmbH"]


async def test_nonsense_finds_nothing(engine: Engine) -> None:
    for text in (
        "qqqqqqqq",
        "!!!",
        "* OR 1=1",
        "' OR ''='",
        '"',
        "NEAR(a b)",
        "name:stahl -",
        "\\",
    ):
        assert await _names(engine, Question(text)) in ([], ["Stahl und Eisen Handel KG"]), text


async def test_filters_narrow_down(engine: Engine) -> None:
    assert len(await _names(engine, Question(country="DE"))) == 3
    assert len(await _names(engine, Question(country="DE", region="Berlin"))) == 2
    assert await _names(engine, Question(code="18")) == ["Schmidt Druckerei"]
    assert len(await _names(engine, Question(code="25"))) == 2
    assert await _names(engine, Question(code="25.1")) == ["Weiß Stahlbau GmbH"]
    assert len(await _names(engine, Question(certificate="ISO 9001"))) == 2
    assert await _names(engine, Question("stahl", code="46")) == ["Stahl und Eisen Handel KG"]


async def test_a_radius_holds_what_is_inside_and_tells_how_far(engine: Engine) -> None:
    page = await engine.page(Question(near=Near(*_BERLIN, 20), sort="distance"), 20)
    assert [hit.row["name"] for hit in page.hits] == [
        "Weiß Stahlbau GmbH",
        "Stahl und Eisen Handel KG",
    ]
    far = page.hits[1].distance_km
    assert far is not None
    assert far == pytest.approx(distance_km(*_BERLIN, 52.50, 13.50), abs=0.001)
    assert await _names(engine, Question(near=Near(*_BERLIN, far - 0.01))) == ["Weiß Stahlbau GmbH"]


async def test_a_radius_goes_across_the_date_line(engine: Engine) -> None:
    page = await engine.page(Question(near=Near(-16.8, 180.0, 10), sort="distance"), 20)
    assert [hit.row["name"] for hit in page.hits] == ["Fiji Dateline Pumps", "Samoa Pumps"]


async def test_facets_count_what_is_found(engine: Engine) -> None:
    overview = await engine.overview(Question(country="DE"))
    assert overview.suppliers == 3
    assert {one.value: one.suppliers for one in overview.facets["codes"]} == {"25": 2, "46": 1}
    assert {one.value: one.suppliers for one in overview.facets["regions"]} == {
        "Berlin": 2,
        "Bayern": 1,
    }
    assert "regions" not in (await engine.overview(Question("stahl"))).facets


async def test_a_cursor_belongs_to_its_question_and_cannot_be_made_up(engine: Engine) -> None:
    cursor = (await engine.page(Question(country="DE"), 1)).next_cursor
    assert cursor is not None
    assert (await engine.page(Question(country="DE"), 1, cursor)).hits
    body, _, mac = cursor.partition(".")
    for other in ("", "x", ".", "a.b", f"{body}.", f"{body}x.{mac}", f"{body}.{mac}x", "é.é"):
        with pytest.raises(CursorError):
            await engine.page(Question(country="DE"), 1, other)
    with pytest.raises(CursorError):
        await engine.page(Question(country="AT"), 1, cursor)


async def test_what_is_archived_is_found_no_more(engine: Engine, database: Database) -> None:
    (found,) = (await engine.page(Question("schmidt"), 20)).hits
    async with database.transaction() as transaction:
        await suppliers.set_status(transaction, found.row["id"], "archived")
        await index.refresh(transaction, [found.row["id"]])
    assert await _names(engine, Question("schmidt")) == []
    assert "Schmidt Druckerei" not in await _names(engine, Question())


_TYPED: list[tuple[str, str | None]] = [
    ("we", "Weiß Stahlbau GmbH"),
    ("Weiß St", "Weiß Stahlbau GmbH"),
    ("mull", None),
    ("muell", "Müller Zerspanungstechnik AG"),
    ("berlin stahl", "Stahl und Eisen Handel KG"),
    ("w", None),
    ("%", None),
    ("_____", None),
]


async def test_suggestions(engine: Engine, database: Database) -> None:
    for typed, expected in _TYPED:
        names = [one.text for one in await suggest(database, typed) if one.kind == "supplier"]
        assert (expected in names) if expected else names == [], typed


async def test_trades_are_suggested_in_several_languages(
    engine: Engine, database: Database
) -> None:
    for typed in ("printing", "commercial", "druck", "imprim", "tipog", "18.12"):
        codes = [one.key for one in await suggest(database, typed) if one.kind == "code"]
        assert "18.12" in codes or "18" in codes, typed


_SORTS: tuple[Sort, ...] = ("relevance", "ranking", "name", "distance", "newest")


@pytest.mark.parametrize("sort", _SORTS)
async def test_pages_follow_each_other_without_gaps_or_repeats(
    database: Database, sort: Sort
) -> None:
    await seed_directory(database, 240, seed=7)
    town = town_called("hamburg")
    assert town is not None
    near = Near(town.latitude_deg, town.longitude_deg, 500.0)
    async with Runtime(processes=1, lanes=("event_loop", "thread")) as runtime:
        engine = Engine(database, runtime, Signer(_KEY))
        for question in (
            Question("s", sort=sort),
            Question(country="DE", sort=sort),
            Question(near=near, sort=sort),
        ):
            whole = [hit.row["id"] for hit in (await engine.page(question, 240)).hits]
            seen: list[int] = []
            cursor = None
            while True:
                page = await engine.page(question, 7, cursor)
                seen += [hit.row["id"] for hit in page.hits]
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert seen == whole
            assert len(set(seen)) == len(seen) > 20
        await engine.close()


async def test_both_databases_find_the_same(database: Database) -> None:
    made = await seed_directory(database, 300, seed=11)
    async with Runtime(processes=1, lanes=("event_loop", "thread")) as runtime:
        engine = Engine(database, runtime, Signer(_KEY))
        found = await engine.page(Question("stahl", sort="name"), 100)
        every = [await suppliers.get(database, at) for at in made.ids]
        goods = await products.descriptions_of(database, made.ids)
        await engine.close()
    # By hand: a word that begins with "stahl" anywhere in what is indexed.
    by_hand = {
        row["id"]
        for row in every
        if row is not None and ("25.11" in row["codes"] or "stahl" in f" {row['name']}".casefold())
    }
    assert {hit.row["id"] for hit in found.hits} == by_hand
    assert math.isclose(sum(map(len, goods.values())), made.products)


async def test_no_text_is_too_strange_to_be_asked(engine: Engine, database: Database) -> None:
    rng = Random(20261127)
    alphabet = "ab Z09.,;:'\"()*&|!<>~-_%?$\\/^{}[]@#\t\n\x00"
    alphabet += "²ßİıǆ\u0301\u200d\u202eｆ１٣४漢字ไ🧱\U000e0041"
    for _ in range(150):
        text = "".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 30)))
        await engine.page(Question(text), 5)
        await engine.overview(Question(text))
        await suggest(database, text)


async def test_whatever_a_supplier_is_called_can_be_found_again(
    engine: Engine, database: Database
) -> None:
    names = [
        "漢字 株式会社",
        "Ελληνικά ΑΕ",
        "Ørsted A/S",
        "Łódź Sp. z o.o.",
        "ﬁne Ⅳ",
        "x" * 200,
        "²³",
    ]
    async with database.transaction() as transaction:
        ids = await suppliers.create_many(transaction, [Draft(name) for name in names])
        await index.refresh(transaction, ids)
    for name in names:
        assert name in await _names(engine, Question(name)), name
