"""Find out what a spreadsheet unpacks to and how far its cells reach, before anything opens it.

Readers of spreadsheets hold a sheet as a rectangle: one cell at XFD1048576 makes a file of a few
kilobytes ask for more than a hundred gigabytes. What an archive declares can be forged, so it is
unpacked here, counted and thrown away, a piece at a time.
"""

import io
import re
import zipfile
from collections.abc import Iterator
from typing import NamedTuple

from supplyr.spreadsheet import MAX_UNPACKED_BYTES, UNREADABLE_MEMBER, CatalogueError, open_archive

MAX_MEMBERS = 1_000
MAX_CELLS = 20_000_000
MAX_ROWS = 1_048_576
MAX_COLUMNS = 500
_PIECE_BYTES = 1 << 20
# Where a cell or a row says where it is, at most so many bytes into its tag.
_LONGEST_REFERENCE_BYTES = 64
_CELL = re.compile(rb'<(?:\w{1,8}:)?c\b[^>]{0,40}?\br="([A-Z]{1,3})([0-9]{1,7})"')
_ROW = re.compile(rb'<(?:\w{1,8}:)?row\b[^>]{0,40}?\br="([0-9]{1,7})"')
_MARKUP = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)


class Extent(NamedTuple):
    """What was counted: bytes unpacked, and the highest row and column of any sheet."""

    unpacked_bytes: int
    rows: int
    columns: int


def column_number(letters: bytes) -> int:
    """Return 1 for A, 27 for AA and so on."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _check_names(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    entries = archive.infolist()
    if len(entries) > MAX_MEMBERS:
        raise CatalogueError(
            f"the XLSX holds {len(entries):,} files, more than the {MAX_MEMBERS:,} allowed; save it"
            " again from a spreadsheet program"
        )
    for entry in entries:
        name = entry.filename.replace("\\", "/")
        # Nothing is ever written by these names; a file that has them was made to do harm.
        if name.startswith("/") or ".." in name.split("/") or ":" in name:
            raise CatalogueError(
                f"the XLSX holds a file with the path {entry.filename[:80]!r}, which no spreadsheet"
                " program writes; save it again from one"
            )
    return entries


def _pieces(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        with archive.open(entry) as member:
            while piece := member.read(_PIECE_BYTES):
                yield piece
    except UNREADABLE_MEMBER as error:
        raise CatalogueError(
            f"the XLSX is damaged or encrypted ({entry.filename[:80]}: {error}); save it again"
            " without a password"
        ) from error


def _reach(piece: bytes) -> tuple[int, int]:
    row = max((int(found) for found in _ROW.findall(piece)), default=0)
    column = 0
    for letters, number in _CELL.findall(piece):
        column = max(column, column_number(letters))
        row = max(row, int(number))
    return row, column


def _check_reach(rows: int, columns: int) -> None:
    if rows > MAX_ROWS or columns > MAX_COLUMNS or rows * columns > MAX_CELLS:
        raise CatalogueError(
            f"a sheet of the XLSX reaches to row {rows:,}, column {columns:,}: more than"
            f" {MAX_CELLS:,} cells or {MAX_COLUMNS} columns; delete what stands far outside of the"
            " table, or save the table as CSV"
        )


def check_extent(data: bytes) -> Extent:
    """Return what an XLSX unpacks to and reaches to. CatalogueError where that is too much.

    Reads every member once, in pieces, so memory stays small whatever the file holds.
    """
    unpacked_bytes = rows = columns = 0
    with open_archive(data) as archive:
        for entry in _check_names(archive):
            tail = b""
            for piece in _pieces(archive, entry):
                unpacked_bytes += len(piece)
                if unpacked_bytes > MAX_UNPACKED_BYTES:
                    raise CatalogueError(
                        f"the XLSX unpacks to more than the {MAX_UNPACKED_BYTES:,} bytes allowed;"
                        " split the catalogue, or save it as CSV"
                    )
                searched = tail + piece
                if _MARKUP.search(searched):
                    raise CatalogueError(
                        "the XLSX declares document types or entities, which no spreadsheet program"
                        " writes; save it again from one"
                    )
                # Any member may be a sheet: a workbook says which, and may say anything.
                row, column = _reach(searched)
                rows, columns = max(rows, row), max(columns, column)
                _check_reach(rows, columns)
                tail = searched[-_LONGEST_REFERENCE_BYTES:]
    return Extent(unpacked_bytes, rows, columns)


def is_archive(data: bytes) -> bool:
    """Tell whether bytes start like a ZIP archive, which an XLSX is."""
    return data.startswith(b"PK\x03\x04") and zipfile.is_zipfile(io.BytesIO(data))
