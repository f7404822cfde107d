"""The audit trail: what belongs together, and what somebody who meddles with it leaves behind."""

import asyncio
import sqlite3

import pytest

from supplyr.commands.audit import run as verify_command
from supplyr.db.database import ConflictError, Database
from supplyr.settings import Settings
from supplyr.store import audit


async def _some(database: Database, count: int) -> None:
    for number in range(count):
        async with database.transaction() as transaction:
            detail = {"number": number, "text": "ü ✓"}
            await audit.append(
                transaction, "user:1", "supplier.update", f"supplier:{number}", detail
            )


async def test_entries_are_a_chain(database: Database) -> None:
    assert (await audit.verify(database)).entries == 0
    await _some(database, 5)
    verdict = await audit.verify(database)
    assert (verdict.entries, verdict.broken) == (5, None)
    assert await audit.contains(database, verdict.head)
    await _some(database, 1)
    assert (await audit.verify(database)).head != verdict.head
    assert await audit.contains(database, verdict.head)


async def test_many_writers_make_one_chain(database: Database) -> None:
    await asyncio.gather(*(_some(database, 4) for _ in range(8)))
    verdict = await audit.verify(database)
    assert (verdict.entries, verdict.broken) == (32, None)


async def test_a_change_that_fails_leaves_no_entry(database: Database) -> None:
    async def fails() -> None:
        async with database.transaction() as transaction:
            await audit.append(transaction, "user:1", "x", "y")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    assert (await audit.verify(database)).entries == 0


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_entries SET actor = 'user:2' WHERE number = 2",
        "DELETE FROM audit_entries WHERE number = 2",
        "DELETE FROM audit_entries",
    ],
)
async def test_entries_can_be_neither_changed_nor_deleted(database: Database, sql: str) -> None:
    await _some(database, 3)

    async def meddle() -> None:
        async with database.transaction() as transaction:
            await transaction.execute(sql)

    with pytest.raises(ConflictError):
        await meddle()
    assert (await audit.verify(database)).entries == 3


@pytest.mark.parametrize(
    ("sql", "number", "what"),
    [
        ("UPDATE audit_entries SET actor = 'user:2' WHERE number = 3", 3, "changed"),
        ("UPDATE audit_entries SET detail_json = '{}' WHERE number = 3", 3, "changed"),
        ("UPDATE audit_entries SET at_s = at_s + 1 WHERE number = 1", 1, "changed"),
        ("DELETE FROM audit_entries WHERE number = 2", 3, "missing"),
        ("DELETE FROM audit_entries WHERE number = 1", 2, "missing"),
        ("UPDATE audit_entries SET previous_hash = 'x' WHERE number = 4", 4, "continue"),
    ],
)
async def test_who_gets_around_that_is_found(
    database: Database, settings: Settings, sql: str, number: int, what: str
) -> None:
    await _some(database, 5)
    # As somebody would who has the database itself: without its triggers.
    if database.dialect == "sqlite":
        with sqlite3.connect(settings.sqlite_path) as raw:
            raw.execute("DROP TRIGGER audit_entries_stay")
            raw.execute("DROP TRIGGER audit_entries_are_kept")
            raw.execute(sql)
        raw.close()
    else:
        async with database.transaction() as transaction:
            await transaction.execute("ALTER TABLE audit_entries DISABLE TRIGGER USER")
            await transaction.execute(sql)
    verdict = await audit.verify(database)
    assert verdict.broken is not None
    assert verdict.broken.number == number
    assert what in verdict.broken.what
    status = await asyncio.to_thread(
        verify_command, settings, type("Options", (), {"head": None})()
    )
    assert status == 1


async def test_what_was_cut_off_at_the_end_is_found_by_a_head_that_was_noted(
    database: Database, settings: Settings
) -> None:
    await _some(database, 3)
    head = (await audit.verify(database)).head
    options = type("Options", (), {"head": head})()
    assert await asyncio.to_thread(verify_command, settings, options) == 0
    if database.dialect == "sqlite":
        with sqlite3.connect(settings.sqlite_path) as raw:
            raw.execute("DROP TRIGGER audit_entries_are_kept")
            raw.execute("DELETE FROM audit_entries WHERE number = 3")
        raw.close()
    else:
        async with database.transaction() as transaction:
            await transaction.execute("ALTER TABLE audit_entries DISABLE TRIGGER USER")
            await transaction.execute("DELETE FROM audit_entries WHERE number = 3")
    assert (await audit.verify(database)).broken is None
    assert await asyncio.to_thread(verify_command, settings, options) == 1
