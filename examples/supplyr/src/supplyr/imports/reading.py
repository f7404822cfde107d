"""An upload, CSV or XLSX, as rows of text within limits."""

from collections.abc import Iterator
from typing import NamedTuple

from supplyr.imports.csv_rows import csv_rows, find_delimiter
from supplyr.imports.encodings import decode
from supplyr.imports.xlsx_extent import check_extent
from supplyr.spreadsheet import CatalogueError, sheet_rows

MAX_ROWS = 500_000
MAX_COLUMNS = 500
MAX_CELL_CHARACTERS = 10_000
# Begins of files that are neither, by what people would call them.
_OTHERS = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF-", "a PDF"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"{\\rtf", "a text document (RTF)"),
)
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class Options(NamedTuple):
    """How to read an upload; empty means: find out."""

    encoding: str = ""
    delimiter: str = ""


class Table(NamedTuple):
    """The rows of an upload, heading first, and how they were read."""

    rows: Iterator[list[str]]
    kind: str  # "csv" or "xlsx"
    encoding: str
    delimiter: str
    notice: str


def open_table(data: bytes, options: Options = Options()) -> Table:  # noqa: B008 - immutable
    """Return the rows of an upload. The bytes decide what it is, not its name.

    Raises CatalogueError, also while rows are taken, for what cannot be read or is too large.
    """
    if not data:
        raise CatalogueError("the file is empty; it needs a heading and rows below it")
    if data.startswith(b"PK"):
        check_extent(data)
        return Table(_within_limits(sheet_rows(data)), "xlsx", "", "", "")
    if data.startswith(_OLD_EXCEL):
        raise CatalogueError(
            "this is an old or encrypted Excel file; save it as .xlsx without a password"
        )
    for begin, name in _OTHERS:
        if data.startswith(begin):
            raise CatalogueError(f"this is {name}; save the table as .xlsx or CSV")
    decoded = decode(data, options.encoding)
    delimiter = options.delimiter or find_delimiter(decoded.text)
    return Table(
        _within_limits(csv_rows(decoded.text, delimiter)),
        "csv",
        decoded.encoding,
        delimiter,
        decoded.notice,
    )


def _within_limits(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    for number, row in enumerate(rows, start=1):
        if number > MAX_ROWS:
            raise CatalogueError(f"the file has more than {MAX_ROWS:,} rows; split it")
        if len(row) > MAX_COLUMNS:
            raise CatalogueError(
                f"row {number:,} has {len(row):,} columns, more than the {MAX_COLUMNS} allowed;"
                " check the delimiter"
            )
        if any(len(cell) > MAX_CELL_CHARACTERS for cell in row):
            raise CatalogueError(
                f"row {number:,} has a cell of more than {MAX_CELL_CHARACTERS:,} characters; check"
                " the quotation marks"
            )
        yield row
