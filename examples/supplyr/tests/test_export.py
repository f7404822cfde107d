"""Exports can be read back and repeat byte for byte."""

import pytest

from supplyr.export import export_pdf, export_xlsx
from supplyr.prices import price_rows
from supplyr.records import PriceRow
from supplyr.spreadsheet import sheet_rows

ROWS = price_rows(120)


def test_xlsx_holds_the_rows() -> None:
    heading, *rows = sheet_rows(export_xlsx(ROWS))
    assert heading[0] == "Article"
    assert [row[0] for row in rows] == [row.sku for row in ROWS]
    assert [round(float(row[3]) * 100) for row in rows] == [row.price_cents for row in ROWS]


def test_texts_never_become_formulas() -> None:
    (_, row) = sheet_rows(export_xlsx([PriceRow("=1+1", "https://x.test/", "pcs", 1, "EUR", 1)]))
    assert row[:2] == ["=1+1", "https://x.test/"]


def test_output_repeats() -> None:
    assert export_xlsx(ROWS) == export_xlsx(list(ROWS))
    assert export_pdf(ROWS) == export_pdf(list(ROWS))


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (52, 1), (120, 3)])
def test_pdf_pages(count: int, pages: int) -> None:
    data = export_pdf(price_rows(count))
    assert data.startswith(b"%PDF-")
    assert f"/Count {pages} ".encode() in data


def test_pdf_accepts_letters_that_its_font_lacks() -> None:
    assert export_pdf([PriceRow("Ł-1", "Wał 漢字 " * 20, "pcs", 1, "EUR", 1)])
