"""PostgreSQL through asyncpg, for directories that outgrow one file or one server."""

import importlib
import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

from supplyr.db.database import ConflictError, DatabaseError, Dialect, Parameters, Row

# One query may not hold a connection for longer; a search takes milliseconds.
_STATEMENT_TIMEOUT_S = 30.0
_PLACE = re.compile(r"\?")


@lru_cache(maxsize=1024)
def numbered(sql: str) -> str:
    """Return `sql` with `?`, `?` written as `$1`, `$2`. No statement has a `?` in a literal."""
    parts = _PLACE.split(sql)
    return parts[0] + "".join(f"${number}{part}" for number, part in enumerate(parts[1:], 1))


def _driver() -> Any:
    try:
        return importlib.import_module("asyncpg")
    except ImportError as error:
        raise DatabaseError(
            "PostgreSQL needs the package asyncpg: pip install 'supplyr[postgresql]'"
        ) from error


class _Connection:
    """One connection inside a transaction. owner: the task that began it."""

    dialect: Dialect = "postgresql"

    def __init__(self, raw: Any, conflict: type[Exception]) -> None:
        self._raw = raw
        self._conflict = conflict

    async def fetch_all(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        try:
            return [dict(row) for row in await self._raw.fetch(numbered(sql), *parameters)]
        except self._conflict as error:
            raise ConflictError(str(error)) from error

    async def fetch_one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        try:
            row = await self._raw.fetchrow(numbered(sql), *parameters)
        except self._conflict as error:
            raise ConflictError(str(error)) from error
        return None if row is None else dict(row)

    async def execute(self, sql: str, parameters: Parameters = ()) -> int:
        try:
            tag: str = await self._raw.execute(numbered(sql), *parameters)
        except self._conflict as error:
            raise ConflictError(str(error)) from error
        last = tag.rpartition(" ")[2]
        return int(last) if last.isdigit() else -1

    async def execute_many(self, sql: str, rows: Iterable[Parameters]) -> None:
        try:
            await self._raw.executemany(numbered(sql), rows)
        except self._conflict as error:
            raise ConflictError(str(error)) from error


class PostgresqlDatabase:
    """A server as database, see supplyr.db.database.Database. owner: its event loop."""

    dialect: Dialect = "postgresql"

    def __init__(self, pool: Any, conflict: type[Exception]) -> None:
        self._pool = pool
        self._conflict = conflict

    async def fetch_all(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """See Reader."""
        return [dict(row) for row in await self._pool.fetch(numbered(sql), *parameters)]

    async def fetch_one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """See Reader."""
        row = await self._pool.fetchrow(numbered(sql), *parameters)
        return None if row is None else dict(row)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[_Connection]:
        """See Database."""
        async with self._pool.acquire() as raw, raw.transaction():
            yield _Connection(raw, self._conflict)

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[_Connection]:
        """See Database."""
        async with (
            self._pool.acquire() as raw,
            raw.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield _Connection(raw, self._conflict)

    async def close(self) -> None:
        """See Database."""
        await self._pool.close()


async def open_postgresql(url: str, connections: int = 10) -> PostgresqlDatabase:
    """Connect; DatabaseError says what is in the way, without the password."""
    driver = _driver()
    try:
        pool = await driver.create_pool(
            url,
            min_size=1,
            max_size=connections,
            command_timeout=_STATEMENT_TIMEOUT_S,
            # Plans made for one word would serve all others badly, and searches differ.
            server_settings={"application_name": "supplyr", "plan_cache_mode": "force_custom_plan"},
        )
    except (OSError, driver.PostgresError, driver.InterfaceError, ValueError) as error:
        raise DatabaseError(
            f"PostgreSQL cannot be reached ({error}); check SUPPLYR_DATABASE and whether it runs"
        ) from error
    return PostgresqlDatabase(pool, driver.IntegrityConstraintViolationError)
