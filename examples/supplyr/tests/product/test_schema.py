"""The schema: on a cluster of any language, and brought up to date with what is in it."""

import subprocess
from pathlib import Path

import pytest
from lanewise import Runtime

from supplyr.auth.signing import Signer
from supplyr.db import migrate
from supplyr.db.database import Database
from supplyr.db.opening import opened
from supplyr.db.sqlite import open_sqlite
from supplyr.records import PriceRow
from supplyr.search.engine import Engine
from supplyr.search.question import Question
from supplyr.seeding import put_codes
from supplyr.settings import Settings
from supplyr.store import images, products, suppliers
from supplyr.store.images import NewImage
from supplyr.store.suppliers import Draft

from .cluster import Cluster
from .jobs_support import one

# PostgreSQL's own tables of a language, so that no locale of the system is needed. In English
# "25.62" comes after "25.6~", as it does in German.
_IN_ENGLISH = ("--locale-provider=icu", "--icu-locale=en")


async def _with_code(database: Database, code: str) -> list[str]:
    async with Runtime(processes=1, lanes=("event_loop", "thread")) as runtime:
        engine = Engine(database, runtime, Signer("a key of thirty-two characters ok"))
        found = [hit.row["name"] for hit in (await engine.page(Question(code=code), 20)).hits]
        overview = await engine.overview(Question(code=code))
        await engine.close()
    assert overview.suppliers == len(found)
    return found


async def test_codes_are_found_by_their_beginning_in_any_language(
    cluster: Cluster, tmp_path: Path
) -> None:
    try:
        made = cluster.new_database(*_IN_ENGLISH)
    except subprocess.CalledProcessError:
        pytest.skip("this PostgreSQL was built without tables of languages")
    settings = Settings(data_dir=tmp_path, database=made)
    async with opened(settings) as database:
        await put_codes(database)
        async with database.transaction() as transaction:
            await suppliers.create(transaction, Draft("Weber", codes=("25.62",)))
            await suppliers.create(transaction, Draft("Maier", codes=("28.13",)))
        for code in ("25", "25.6", "25.62"):
            assert await _with_code(database, code) == ["Weber"], code
        assert await _with_code(database, "25.1") == []


def _earlier(monkeypatch: pytest.MonkeyPatch, last: int) -> None:
    every = migrate.migrations
    monkeypatch.setattr(migrate, "migrations", lambda dialect: every(dialect)[:last])


async def _filled(database: Database) -> tuple[int, int]:
    """Add a supplier with a product and a picture; return the supplier and the picture."""
    await put_codes(database)
    async with database.transaction() as transaction:
        at = await suppliers.create(transaction, Draft("Weber", codes=("25.62",)))
        row = PriceRow("A-1", "Bar", "pcs", 5, "EUR", 1)
        await products.put_many(transaction, [(at, row)])
        picture, _ = await images.add(
            transaction,
            NewImage(at, "logo", "h", "image/png", 1, 1, {"small": b"s", "medium": b"m"}),
        )
    return at, picture


async def test_what_was_there_before_is_there_after_a_migration(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        _earlier(before, 2)
        async with opened(settings) as database:
            at, picture = await _filled(database)
    async with opened(settings) as database:
        (product,) = await products.page_of(database, at, "", 10)
        assert product["sku"] == "A-1"
        content = await images.content(database, picture, "medium")
        assert content is not None
        assert content["content"] == b"m"
        assert await _with_code(database, "25.6") == ["Weber"]
        # What belongs to a supplier still goes with it.
        async with database.transaction() as transaction:
            await transaction.execute("DELETE FROM suppliers WHERE id = ?", (at,))
        for table in ("products", "images", "image_sizes"):
            assert await one(database, f"SELECT count(*) FROM {table}") == 0  # noqa: S608


async def test_the_rules_of_tables_made_anew_are_whole(tmp_path: Path) -> None:
    database = await open_sqlite(tmp_path / "directory.sqlite3")
    try:
        await migrate.migrate(database)
        assert await database.fetch_all("PRAGMA foreign_key_check") == []
        rows = await database.fetch_all(
            "SELECT name, sql FROM sqlite_master WHERE tbl_name IN"
            " ('products', 'images', 'image_sizes') AND sql IS NOT NULL"
        )
    finally:
        await database.close()
    assert not [row for row in rows if "_kept" in row["sql"]]
    assert {"images_by_supplier", "images_by_content"} <= {row["name"] for row in rows}
