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
# Tags of cells and rows are some dozens of bytes long; what is longer hides something.
_LONGEST_TAG_BYTES = 1 << 16
# A tag of a row or a cell, as all spreadsheet programs write it: it says first where it is.
_CELL = re.compile(rb'<c r="([A-Z]{1,3})([0-9]{1,7})"')
_ROW = re.compile(rb'<row r="([0-9]{1,7})"')
# The same as XML allows it: with a prefix, other quotes, blanks, attributes in any order, or none.
_OPENING = re.compile(rb"""<(?:[^\s<>"'/:=]+:)?(?:c|row)(?=[\s/>])""")
_TAG = re.compile(
    rb"""<(?:[^\s<>"'/:=]+:)?(c|row)"""
    rb"""((?:\s+[^\s<>"'/=]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*/?>"""
)
_ATTRIBUTE = re.compile(rb"""\s([^\s<>"'/=]+)\s*=\s*(?:"([^"<]*)"|'([^'<]*)')""")
_PLACE = re.compile(rb"([A-Za-z]{0,9})([0-9]{1,18})")
# How XML in two bytes a letter begins; with zero bytes between its letters nothing here is found.
_BEFORE_MARKUP = b"\xef\xbb\xbf \t\r\n"
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")
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


class _Walk:
    """How far the cells of a sheet reach. What does not say where it is follows what is before it.

    Args:
        strict: Whether it is markup, and no picture, say, in which anything may look like a tag.
    """

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self.rows = self.columns = 0
        self._row = self._column = 0

    def see(self, text: bytes) -> None:
        """Walk over a part of the sheet that ends between two tags."""
        rows, cells = _ROW.findall(text), _CELL.findall(text)
        there = len(_OPENING.findall(text))
        if len(rows) + len(cells) == there:
            self._see_plain(rows, cells)
            return
        tags = _TAG.findall(text)
        if self._strict and len(tags) != there:
            raise CatalogueError(
                "the XLSX holds a cell that is not well-formed; save it again from a spreadsheet"
                " program"
            )
        self._see_tags(tags)

    def _see_tags(self, tags: list[tuple[bytes, bytes]]) -> None:
        for kind, attributes in tags:
            place = _place_of(attributes)
            if kind == b"row":
                self._row = int(place[2]) if place else self._row + 1
                self._column = 0
            elif place:
                self._row, self._column = int(place[2]), column_number(place[1].upper())
            else:
                self._column += 1
            self._note()

    def _see_plain(self, rows: list[bytes], cells: list[tuple[bytes, bytes]]) -> None:
        for found in rows:
            self.rows = max(self.rows, int(found))
        for letters, number in cells:
            self.columns = max(self.columns, column_number(letters))
            self.rows = max(self.rows, int(number))
        if cells:
            self._row, self._column = int(cells[-1][1]), column_number(cells[-1][0])
        # Should a row have begun behind that cell, cells without a place are taken to be further
        # right than they are: never further left.
        self._row = max(self._row, self.rows)

    def _note(self) -> None:
        self.rows = max(self.rows, self._row)
        self.columns = max(self.columns, self._column)


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
            walk: _Walk | None = None
            for piece in _pieces(archive, entry):
                unpacked_bytes += len(piece)
                if unpacked_bytes > MAX_UNPACKED_BYTES:
                    raise CatalogueError(
                        f"the XLSX unpacks to more than the {MAX_UNPACKED_BYTES:,} bytes allowed;"
                        " split the catalogue, or save it as CSV"
                    )
                if walk is None:
                    _check_letters(piece)
                    walk = _Walk(strict=piece.lstrip(_BEFORE_MARKUP).startswith(b"<"))
                searched = tail + piece
                if _MARKUP.search(searched):
                    raise CatalogueError(
                        "the XLSX declares document types or entities, which no spreadsheet program"
                        " writes; save it again from one"
                    )
                whole, tail = _parted(searched)
                walk.see(whole)
                # Any member may be a sheet: a workbook says which, and may say anything.
                rows, columns = max(rows, walk.rows), max(columns, walk.columns)
                _check_reach(rows, columns)
            if walk is not None:
                walk.see(tail)
                rows, columns = max(rows, walk.rows), max(columns, walk.columns)
                _check_reach(rows, columns)
    return Extent(unpacked_bytes, rows, columns)


def _place_of(attributes: bytes) -> re.Match[bytes] | None:
    for name, double, single in _ATTRIBUTE.findall(attributes):
        if name == b"r":
            return _PLACE.fullmatch(double or single)
    return None


def _check_letters(text: bytes) -> None:
    if text.startswith(_WIDE):
        raise CatalogueError(
            "the XLSX holds XML in UTF-16, which no spreadsheet program writes; save it again from"
            " one"
        )


def _parted(text: bytes) -> tuple[bytes, bytes]:
    """Return what ends between two tags, and a tag that may go on in the next piece."""
    at = text.rfind(b"<")
    if at < 0:
        return text, b""
    tail = text[at:]
    if len(tail) <= _LONGEST_TAG_BYTES:
        return text[:at], tail
    if _OPENING.match(tail) and b">" not in tail:
        raise CatalogueError(
            "the XLSX holds a cell with attributes of more than"
            f" {_LONGEST_TAG_BYTES:,} bytes; save it again from a spreadsheet program"
        )
    return text, b""


def is_archive(data: bytes) -> bool:
    """Tell whether bytes start like a ZIP archive, which an XLSX is."""
    return data.startswith(b"PK\x03\x04") and zipfile.is_zipfile(io.BytesIO(data))
