"""What both databases promise."""

import asyncio
import sqlite3

import pytest

from supplyr.db.database import (
    ConflictError,
    Database,
    DatabaseError,
    Row,
    among,
    among_texts,
    listed,
)
from supplyr.db.migrate import migrate, migrations
from supplyr.db.sqlite import SqliteDatabase, open_sqlite
from supplyr.settings import Settings

from .jobs_support import one


async def _codes(database: Database) -> list[str]:
    rows = await database.fetch_all("SELECT code FROM codes ORDER BY code")
    return [row["code"] for row in rows]


async def _add(database: Database, code: str) -> None:
    async with database.transaction() as transaction:
        await transaction.execute("INSERT INTO codes (code, title) VALUES (?, ?)", (code, "t"))


async def test_a_migrated_database_has_nothing_left_to_migrate(database: Database) -> None:
    assert await migrate(database) == []


async def test_both_dialects_have_the_same_migrations() -> None:
    names = [[name for _, name, _ in migrations(d)] for d in ("sqlite", "postgresql")]
    assert names[0] == names[1]
    assert names[0]


async def test_what_a_transaction_did_is_there_when_it_ends_well(database: Database) -> None:
    await _add(database, "25")
    assert await _codes(database) == ["25"]


async def test_nothing_is_left_of_a_transaction_that_fails(database: Database) -> None:
    async def fails() -> None:
        async with database.transaction() as transaction:
            await transaction.execute("INSERT INTO codes (code, title) VALUES ('25', 't')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    assert await _codes(database) == []
    await _add(database, "26")  # and the connection goes on working
    assert await _codes(database) == ["26"]


async def test_a_broken_rule_is_a_conflict(database: Database) -> None:
    await _add(database, "25")
    with pytest.raises(ConflictError):
        await _add(database, "25")
    await _add(database, "26")
    assert await _codes(database) == ["25", "26"]


async def test_a_cancelled_transaction_leaves_nothing_and_lets_others_on(
    database: Database,
) -> None:
    inside = asyncio.Event()

    async def waits() -> None:
        async with database.transaction() as transaction:
            await transaction.execute("INSERT INTO codes (code, title) VALUES ('25', 't')")
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(waits())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _add(database, "26")
    assert await _codes(database) == ["26"]


async def _begun(database: Database, sql: str) -> asyncio.Task[Row | None]:
    """Start a query and wait until the database is at work on it: it might wait for a core yet."""
    if isinstance(database, SqliteDatabase):
        loop, begun = asyncio.get_running_loop(), asyncio.Event()
        for connection in database._all:
            connection._raw.set_trace_callback(lambda _: loop.call_soon_threadsafe(begun.set))
        task = asyncio.create_task(database.fetch_one(sql))
        await begun.wait()
        return task
    task = asyncio.create_task(database.fetch_one(sql))
    active = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND state = 'active' AND query LIKE 'WITH RECURSIVE n %'"
    )
    while not await one(database, active):
        await asyncio.sleep(0.02)
    return task


async def test_a_long_query_is_stopped_when_its_caller_leaves(database: Database) -> None:
    # Hours, if it were not stopped; the database could not be closed either.
    endless = (
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000)"
        " SELECT count(*) AS n FROM n"
    )
    query = await _begun(database, endless)
    query.cancel()
    with pytest.raises(asyncio.CancelledError):
        await query
    assert await _codes(database) == []


async def test_many_at_once_are_all_done(database: Database) -> None:
    codes = [f"{number:02d}" for number in range(40)]
    await asyncio.gather(*(_add(database, code) for code in codes))
    assert await _codes(database) == codes


async def test_a_snapshot_sees_one_state(database: Database) -> None:
    await _add(database, "25")
    async with database.snapshot() as reader:
        before = await reader.fetch_all("SELECT code FROM codes")
        await _add(database, "26")
        assert await reader.fetch_all("SELECT code FROM codes") == before
    assert await _codes(database) == ["25", "26"]


async def test_lists_are_one_parameter(database: Database) -> None:
    for code in ("10", "20", "30"):
        await _add(database, code)
    rows = await database.fetch_all(
        f"SELECT code FROM codes WHERE {among_texts(database.dialect, 'code')} ORDER BY code",  # noqa: S608
        (listed(database.dialect, ["10", "30", "'; DROP TABLE codes; --"]),),
    )
    assert [row["code"] for row in rows] == ["10", "30"]
    assert "?" in among(database.dialect, "id")


async def test_a_connection_that_is_lost_costs_its_transaction_alone(database: Database) -> None:
    if database.dialect == "sqlite":
        pytest.skip("a file has no connection to lose")

    async def lose() -> None:
        async with database.transaction() as transaction:
            await transaction.execute("INSERT INTO codes (code, title) VALUES ('25', 't')")
            await transaction.fetch_all("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(DatabaseError):
        await lose()
    assert await _codes(database) == []
    await _add(database, "26")


async def test_who_waits_for_another_program_too_long_is_told(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database.dialect == "postgresql":
        pytest.skip("rows are locked there, not the database")
    other = sqlite3.connect(settings.sqlite_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with database.snapshot() as reader:  # readers do not care
        assert await reader.fetch_all("SELECT code FROM codes") == []
    monkeypatch.setattr("supplyr.db.sqlite._BUSY_S", 0.05)
    impatient = await open_sqlite(settings.sqlite_path)
    with pytest.raises(DatabaseError, match="another program"):
        await _add(impatient, "25")
    other.execute("ROLLBACK")
    other.close()
    await _add(impatient, "25")
    await impatient.close()
    assert await _codes(database) == ["25"]
