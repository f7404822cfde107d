"""Notes that nobody waits for: who reads is not held up by those who write."""

import asyncio
import logging
import sqlite3
from pathlib import Path

import pytest

from supplyr.auth import keys, sessions
from supplyr.db.asides import Asides
from supplyr.db.database import Database, DatabaseError
from supplyr.db.sqlite import open_sqlite
from supplyr.settings import Settings

from .jobs_support import one
from .people import add_user


async def test_who_reads_does_not_wait_for_who_writes(
    database: Database, settings: Settings
) -> None:
    user = await add_user(database)
    async with database.transaction() as transaction:
        token = await sessions.begin_session(transaction, user, settings)
        key = (await keys.make_key(transaction, user, "test")).key
        await transaction.execute("UPDATE sessions SET seen_at_s = seen_at_s - 100")
    seen = await one(database, "SELECT seen_at_s FROM sessions")
    async with database.transaction():
        # Where there is one writer, this would wait until the test's time is over.
        for _ in range(3):
            assert await sessions.identity_of_session(database, token, settings) is not None
            assert await keys.identity_of_key(database, key) is not None
    while await one(database, "SELECT seen_at_s FROM sessions") == seen:
        await asyncio.sleep(0.01)
    while await one(database, "SELECT used_at_s FROM api_keys") is None:
        await asyncio.sleep(0.01)


async def test_what_waits_already_is_not_noted_twice(database: Database) -> None:
    asides = Asides(database)
    async with database.transaction() as transaction:
        await transaction.execute("INSERT INTO codes (code, title) VALUES ('25', 't')")
    for title in ("a", "b"):
        asides.add("code", "UPDATE codes SET title = title || ?", (title,))
    while await one(database, "SELECT title FROM codes") == "t":
        await asyncio.sleep(0.01)
    await asides.close()
    assert await one(database, "SELECT title FROM codes") == "ta"


async def test_what_cannot_be_noted_is_told_in_the_log(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    class Away:
        def transaction(self) -> object:
            raise DatabaseError("away")

    asides = Asides(Away())  # type: ignore[arg-type]  # all that is asked of it
    with caplog.at_level(logging.WARNING):
        asides.add(1, "UPDATE codes SET title = ?", ("x",))
        while asides._waiting:
            await asyncio.sleep(0)
    assert "away" in caplog.text


async def test_what_still_waits_at_the_end_is_given_up(database: Database) -> None:
    asides = Asides(database)
    async with database.transaction():
        asides.add(1, "INSERT INTO codes (code, title) VALUES ('25', 't')", ())
        await asyncio.sleep(0)
        if database.dialect == "sqlite":
            await asides.close()
            assert not asides._waiting
    await asides.close()
    if database.dialect == "sqlite":
        assert await one(database, "SELECT count(*) FROM codes") == 0


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (sqlite3.SQLITE_BUSY_RECOVERY, "another program"),
        (sqlite3.SQLITE_FULL, "disk"),
        (sqlite3.SQLITE_IOERR_WRITE, "disk"),
    ],
)
async def test_what_a_disk_does_is_told_as_such(tmp_path: Path, code: int, told: str) -> None:
    database = await open_sqlite(tmp_path / "directory.sqlite3", readers=1)

    def fails() -> None:
        error = sqlite3.OperationalError("as the disk has it")
        error.sqlite_errorcode = code
        raise error

    with pytest.raises(DatabaseError, match=told):
        await database._writer._run(fails)
    await database.close()
