"""What SUPPLYR asks of a database: both backends answer to these protocols.

SQL is written once, with `?` for parameters, wherever both dialects agree; where they do not, a
statement asks `dialect`. Rows are plain dictionaries, so that nothing of a driver gets further.
Moments are seconds since 1970 as floats (`..._at_s`), flags are moments that are NULL until then.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol, TypeAlias

Dialect: TypeAlias = Literal["sqlite", "postgresql"]
Row: TypeAlias = dict[str, Any]
Parameters: TypeAlias = Sequence[Any]


class DatabaseError(RuntimeError):
    """The database cannot be used; the message says why and what to do."""


class ConflictError(Exception):
    """A statement would have broken a rule of the schema (unique, foreign key, check)."""


class Reader(Protocol):
    """Something that answers queries.

    Cancellation: the query is stopped, and the connection stays usable.
    """

    @property
    def dialect(self) -> Dialect:
        """Which SQL is spoken."""
        ...

    async def fetch_all(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Return all rows of a query."""
        ...

    async def fetch_one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """Return the first row of a query, or None."""
        ...


class Transaction(Reader, Protocol):
    """A connection inside a transaction: sees its own changes; others do when it has ended well.

    Between its statements nothing may be awaited that takes long, and no task may be run: on the
    embedded database everybody who wants to write waits.
    """

    async def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Change rows and return how many; ConflictError where a rule would be broken."""
        ...

    async def execute_many(self, sql: str, rows: Iterable[Parameters]) -> None:
        """Run one statement for each of many rows, in one go."""
        ...


class Database(Reader, Protocol):
    """A database. Reads go to whatever connection is free; changes need a transaction.

    Threads: belongs to the event loop on which it was opened.
    """

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Begin; commit when the block ends well, else roll back. Not to be nested."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Reader]:
        """Several queries that see one state of the data."""
        ...

    def aside(self, key: Any, sql: str, parameters: Parameters) -> None:
        """Make a change that nobody waits for, when there is room; it may get lost.

        Nothing happens where one of this key waits already.
        """
        ...

    async def close(self) -> None:
        """Wait for what runs, and close every connection."""
        ...


def among(dialect: Dialect, column: str) -> str:
    """Return the SQL for "column is one of these numbers"; its parameter is `listed(...)`."""
    if dialect == "sqlite":
        return f"{column} IN (SELECT value FROM json_each(?))"  # noqa: S608 - a constant
    return f"{column} = ANY(CAST(? AS BIGINT[]))"


def among_texts(dialect: Dialect, column: str) -> str:
    """Return the SQL for "column is one of these texts"; its parameter is `listed(...)`."""
    if dialect == "sqlite":
        return f"{column} IN (SELECT value FROM json_each(?))"  # noqa: S608 - a constant
    return f"{column} = ANY(CAST(? AS TEXT[]))"


def listed(dialect: Dialect, values: Iterable[int] | Iterable[str]) -> Any:
    """Return the one parameter that `among` and `among_texts` take."""
    if dialect == "sqlite":
        return json.dumps(list(values))
    return list(values)
