"""Long price lists: each block of an import costs as much as the one before."""

import json
from typing import Any

import pytest
from lanewise import Runtime

from supplyr.auth.signing import Signer
from supplyr.db.database import Database
from supplyr.jobs import import_products
from supplyr.records import PriceRow
from supplyr.search import index
from supplyr.search.engine import Engine
from supplyr.search.question import Question
from supplyr.settings import Settings
from supplyr.store import products, suppliers
from supplyr.store.suppliers import Draft

from .jobs_support import add_user, ended, one, running, submit_import

_COLUMNS = {"sku": 0, "description": 1, "unit": 2, "price_cents": 3, "currency": 4}


def _csv(texts: list[str]) -> bytes:
    lines = ["Artikelnummer;Bezeichnung;Einheit;Preis;Währung"]
    lines += [f"ABC-{number:05d};{text};pcs;1,00;EUR" for number, text in enumerate(texts)]
    return "\n".join(lines).encode()


async def _supplier(database: Database) -> int:
    async with database.transaction() as transaction:
        at = await suppliers.create(transaction, Draft("Weber", country="DE"))
        await index.refresh(transaction, [at])
    return at


async def _found(database: Database, text: str) -> list[int]:
    async with Runtime(processes=1, lanes=("event_loop", "thread")) as runtime:
        engine = Engine(database, runtime, Signer("a key of thirty-two characters ok"))
        page = await engine.page(Question(text), 20)
        await engine.close()
    return [hit.row["id"] for hit in page.hits]


async def _import(
    database: Database, settings: Settings, user: int, supplier: int, texts: list[str]
) -> Any:
    job = await submit_import(
        database, settings, user, _csv(texts), kind="products", columns=_COLUMNS,
        supplier_id=supplier,
    )  # fmt: skip
    async with running(database, settings):
        row = await ended(database, job["id"])
    assert row["state"] == "done", row["error"]
    return json.loads(row["result_json"])


async def test_no_block_reads_what_those_before_it_wrote(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    texts_of = products.texts_of

    async def counted(*arguments: Any) -> Any:
        found = await texts_of(*arguments)
        read.append(sum(map(len, found.values())))
        return found

    monkeypatch.setattr(products, "texts_of", counted)
    user = await add_user(database)
    supplier = await _supplier(database)
    read.clear()
    texts = [f"Flansch {'abcdefghij'[n % 10]}{n // 10 % 10}x" for n in range(1000)]
    result = await _import(database, settings, user, supplier, [*texts, "Sechskantmutter"])
    assert result == {"rows": 1001, "created": 1001, "updated": 0, "rejected": 0}
    assert read == [101], "all texts once, at the end, and each of them once"
    assert await _found(database, "flansch j9x") == [supplier]
    assert await _found(database, "sechskantmutter") == [supplier]
    assert await _found(database, "weber") == [supplier]


async def test_words_that_no_product_has_any_more_go_with_the_next_list(
    database: Database, settings: Settings
) -> None:
    user = await add_user(database)
    supplier = await _supplier(database)
    await _import(database, settings, user, supplier, ["Flansch", "Rohr"])
    assert await _found(database, "flansch") == [supplier]
    await _import(database, settings, user, supplier, ["Kugelhahn"])
    assert await _found(database, "kugelhahn") == [supplier]
    assert await _found(database, "flansch") == []
    assert await _found(database, "rohr") == [supplier]


async def test_what_is_in_is_found_before_the_end(database: Database) -> None:
    supplier = await _supplier(database)
    async with database.transaction() as transaction:
        await index.add_product_words(transaction, supplier, ["flansch", "rohr"])
        await index.add_product_words(transaction, supplier, ["rohr", "mutter"])
    for word in ("flansch", "rohr", "mutter", "weber"):
        assert await _found(database, word) == [supplier], word
    assert await _found(database, "flnasch") == [supplier], "it can be misspelt as well"


async def test_a_document_takes_no_more_words_than_it_may(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "MAX_PRODUCT_WORDS", 3)
    supplier = await _supplier(database)
    async with database.transaction() as transaction:
        for n in range(4):
            letter = "abcd"[n]
            await index.add_product_words(transaction, supplier, [f"{letter}xyz", f"{letter}uvw"])
    assert await one(database, "SELECT count(*) FROM search_words") <= 4


async def test_a_change_while_the_document_is_made_makes_it_anew(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await add_user(database)
    supplier = await _supplier(database)
    state = import_products._state
    changed: list[bool] = []

    async def while_it_changes(reader: Any, supplier_id: int) -> Any:
        found = await state(reader, supplier_id)
        if not changed:
            changed.append(True)
            row = PriceRow("NEW-1", "Kugelhahn", "pcs", 100, "EUR", 1)
            async with database.transaction() as transaction:
                await products.put_many(transaction, [(supplier_id, row)])
        return found

    monkeypatch.setattr(import_products, "_state", while_it_changes)
    await _import(database, settings, user, supplier, ["Flansch"])
    assert await _found(database, "kugelhahn") == [supplier]
    assert await _found(database, "flansch") == [supplier]


async def test_of_a_long_list_so_many_texts_are_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "MAX_TEXTS", 3)
    supplier, other = await _supplier(database), await _supplier(database)
    texts = ["a", "b", "a", "c", "d"]
    async with database.transaction() as transaction:
        rows = [
            (at, PriceRow(f"S-{n}", text, "pcs", 100, "EUR", 1))
            for at in (supplier, other)
            for n, text in enumerate(texts)
        ]
        await products.put_many(transaction, rows)
    assert await products.texts_of(database, [other, supplier]) == {
        supplier: ["a", "b", "c"],
        other: ["a", "b", "c"],
    }
