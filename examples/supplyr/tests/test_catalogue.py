"""Catalogue import: good rows, bad rows with their numbers, unusable files."""

import contextlib
import io
import zipfile

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from supplyr.catalogue import (
    MAX_ERRORS,
    RowError,
    accepted_rows,
    csv_row_count,
    import_csv,
    import_xlsx,
    parse_price_cents,
)
from supplyr.catalogue_samples import HEADING, csv_bytes, sample_cells, xlsx_bytes
from supplyr.records import PriceRow
from supplyr.spreadsheet import CatalogueError, declared_rows

SMALL_XLSX = xlsx_bytes(3)
GOOD = "ABC-1,Bolt,pcs,1.50,EUR,10"


def _csv(*lines: str, heading: str = ",".join(HEADING)) -> bytes:
    return "\n".join((heading, *lines, "")).encode()


def test_good_row() -> None:
    result = import_csv(_csv(GOOD))
    assert (result.accepted, result.rejected, result.errors) == (1, 0, ())
    assert accepted_rows(result) == [PriceRow("ABC-1", "Bolt", "pcs", 150, "EUR", 10)]


def test_columns_in_another_order_language_and_delimiter() -> None:
    data = _csv(
        "1.234,50;Blech;abc-1;KG;eur",
        heading="\ufeffPreis;Bezeichnung;Artikelnummer;Einheit;Währung",
    )
    assert accepted_rows(import_csv(data)) == [PriceRow("ABC-1", "Blech", "kg", 123450, "EUR", 1)]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("?,Bolt,pcs,1.50,EUR,10", "sku"),
        ("ABC-2,,pcs,1.50,EUR,10", "description"),
        ("ABC-2,Bolt,dozen,1.50,EUR,10", "unit"),
        ("ABC-2,Bolt,pcs,on request,EUR,10", "price"),
        ("ABC-2,Bolt,pcs,1.50,Taler,10", "currency"),
        ("ABC-2,Bolt,pcs,1.50,EUR,0", "min_quantity"),
        ("ABC-2,Bolt,pcs,1.50", "currency"),
        ("abc-1,Bolt,pcs,1.50,EUR,10", "sku"),
    ],
)
def test_bad_rows_are_reported_with_their_number(line: str, field: str) -> None:
    result = import_csv(_csv(GOOD, "", line))
    assert (result.accepted, result.rejected) == (1, 1)
    (error,) = result.errors
    assert (error.row, error.field) == (4, field)


def test_repeated_articles_name_the_first_row() -> None:
    result = import_csv(_csv(GOOD, GOOD))
    assert result.errors == (RowError(3, "sku", "ABC-1 is already in row 2"),)


def test_the_list_of_errors_is_bounded() -> None:
    result = import_csv(_csv(*["?,,?,?,?,?"] * 300))
    assert result.rejected == 300
    assert len(result.errors) == MAX_ERRORS


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"\xff\xfe", "not UTF-8"),
        (_csv(GOOD, heading="sku,price"), "no column for description"),
        (_csv('ABC-2,"Bolt'), "malformed"),
    ],
)
def test_unusable_csv(data: bytes, message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        import_csv(data)


def test_csv_and_xlsx_import_the_same() -> None:
    from_csv, from_xlsx = import_csv(csv_bytes(800)), import_xlsx(xlsx_bytes(800), 800)
    assert from_csv.accepted + from_csv.rejected == 800
    assert 0 < from_csv.rejected < 50
    assert from_csv.accepted_json == from_xlsx.accepted_json
    assert [error[:2] for error in from_csv.errors] == [error[:2] for error in from_xlsx.errors]


def test_samples_repeat_and_declare_their_rows() -> None:
    assert sample_cells(50) == sample_cells(50)
    assert xlsx_bytes(50) == xlsx_bytes(50)
    assert declared_rows(xlsx_bytes(50)) == 50
    assert csv_row_count(csv_bytes(50)) == 50
    assert csv_row_count(b"") == 0


def _zip(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an XLSX file"),
        (b"sku,price", "not an XLSX file"),
        (_zip(anything=b"x"), "cannot be read"),
        (_zip(bomb=bytes(200_000_001)), "unpacks to 200,000,001 bytes"),
        (xlsx_bytes(1)[:-30], "not an XLSX file"),
    ],
)
def test_unusable_xlsx(data: bytes, message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        import_xlsx(data, 1)


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_xlsx_raises_nothing_else(damage: list[tuple[int, int]]) -> None:
    data = bytearray(SMALL_XLSX)
    for at, value in damage:
        data[at % len(data)] = value
    with contextlib.suppress(CatalogueError):
        assert declared_rows(bytes(data)) >= 0
    with contextlib.suppress(CatalogueError):
        assert import_xlsx(bytes(data), 3).rejected >= 0


def test_an_empty_sheet_is_explained() -> None:
    buffer = io.BytesIO()
    workbook = xlsxwriter.Workbook(buffer, {"in_memory": True})
    workbook.add_worksheet()
    workbook.close()
    with pytest.raises(CatalogueError, match="empty"):
        import_xlsx(buffer.getvalue(), 0)


@pytest.mark.parametrize(
    ("text", "cents"),
    [("1234.5", 123450), ("1.234,50", 123450), ("1,234.50", 123450), ("1 234,50", 123450),
     ("1'234.50", 123450), ("7", 700), ("0.01", 1), ("2.500", 250), ("3.", 300)],
)  # fmt: skip
def test_prices(text: str, cents: int) -> None:
    assert parse_price_cents(text) == cents


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "1e5", "NaN", "1,234", "1.2.3", "12,5,0", "10000000.01", "٣", "9" * 5000],
)
def test_not_prices(text: str) -> None:
    with pytest.raises(ValueError, match="price"):
        parse_price_cents(text)


@given(st.integers(1, 10_000_000_00))
def test_written_prices_are_read_back(cents: int) -> None:
    assert parse_price_cents(f"{cents // 100:,}.{cents % 100:02d}") == cents


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_answered(data: bytes) -> None:
    try:
        result = import_csv(b"sku,description,unit,price,currency\n" + data)
    except CatalogueError:
        return
    assert result.accepted + result.rejected >= 0
