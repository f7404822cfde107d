"""Read XLSX bytes as rows of text, with limits that a hostile upload cannot pass."""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator

from python_calamine import CalamineError, CalamineWorkbook

MAX_UNPACKED_BYTES = 200_000_000
_DIMENSION_PREFIX_BYTES = 4096
_DIMENSION = re.compile(rb'<dimension ref="[A-Z]+\d+:[A-Z]+(\d+)"')
# What zipfile raises for a missing, damaged, encrypted or oddly compressed member.
UNREADABLE_MEMBER = (
    KeyError, EOFError, NotImplementedError, OSError, RuntimeError, ValueError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class CatalogueError(ValueError):
    """The catalogue as a whole cannot be read; the message says why and what to do."""


def open_archive(data: bytes) -> zipfile.ZipFile:
    """Open bytes as the ZIP archive that an XLSX is. Raises CatalogueError for what is not one."""
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise CatalogueError(
            f"not an XLSX file ({error}); if it is an old .xls or a CSV with another name, save it"
            " as .xlsx"
        ) from error


def check_unpacked_bytes(data: bytes) -> None:
    """Raise CatalogueError when the file is not an archive or declares to unpack to too much.

    The archive's own figures are trusted: a forged one is left to the memory limit of the worker.
    """
    with open_archive(data) as archive:
        unpacked_bytes = sum(entry.file_size for entry in archive.infolist())
    if unpacked_bytes > MAX_UNPACKED_BYTES:
        raise CatalogueError(
            f"the XLSX unpacks to {unpacked_bytes:,} bytes, more than the {MAX_UNPACKED_BYTES:,}"
            " allowed; split the catalogue"
        )


def declared_rows(data: bytes) -> int:
    """Return the rows below the heading that the first sheet declares, or 0 if it declares none.

    Reads a few kilobytes only. What a file declares need not be true: use it as a hint. Raises
    CatalogueError for what is not an XLSX archive.
    """
    with open_archive(data) as archive:
        try:
            with archive.open("xl/worksheets/sheet1.xml") as sheet:
                start = sheet.read(_DIMENSION_PREFIX_BYTES)
        except UNREADABLE_MEMBER:
            return 0
    match = _DIMENSION.search(start)
    return max(int(match.group(1)) - 1, 0) if match else 0


def _cell_text(cell: object) -> str:
    # Spreadsheets store every number as a float; "5.0" is the article number or quantity 5.
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def sheet_rows(data: bytes) -> Iterator[list[str]]:
    """Yield the rows of the first sheet as text. Raises CatalogueError for unreadable files."""
    check_unpacked_bytes(data)
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheet = workbook.get_sheet_by_index(0)
    except (CalamineError, IndexError) as error:
        raise CatalogueError(f"the XLSX cannot be read ({error}); save it again") from error
    for row in sheet.iter_rows():
        yield [_cell_text(cell) for cell in row]
