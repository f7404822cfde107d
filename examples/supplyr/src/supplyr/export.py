"""Export a price list as XLSX or PDF. Equal rows give equal bytes with one library version."""

import io
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import xlsxwriter
from lanewise import task
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from supplyr.prices import price_rows
from supplyr.records import PriceRow

HEADING = ("Article", "Description", "Unit", "Price", "Currency", "Min. quantity")
_CREATED = datetime(2025, 1, 1)  # a fixed time of creation keeps the output reproducible
_COLUMN_WIDTHS = (16, 48, 8, 12, 10, 14)
_ROW_HEIGHT_PT = 14
_MARGIN_PT = 40


class _Column(NamedTuple):
    edge_pt: float  # left edge of the text, or its right edge where numbers are aligned
    right_aligned: bool
    max_characters: int


_COLUMNS = (
    _Column(40, False, 17),
    _Column(125, False, 48),
    _Column(365, False, 8),
    _Column(450, True, 14),
    _Column(465, False, 6),
    _Column(555, True, 12),
)


def _price_text(price_cents: int) -> str:
    return f"{price_cents // 100}.{price_cents % 100:02d}"


def _rows_inputs(size: int) -> tuple[list[PriceRow]]:
    return (list(price_rows(size)),)


@task(size=len, inputs=_rows_inputs, idempotent=True)
def export_xlsx(rows: Sequence[PriceRow]) -> bytes:
    """Return the rows as an XLSX file with one sheet. Raises ValueError above 1,048,575 rows."""
    if len(rows) > 1_048_575:
        raise ValueError(f"{len(rows):,} rows do not fit on an XLSX sheet; split the price list")
    buffer = io.BytesIO()
    # Texts are data: without these options "=..." becomes a formula and "http..." a link.
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    workbook = xlsxwriter.Workbook(buffer, options)
    workbook.set_properties({"title": "Price list", "created": _CREATED})
    bold = workbook.add_format({"bold": True})
    money = workbook.add_format({"num_format": "#,##0.00"})
    sheet = workbook.add_worksheet("Prices")
    for column, (title, width) in enumerate(zip(HEADING, _COLUMN_WIDTHS, strict=True)):
        sheet.set_column(column, column, width)
        sheet.write_string(0, column, title, bold)
    sheet.freeze_panes(1, 0)
    for index, row in enumerate(rows, start=1):
        sheet.write_string(index, 0, row.sku)
        sheet.write_string(index, 1, row.description)
        sheet.write_string(index, 2, row.unit)
        sheet.write_number(index, 3, row.price_cents / 100, money)
        sheet.write_string(index, 4, row.currency)
        sheet.write_number(index, 5, row.min_quantity)
    workbook.close()
    return buffer.getvalue()


def _printable(text: str, max_characters: int) -> str:
    # The built-in PDF fonts know Latin-1 only; other characters become "?".
    shown = text if len(text) <= max_characters else text[: max_characters - 1] + "~"
    return shown.encode("latin-1", "replace").decode("latin-1")


def _draw_line(canvas: Canvas, cells: Sequence[str], height_pt: float) -> None:
    for column, cell in zip(_COLUMNS, cells, strict=True):
        draw = canvas.drawRightString if column.right_aligned else canvas.drawString
        draw(column.edge_pt, height_pt, cell)


def _start_page(canvas: Canvas, number: int, top_pt: float) -> None:
    canvas.setFont("Helvetica-Bold", 8)
    _draw_line(canvas, HEADING, top_pt)
    canvas.setFont("Helvetica", 8)
    canvas.drawRightString(A4[0] - _MARGIN_PT, _MARGIN_PT / 2, f"Page {number}")


def _cells(row: PriceRow) -> list[str]:
    price, quantity = _price_text(row.price_cents), str(row.min_quantity)
    texts = (row.sku, row.description, row.unit, price, row.currency, quantity)
    return [
        _printable(text, column.max_characters)
        for text, column in zip(texts, _COLUMNS, strict=True)
    ]


@task(size=len, inputs=_rows_inputs, idempotent=True)
def export_pdf(rows: Sequence[PriceRow]) -> bytes:
    """Return the rows as a PDF with A4 pages, a heading on each; at least one page."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1, pageCompression=1)
    canvas.setTitle("Price list")
    top_pt = A4[1] - _MARGIN_PT
    rows_per_page = int((top_pt - _MARGIN_PT) // _ROW_HEIGHT_PT) - 1
    for start in range(0, max(len(rows), 1), rows_per_page):
        _start_page(canvas, start // rows_per_page + 1, top_pt)
        for place, row in enumerate(rows[start : start + rows_per_page], start=1):
            _draw_line(canvas, _cells(row), top_pt - place * _ROW_HEIGHT_PT)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()
