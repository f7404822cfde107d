"""Bring a database to the schema of this version: numbered files, each run once.

A file runs in one transaction with the note that it ran, so one that fails leaves nothing behind.
"""

import re
import time
from importlib.resources import files

from supplyr.db.database import Database, DatabaseError, Dialect, Transaction

_NAME = re.compile(r"(\d{4})_[a-z_]+\.sql")
_BREAK = "\n--;\n"
_NOTES = (
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    " number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at_s DOUBLE PRECISION NOT NULL)"
)
# Any number, the same in every process: they queue for it, so that only one migrates.
_LOCK = 7_208_317


def migrations(dialect: Dialect) -> list[tuple[int, str, list[str]]]:
    """Return (number, name, statements) in order. Statements are parted by lines of `--;`."""
    folder = files("supplyr.db") / "migrations" / dialect
    found: list[tuple[int, str, list[str]]] = []
    for file in folder.iterdir():
        match = _NAME.fullmatch(file.name)
        if match:
            text = file.read_text(encoding="utf-8")
            found.append((int(match.group(1)), file.name, text.split(_BREAK)))
    return sorted(found)


async def migrate(database: Database) -> list[str]:
    """Apply what is missing and return the names of it.

    Raises DatabaseError when the database is newer than this program.
    """
    known = migrations(database.dialect)
    async with database.transaction() as transaction:
        if database.dialect == "postgresql":
            await transaction.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        await transaction.execute(_NOTES)
        rows = await transaction.fetch_all("SELECT number FROM schema_migrations")
        done = {row["number"] for row in rows}
        if done - {number for number, _, _ in known}:
            raise DatabaseError(
                "the database was made by a newer SUPPLYR than this one; use that one, or a copy "
                "of the database from before"
            )
        return [
            await _apply(transaction, number, name, statements)
            for number, name, statements in known
            if number not in done
        ]


async def _apply(transaction: Transaction, number: int, name: str, statements: list[str]) -> str:
    for statement in statements:
        if statement.strip():
            await transaction.execute(statement)
    await transaction.execute(
        "INSERT INTO schema_migrations (number, name, applied_at_s) VALUES (?, ?, ?)",
        (number, name, time.time()),
    )
    return name
