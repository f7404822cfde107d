"""Catalogue files with a known share of bad rows, the inputs of the import tasks."""

import csv
import io
from datetime import datetime
from random import Random

import xlsxwriter

from supplyr.prices import price_rows

BAD_ROW_SHARE = 0.02
HEADING = ("Article number", "Description", "Unit", "Price", "Currency", "Min quantity")
_CREATED = datetime(2025, 1, 1)  # XLSX stores the time of creation; a fixed one repeats the bytes
_BREAKAGES = ((3, "on request"), (3, "-1"), (4, "Taler"), (2, "dozen"), (1, ""), (0, "?"))


def sample_cells(rows: int, seed: int = 20250103) -> list[list[str]]:
    """Return `rows` rows of cells; about BAD_ROW_SHARE of them have one bad cell."""
    rng = Random(seed)
    table: list[list[str]] = []
    for row in price_rows(rows):
        price = f"{row.price_cents // 100}.{row.price_cents % 100:02d}"
        quantity = str(row.min_quantity)
        cells = [row.sku, row.description, row.unit, price, row.currency, quantity]
        if rng.random() < BAD_ROW_SHARE:
            column, text = _BREAKAGES[rng.randrange(len(_BREAKAGES))]
            cells[column] = text
        table.append(cells)
    return table


def csv_bytes(rows: int) -> bytes:
    """Return a CSV catalogue with a heading and `rows` rows."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(HEADING)
    writer.writerows(sample_cells(rows))
    return buffer.getvalue().encode()


def xlsx_bytes(rows: int) -> bytes:
    """Return an XLSX catalogue with a heading and `rows` rows; prices are numbers where they can.

    Numbers are what real spreadsheets hold, and they exercise the reading of floats.
    """
    buffer = io.BytesIO()
    workbook = xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_numbers": True})
    workbook.set_properties({"created": _CREATED})
    sheet = workbook.add_worksheet("Prices")
    sheet.write_row(0, 0, HEADING)
    for index, cells in enumerate(sample_cells(rows), start=1):
        sheet.write_row(index, 0, cells)
    workbook.close()
    return buffer.getvalue()
