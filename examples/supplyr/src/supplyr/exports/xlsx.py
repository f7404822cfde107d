"""Write a spool as XLSX, in constant memory, and hand it over piece by piece."""

import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import xlsxwriter
from lanewise import task

from supplyr.exports.rows import COLUMNS
from supplyr.exports.spool import pieces_of_file, size_hint, spooled_rows

MAX_ROWS = 1_048_575
_CREATED = datetime(2025, 1, 1)  # a fixed time of creation keeps the output reproducible


def _write(spool: str, target: Path, folder: str) -> None:
    # Texts are data: without these options "=..." becomes a formula and "http..." a link.
    options = {
        "constant_memory": True,
        "tmpdir": folder,
        "strings_to_formulas": False,
        "strings_to_urls": False,
    }
    workbook = xlsxwriter.Workbook(str(target), options)
    workbook.set_properties({"title": "Suppliers", "created": _CREATED})
    bold = workbook.add_format({"bold": True})
    sheet = workbook.add_worksheet("Suppliers")
    for place, column in enumerate(COLUMNS):
        sheet.set_column(place, place, column.width)
        sheet.write_string(0, place, column.heading, bold)
    sheet.freeze_panes(1, 0)
    for number, row in enumerate(spooled_rows(spool), start=1):
        if number > MAX_ROWS:
            raise ValueError(
                f"more than {MAX_ROWS:,} rows do not fit on a sheet; narrow the search"
            )
        for place, cell in enumerate(row):
            if isinstance(cell, str):
                if cell:
                    sheet.write_string(number, place, cell)
            elif cell is not None:
                sheet.write_number(number, place, cell)
    workbook.close()


@task(size=size_hint, idempotent=True)
def stream_xlsx(path: str, rows_hint: int) -> Iterator[bytes]:
    """Yield the XLSX file of the rows that wait in `path`. Raises ValueError above MAX_ROWS.

    `rows_hint` is only the size by which the lane is chosen. Temporary files lie beside the spool,
    so that whoever removes its folder removes them too, even when this was killed.
    """
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as folder:
        target = Path(folder) / "suppliers.xlsx"
        _write(path, target, folder)
        yield from pieces_of_file(target)
