"""PostgreSQL through asyncpg, for directories that outgrow one file or one server."""

import asyncio
import importlib
import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import lru_cache
from typing import Any

from supplyr.db.asides import Asides
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


class _Errors:
    """Turns what the driver raises into what callers know. Threads: may be used from any."""

    def __init__(self, driver: Any) -> None:
        self._conflict: type[Exception] = driver.IntegrityConstraintViolationError
        self.away = (
            OSError,
            TimeoutError,
            driver.InterfaceError,
            driver.PostgresConnectionError,
            driver.OperatorInterventionError,  # shut down, or told to stop
            driver.InsufficientResourcesError,
            driver.TransactionRollbackError,  # two that waited for each other: one gave way
        )

    @contextmanager
    def told(self) -> Iterator[None]:
        """Raise ConflictError or DatabaseError in place of the driver's errors."""
        try:
            yield
        except self._conflict as error:
            raise ConflictError(str(error)) from error
        except self.away as error:
            raise DatabaseError(
                f"PostgreSQL did not answer ({type(error).__name__}: {error}); try again"
            ) from error


class _Connection:
    """One connection inside a transaction. owner: the task that began it."""

    dialect: Dialect = "postgresql"

    def __init__(self, raw: Any, errors: _Errors) -> None:
        self._raw = raw
        self._errors = errors

    async def fetch_all(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        with self._errors.told():
            return [dict(row) for row in await self._raw.fetch(numbered(sql), *parameters)]

    async def fetch_one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        with self._errors.told():
            row = await self._raw.fetchrow(numbered(sql), *parameters)
        return None if row is None else dict(row)

    async def execute(self, sql: str, parameters: Parameters = ()) -> int:
        with self._errors.told():
            tag: str = await self._raw.execute(numbered(sql), *parameters)
        last = tag.rpartition(" ")[2]
        return int(last) if last.isdigit() else -1

    async def execute_many(self, sql: str, rows: Iterable[Parameters]) -> None:
        with self._errors.told():
            await self._raw.executemany(numbered(sql), rows)


class PostgresqlDatabase:
    """A server as database, see supplyr.db.database.Database. owner: its event loop."""

    dialect: Dialect = "postgresql"

    def __init__(self, pool: Any, errors: _Errors) -> None:
        self._pool = pool
        self._errors = errors
        self._asides = Asides(self)

    async def fetch_all(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """See Reader."""
        async with self._connection() as raw:
            return await _Connection(raw, self._errors).fetch_all(sql, parameters)

    async def fetch_one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """See Reader."""
        async with self._connection() as raw:
            return await _Connection(raw, self._errors).fetch_one(sql, parameters)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[_Connection]:
        """See Database."""
        async with self._connection() as raw:
            begun = raw.transaction()
            with self._errors.told():
                await begun.start()
            try:
                yield _Connection(raw, self._errors)
            except BaseException:
                # A connection that is lost has nothing to roll back.
                with suppress(*self._errors.away):
                    await begun.rollback()
                raise
            with self._errors.told():
                await begun.commit()

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[_Connection]:
        """See Database."""
        async with (
            self._connection() as raw,
            raw.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield _Connection(raw, self._errors)

    def aside(self, key: Any, sql: str, parameters: Parameters) -> None:
        """See Database."""
        self._asides.add(key, sql, parameters)

    async def close(self) -> None:
        """See Database."""
        await self._asides.close()
        await self._pool.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Any]:
        with self._errors.told():
            raw = await self._pool.acquire()
        try:
            yield raw
        finally:
            # Cancelled or not, it goes back: whoever waits for one needs it.
            await asyncio.shield(self._pool.release(raw))


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
    return PostgresqlDatabase(pool, _Errors(driver))
