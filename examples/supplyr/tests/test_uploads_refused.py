"""Uploads that are no table are told what they are, and those without a heading as well."""

import io
import zlib

import pytest
import xlsxwriter

from supplyr.imports.mapping import guess
from supplyr.imports.staging import preview_table, stage_table
from supplyr.spreadsheet import CatalogueError


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x89PNG\r\n\x1a\n" + b"0" * 64, "PNG"),
        (b"\xff\xd8\xff\xe0" + b"0" * 64, "JPEG"),
        (b"%PDF-1.7\n1 0 obj\n", "PDF"),
        (zlib.compress(b"Name\nA\n", wbits=31), "gzip"),
        (b"7z\xbc\xaf\x27\x1c" + b"0" * 64, "7-Zip"),
        (b"Rar!\x1a\x07" + b"0" * 64, "RAR"),
        (b"{\\rtf1 Name}", "RTF"),
        (b"\n\n\nName\nA\n", "first row"),
        (b" , ,\nA,B,C\n", "first row"),
    ],
)
def test_what_is_no_table_is_named(data: bytes, said: str) -> None:
    with pytest.raises(CatalogueError, match=said):
        preview_table(data, "suppliers")
    with pytest.raises(CatalogueError, match=said):
        stage_table(data, "suppliers", {"name": 0})


def test_a_sheet_that_starts_with_an_empty_row_is_told() -> None:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, [" ", " "])
        sheet.write_row(1, 0, ["Name", "Country"])
    with pytest.raises(CatalogueError, match="first row"):
        preview_table(file.getvalue(), "suppliers")


def test_a_table_whose_first_heading_is_empty_is_a_table() -> None:
    preview = preview_table(b",Name,Country\n1,A,DE\n", "suppliers")
    assert preview.heading == ["", "Name", "Country"]
    assert guess("suppliers", preview.heading) == preview.columns == {"name": 1, "country": 2}
