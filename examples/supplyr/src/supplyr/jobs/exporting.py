"""Stream an export: pages of rows from the database, through tasks, to whoever takes the bytes.

CSV goes out page by page. XLSX and PDF can only be written when all rows are there: they wait in a
file, and a generator task reads that file where it runs and yields pieces. Whoever stops taking
pieces (a client that left) stops the reading, the task and removes the file. The worker of that
task waits for whoever takes the pieces: a client gets them from a file, see `made`.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import BinaryIO, Protocol, cast
from uuid import uuid4

from supplyr.db.database import Database, Row
from supplyr.exports.csv_rows import csv_heading, csv_page
from supplyr.exports.formats import FORMATS, FormatName
from supplyr.exports.rows import encode_rows
from supplyr.exports.spool import PIECE_BYTES
from supplyr.jobs.background import Background
from supplyr.search.engine import Engine
from supplyr.search.question import MAX_PAGE, Question
from supplyr.store import suppliers

_ROWS_AT_ONCE = 200


class TooManyRowsError(Exception):
    """There is more than the format holds; the message says how much that is."""


class Pages(Protocol):
    """Something that yields suppliers page by page."""

    def __call__(self) -> AsyncIterator[list[Row]]:
        """Start at the first page."""
        ...


def all_pages(database: Database, after_id: int = 0) -> Pages:
    """Return the pages of the whole directory, by id."""

    async def pages() -> AsyncIterator[list[Row]]:
        last_id = after_id
        while rows := await suppliers.active_after(database, last_id, _ROWS_AT_ONCE):
            yield rows
            last_id = rows[-1]["id"]

    return pages


def found_pages(engine: Engine, question: Question) -> Pages:
    """Return the pages of what a question finds, in its order."""

    async def pages() -> AsyncIterator[list[Row]]:
        cursor: str | None = None
        while True:
            page = await engine.page(question, MAX_PAGE, cursor)
            if page.hits:
                yield [hit.row for hit in page.hits]
            if page.next_cursor is None:
                return
            cursor = page.next_cursor

    return pages


async def stream(
    background: Background,
    pages: Pages,
    name: FormatName,
    scratch: Path,
    max_rows: int | None = None,
) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of an export.

    Args:
        background: Where tasks run.
        pages: What is exported.
        name: The format.
        scratch: A folder for files that wait.
        max_rows: Of a format that is written at once, no more than so many; None for as many as
            the format holds.

    Raises TooManyRowsError before the first byte where the format does not hold all rows.
    Cancellation and `aclose` stop the work and remove the files.
    """
    if name == "csv":
        yield csv_heading()
        async for rows in pages():
            yield await background.run(csv_page, encode_rows(rows))
        return
    most = FORMATS[name].max_rows if max_rows is None else min(max_rows, FORMATS[name].max_rows)
    folder = scratch / f"export-{uuid4().hex}"
    await asyncio.to_thread(folder.mkdir, parents=True)
    try:
        spool = folder / "rows.jsonl"
        count = await spool_rows(pages, spool, most)
        pieces = write_spool(background, spool, count, name)
        try:
            async for piece in pieces:
                yield piece
        finally:
            await pieces.aclose()
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, True))


async def made(
    background: Background, pages: Pages, name: FormatName, scratch: Path, max_rows: int
) -> BinaryIO:
    """Return a file without a name that holds an export, to be read from its beginning.

    It is written as fast as it can be: however slowly somebody fetches it then, no worker waits for
    them. Raises TooManyRowsError. Cancellation: stops the work; nothing is left of the file.
    """
    file = await asyncio.to_thread(_nameless, scratch)
    pieces = stream(background, pages, name, scratch, max_rows)
    try:
        async for piece in pieces:
            await asyncio.to_thread(file.write, piece)
        await asyncio.to_thread(file.seek, 0)
    except BaseException:
        file.close()
        raise
    finally:
        await pieces.aclose()
    return file


def _nameless(folder: Path) -> BinaryIO:
    folder.mkdir(parents=True, exist_ok=True)
    return cast(BinaryIO, tempfile.TemporaryFile(dir=folder))


async def pieces_from(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    """Yield a file in pieces, and close it."""
    try:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece
    finally:
        file.close()


async def spool_rows(pages: Pages, spool: Path, max_rows: int) -> int:
    """Write the rows of all pages to a file and return how many they are."""
    count = 0
    file = await asyncio.to_thread(spool.open, "wb")
    try:
        async for rows in pages():
            count += len(rows)
            if count > max_rows:
                raise TooManyRowsError(
                    f"more than {max_rows:,} suppliers do not fit; narrow the search or take CSV"
                )
            await asyncio.to_thread(_append, file, rows)
    finally:
        file.close()
    return count


def _append(file: BinaryIO, rows: list[Row]) -> None:
    file.write(encode_rows(rows))


async def write_spool(
    background: Background, spool: Path, count: int, name: FormatName
) -> AsyncGenerator[bytes, None]:
    """Yield the file that a spool of `count` rows makes."""
    writer = FORMATS[name].writer
    if writer is None:
        raise ValueError(f"{name} is written page by page")
    pieces = background.stream(writer, str(spool), count)
    try:
        async for piece in pieces:
            yield piece
    finally:
        await pieces.aclose()
