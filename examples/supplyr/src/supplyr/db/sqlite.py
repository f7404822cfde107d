"""The embedded database: SQLite in WAL mode, one connection that writes and several that read.

Each connection lives on a thread of its own, so the event loop never waits for a disk or a long
query (sqlite3 gives the lock up while it works). Readers never wait for the writer, nor it for
them. A query whose caller was cancelled is interrupted.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from supplyr.db.asides import Asides
from supplyr.db.database import ConflictError, DatabaseError, Dialect, Parameters, Row

# How long a connection waits for another process that writes (a command beside the server).
_BUSY_S = 10.0
_INTERRUPT_S = 0.05
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
# Nothing that the program does wrong: the disk is full, or its hardware fails.
_AWAY = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
# Of a code with more detail (SQLITE_BUSY_RECOVERY, say) the lowest byte is the plain one.
_PLAIN_CODE = 0xFF
# 64 MB of pages for each reader at most; the whole of a directory of 100,000 suppliers is 200 MB.
_CACHE_KIB = 64 * 1024
_MMAP_BYTES = 512 * 1024 * 1024

_Result = TypeVar("_Result")


class _Connection:
    """One sqlite3 connection and its thread. owner: whoever holds it on the event loop."""

    dialect: Dialect = "sqlite"

    def __init__(self, path: Path, *, writes: bool) -> None:
        self._path = path
        self._writes = writes
        self._thread = ThreadPoolExecutor(1, "supplyr-db-writer" if writes else "supplyr-db-reader")
        self._raw: sqlite3.Connection

    async def open(self) -> None:
        await self._run(self._open)

    def _open(self) -> None:
        try:
            # Used by one thread at a time; `interrupt` is the one call that may come from another.
            self._raw = sqlite3.connect(
                self._path, _BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._raw.row_factory = sqlite3.Row
            self._raw.execute("PRAGMA journal_mode = WAL")
        except sqlite3.Error as error:
            raise DatabaseError(
                f"the database {self._path} cannot be opened ({error}); is its folder writable?"
            ) from error
        for pragma in (
            "foreign_keys = ON",
            "synchronous = NORMAL",
            f"cache_size = -{_CACHE_KIB}",
            f"mmap_size = {_MMAP_BYTES}",
            "temp_store = MEMORY",
            *(() if self._writes else ("query_only = ON",)),
        ):
            self._raw.execute(f"PRAGMA {pragma}")

    async def _run(self, function: Callable[[], _Result]) -> _Result:
        """Run on the connection's thread; a caller that is cancelled interrupts the query."""
        work = self._thread.submit(function)
        future = asyncio.wrap_future(work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not work.cancel():  # it has begun
                await self._interrupted(future)
            raise
        except sqlite3.IntegrityError as error:
            raise ConflictError(str(error)) from error
        except sqlite3.OperationalError as error:
            code = error.sqlite_errorcode & _PLAIN_CODE
            if code in _AWAY:
                raise DatabaseError(
                    f"{self._path} cannot be used ({error}); see its disk"
                ) from error
            if code not in _BUSY:
                raise
            raise DatabaseError(
                f"another program has been writing to {self._path} for {_BUSY_S:g} s; try again"
            ) from error

    async def _interrupted(self, future: asyncio.Future[_Result]) -> None:
        """Wait until the thread is free again: the connection then goes to somebody else."""
        while not future.done():
            # Again and again, for an interruption before the query has reached SQLite is forgotten.
            self._raw.interrupt()
            await asyncio.wait([future], timeout=_INTERRUPT_S)
        if not future.cancelled():
            future.exception()

    async def fetch_all(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        return await self._run(
            lambda: [dict(row) for row in self._raw.execute(sql, parameters).fetchall()]
        )

    async def fetch_one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        def one() -> Row | None:
            cursor = self._raw.execute(sql, parameters)
            row = cursor.fetchone()
            # Not left half read: an open cursor would keep its snapshot, and the log growing.
            cursor.close()
            return None if row is None else dict(row)

        return await self._run(one)

    async def execute(self, sql: str, parameters: Parameters = ()) -> int:
        return await self._run(lambda: self._raw.execute(sql, parameters).rowcount)

    async def execute_many(self, sql: str, rows: Iterable[Parameters]) -> None:
        await self._run(lambda: self._raw.executemany(sql, rows))

    async def script(self, sql: str) -> None:
        await self._run(lambda: self._raw.executescript(sql))

    async def close(self) -> None:
        await self._run(self._raw.close)
        self._thread.shutdown(wait=False)


class SqliteDatabase:
    """A file as database, see supplyr.db.database.Database. owner: its event loop."""

    dialect: Dialect = "sqlite"

    def __init__(self, writer: _Connection, readers: list[_Connection]) -> None:
        self._writer = writer
        self._all = [writer, *readers]
        self._turn = asyncio.Lock()
        self._asides = Asides(self)
        # Last in, first out: the connection that worked last has the warmest cache.
        self._free: asyncio.LifoQueue[_Connection] = asyncio.LifoQueue()
        for reader in readers:
            self._free.put_nowait(reader)

    async def fetch_all(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """See Reader."""
        async with self._reader() as connection:
            return await connection.fetch_all(sql, parameters)

    async def fetch_one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """See Reader."""
        async with self._reader() as connection:
            return await connection.fetch_one(sql, parameters)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[_Connection]:
        """See Database."""
        async with self._turn:
            await _begun(self._writer, "BEGIN IMMEDIATE")
            async with _ended(self._writer):
                yield self._writer

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[_Connection]:
        """See Database."""
        async with self._reader() as connection:
            await _begun(connection, "BEGIN")
            async with _ended(connection):
                yield connection

    def aside(self, key: Any, sql: str, parameters: Parameters) -> None:
        """See Database."""
        self._asides.add(key, sql, parameters)

    async def close(self) -> None:
        """See Database."""
        await self._asides.close()
        async with self._turn:
            for _ in self._all[1:]:
                await self._free.get()
            for connection in self._all:
                await connection.close()

    @asynccontextmanager
    async def _reader(self) -> AsyncGenerator[_Connection]:
        connection = await self._free.get()
        try:
            yield connection
        finally:
            self._free.put_nowait(connection)


async def _begun(connection: _Connection, sql: str) -> None:
    try:
        await connection.execute(sql)
    except asyncio.CancelledError:
        # It may have begun all the same: the interruption came when it was done.
        await _rolled_back(connection)
        raise


@asynccontextmanager
async def _ended(connection: _Connection) -> AsyncGenerator[None]:
    try:
        yield
        await connection.execute("COMMIT")
    except BaseException:
        await _rolled_back(connection)
        raise


async def _rolled_back(connection: _Connection) -> None:
    """Roll back, cancelled or not; SQLite has done so by itself where no transaction is open."""

    def roll_back() -> None:
        if connection._raw.in_transaction:
            connection._raw.execute("ROLLBACK")

    await asyncio.shield(asyncio.ensure_future(connection._run(roll_back)))


async def open_sqlite(path: Path, readers: int = 4) -> SqliteDatabase:
    """Open (or make) the database at `path`; DatabaseError says what is in the way."""
    await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
    writer = _Connection(path, writes=True)
    await writer.open()
    others = [_Connection(path, writes=False) for _ in range(readers)]
    for other in others:
        await other.open()
    return SqliteDatabase(writer, others)
