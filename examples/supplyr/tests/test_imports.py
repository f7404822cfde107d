"""What files hold, and what hostile ones try, without a database."""

import contextlib
import csv
import io
import re
import zipfile
from collections.abc import Iterator
from itertools import pairwise

import pytest
import xlsxwriter
from hypothesis import example, given, settings
from hypothesis import strategies as st

from supplyr.exports.rows import neutral
from supplyr.imports import values, xlsx_extent
from supplyr.imports.checking import accepted_rows, check_block
from supplyr.imports.csv_rows import csv_rows, find_delimiter
from supplyr.imports.encodings import CHOICES, decode
from supplyr.imports.fields import KINDS
from supplyr.imports.mapping import check, guess
from supplyr.imports.reading import MAX_CELL_CHARACTERS, Options, open_table
from supplyr.imports.staging import BLOCK_ROWS, preview_table, rows_of, stage_table
from supplyr.imports.xlsx_extent import check_extent
from supplyr.spreadsheet import CatalogueError

TEXT = "Name;Straße\nMüller;Königsallee 1\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_encodings_that_tell_themselves_apart(encoding: str) -> None:
    assert decode(TEXT.encode(encoding)).text == TEXT


def test_what_is_not_utf8_comes_with_a_notice() -> None:
    decoded = decode("Café".encode("cp1252"))
    assert decoded.text == "Café"
    assert "check accented letters" in decoded.notice
    assert decode("Łódź".encode("cp1250"), "cp1250").text == "Łódź"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"\x81\x8d", ""),  # neither UTF-8 nor Windows-1252
        (TEXT.encode("utf-16")[2:], ""),  # without its mark
        (b"\xff", "utf-8"),
        (b"\xff\xfea", ""),  # half a character
        (b"x", "rot13"),
        (b"\xef\xbb\xbf\xff", ""),
    ],
)
def test_what_cannot_be_decoded_is_told(data: bytes, encoding: str) -> None:
    with pytest.raises(CatalogueError):
        decode(data, encoding)


@given(st.binary(max_size=60), st.sampled_from(["", *CHOICES]))
def test_any_bytes_are_text_or_told(data: bytes, encoding: str) -> None:
    try:
        decoded = decode(data, encoding)
    except CatalogueError:
        return
    decoded.text.encode()  # no half characters


_cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@given(
    st.integers(2, 5).flatmap(
        lambda n: st.lists(st.lists(_cells, min_size=n, max_size=n), min_size=1, max_size=8)
    ),
    st.sampled_from([",", ";", "\t", "|"]),
)
def test_csv_survives_writing_and_reading(rows: list[list[str]], delimiter: str) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
    assert list(csv_rows(buffer.getvalue(), delimiter)) == rows


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_among_others_inside_of_cells(delimiter: str) -> None:
    rows = [["Name", "Codes", "Price"], ["A; B, C | D", "25.62;25.73", "1,50"]] * 3
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter).writerows(rows)
    assert find_delimiter(buffer.getvalue()) == delimiter


def xlsx(rows: list[list[object]], at: tuple[int, int] = (0, 0)) -> bytes:
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True})
    sheet = book.add_worksheet()
    for number, row in enumerate(rows):
        sheet.write_row(at[0] + number, at[1], row)
    book.close()
    return buffer.getvalue()


def rewritten(data: bytes, change: dict[str, bytes]) -> bytes:
    """Return an archive with members replaced or added."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        members = {name: source.read(name) for name in source.namelist()} | change
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return buffer.getvalue()


SHEET = "xl/worksheets/sheet1.xml"


def test_a_spreadsheet_is_read() -> None:
    table = open_table(xlsx([["Name", "Founded"], ["Weber", 1999]]))
    assert list(table.rows) == [["Name", "Founded"], ["Weber", "1999"]]
    assert table.kind == "xlsx"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (xlsx([["x"]], at=(1_048_575, 16_383)), "reaches to"),
        (xlsx([["x"]], at=(0, 600)), "reaches to"),
        (rewritten(xlsx([["x"]]), {"xl/media/zeros": bytes(201_000_000)}), "unpacks"),
        (rewritten(xlsx([["x"]]), {"../../etc/passwd": b"x"}), "path"),
        (rewritten(xlsx([["x"]]), {"/etc/passwd": b"x"}), "path"),
        (rewritten(xlsx([["x"]]), {"..\\evil": b"x"}), "path"),
        (rewritten(xlsx([["x"]]), {f"m{n}": b"" for n in range(1001)}), "files"),
        (
            rewritten(xlsx([["x"]]), {SHEET: b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'}),
            "entities",
        ),
        (xlsx([["x"]])[:-30], "not an XLSX"),
        (b"PK\x03\x04" + bytes(100), "not an XLSX"),
    ],
    ids=["corner", "wide", "bomb", "slip", "absolute", "backslash", "many", "entity", "cut", "zip"],
)
def test_hostile_spreadsheets_are_refused_before_they_are_opened(data: bytes, said: str) -> None:
    with pytest.raises(CatalogueError, match=said):
        open_table(data)


def test_a_cell_reference_on_the_edge_of_a_piece_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    data = xlsx([["x"]], at=(70_000, 400))
    for size in range(40, 90):
        monkeypatch.setattr(xlsx_extent, "_PIECE_BYTES", size)
        with pytest.raises(CatalogueError, match="reaches to"):
            check_extent(data)


def test_a_forged_size_does_not_hide_what_is_inside() -> None:
    data = bytearray(rewritten(xlsx([["x"]]), {"xl/media/zeros": bytes(5_000_000)}))
    at = data.rfind(b"xl/media/zeros") - 46  # its entry in the directory at the end
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    with pytest.raises(CatalogueError, match=r"damaged|unpacks"):
        check_extent(bytes(data))


@pytest.mark.parametrize(
    "data",
    [
        b"Name,Country\n" + b"x" * (MAX_CELL_CHARACTERS + 1) + b",DE\n",
        b"," * 600 + b"\n",
        b'Name,Country\n"A" x,DE\n',
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"",
    ],
)
def test_hostile_text_is_told(data: bytes) -> None:
    with pytest.raises(CatalogueError):
        list(open_table(data).rows)


@given(st.binary(max_size=300), st.sampled_from(sorted(KINDS)))
def test_any_bytes_are_a_table_or_told(data: bytes, kind: str) -> None:
    with contextlib.suppress(CatalogueError):
        preview_table(data, kind)


def test_columns_are_guessed_in_several_languages_and_with_mistakes() -> None:
    german = ["Kreditor", "Firma", "Straße", "PLZ", "Ort", "Land", "Telefon", "E-Mail", "USt-IdNr."]
    assert guess("suppliers", german) == {
        "external_ref": 0, "name": 1, "street": 2, "postcode": 3, "city": 4, "country": 5,
        "phone": 6, "email": 7, "vat_number": 8,
    }  # fmt: skip
    assert guess("suppliers", ["Comapny name", "Contry", "Tel.", "?"]) == {
        "name": 0, "country": 1, "phone": 2,
    }  # fmt: skip
    french = ["Référence", "Désignation", "Unité", "Prix", "Devise"]
    assert len(guess("products", french)) == 5


@given(st.sampled_from(sorted(KINDS)), st.lists(_cells, max_size=12))
def test_guesses_can_be_used(kind: str, heading: list[str]) -> None:
    columns = guess(kind, heading)
    assert len(set(columns.values())) == len(columns)
    assert all(0 <= at < len(heading) for at in columns.values())


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"name": 0}, "Country"),
        ({"name": 0, "country": 0}, "more than one"),
        ({"name": 0, "country": 9}, "column 9"),
        ({"name": 0, "country": -1}, "column -1"),
        ({"name": 0, "country": True}, "column True"),
        ({"name": 0, "country": 1, "password": 2}, "not a field"),
    ],
)
def test_mappings_that_cannot_be_used_are_told(columns: dict[str, int], said: str) -> None:
    with pytest.raises(CatalogueError, match=said):
        check("suppliers", columns, 3)


def _staged(text: str) -> Iterator[tuple[int, int, list[str]]]:
    staged = stage_table(text.encode(), "suppliers", {"external_ref": 2, "name": 0, "country": 1})
    assert staged.names == ["external_ref", "name", "country"]
    for block in staged.blocks:
        yield from (tuple(row) for row in rows_of(block))  # type: ignore[misc]  # a named tuple


def test_staged_rows_keep_their_numbers_and_tell_repetitions() -> None:
    text = "Name,Country,Ref\nA,DE,1\n\n,,\nB,DE,2\nC,DE, 1 \nshort\n"
    assert list(_staged(text)) == [
        (2, 0, ["1", "A", "DE"]),
        (5, 0, ["2", "B", "DE"]),
        (6, 2, [" 1 ", "C", "DE"]),
        (7, 0, ["", "short", ""]),
    ]


def test_blocks_repeat_and_lose_nothing() -> None:
    rows = 3 * BLOCK_ROWS + 7
    text = "Name,Country,Ref\n" + "".join(f"N{n},DE,{n}\n" for n in range(rows))
    found = list(_staged(text))
    assert [row[2][1] for row in found] == [f"N{n}" for n in range(rows)]
    assert all(later[0] == earlier[0] + 1 for earlier, later in pairwise(found))
    columns = {"external_ref": 2, "name": 0, "country": 1}
    one = stage_table(text.encode(), "suppliers", columns)
    assert one == stage_table(text.encode(), "suppliers", columns, Options("utf-8", ","))
    assert len(one.blocks) == 4


def test_every_problem_of_a_row_is_told() -> None:
    text = "Name,Country,Ref\n,Germany,1\nGood,at,2\nAgain,DE,2\n"
    columns = {"external_ref": 2, "name": 0, "country": 1}
    (block,) = stage_table(text.encode(), "suppliers", columns).blocks
    checked = check_block(block, "suppliers", ("external_ref", "name", "country"))
    assert [(one.row, one.field) for one in checked.problems] == [
        (2, "name"), (2, "country"), (4, "external_ref"),
    ]  # fmt: skip
    assert (checked.rows, checked.rejected) == (3, 2)
    (row,) = accepted_rows(checked)
    assert row.values == {"external_ref": "2", "name": "Good", "country": "AT"}


@pytest.mark.parametrize(
    ("parse", "good", "value"),
    [
        (values.country, " de ", "DE"),
        (values.website, "example.org", "https://example.org"),
        (values.codes, "25.62; 10.71,25.62", ["10.71", "25.62"]),
        (values.degrees(90), "48,4", 48.4),
        (values.whole_number(0, 10), "", None),
        (values.quantity, "", 1),
        (values.price_cents, "1.234,50", 123450),
        (values.text_of(0, 9), "  a \t b ", "a b"),
        (values.phone, "'+49 40 1234567", "+49 40 1234567"),
        (values.vat_number, "", ""),
    ],
)
def test_values_are_read(parse: values.Parse, good: str, value: object) -> None:
    assert parse(good) == value


@pytest.mark.parametrize(
    ("parse", "bad"),
    [
        (values.country, "Germany"),
        (values.website, "javascript:alert(1)"),
        (values.website, "https://a b"),
        (values.email, "a@b@c"),
        (values.phone, "call me"),
        (values.vat_number, "DE123456789"),
        (values.codes, "abc"),
        (values.codes, ";".join(f"{n}.1" for n in range(10, 40))),
        (values.degrees(90), "91"),
        (values.degrees(90), "nan"),
        (values.degrees(90), "1e1"),
        (values.whole_number(0, 10), "11"),
        (values.whole_number(0, 10), "١"),
        (values.text_of(1, 9), " "),
        (values.text_of(0, 9), "a\x00b"),
        (values.sku, "'; DROP"),
        (values.currency, "XXX"),
        (values.unit, "dozen"),
    ],
)
def test_bad_values_are_told(parse: values.Parse, bad: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(bad)


@settings(max_examples=300)
@given(st.text(max_size=10) | st.text(alphabet="'=+-@0", max_size=5))
@example("0'=")
@example("'=")
@example("''=1")
def test_neutralised_texts_are_no_formulas_and_come_back(text: str) -> None:
    written = neutral(text)
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r"))
    if text == text.strip():
        assert values.plain(written) == text


def _places_of(written: str) -> list[str]:
    """Return what begins a cell, whatever parts the cells of a line."""
    return re.split(r"[;\t\r\n]", written)


@settings(max_examples=300)
@given(st.text(alphabet="'=+-@0;\t\r\n ", max_size=8))
@example("Foo;=1+1")
@example("Foo;'=1+1")
@example("Foo\n=cmd|' /C calc'!A0")
@example("a\t@SUM(1)")
def test_no_cell_is_a_formula_whatever_parts_the_cells(text: str) -> None:
    written = neutral(text)
    assert not [cell for cell in _places_of(written) if cell.startswith(("=", "+", "-", "@"))]
    if text == text.strip():
        assert values.plain(written) == text


def _sheet(rows: bytes) -> bytes:
    return rewritten(xlsx([["x"]]), {SHEET: b"<worksheet><sheetData>" + rows + b"</sheetData>"})


@pytest.mark.parametrize(
    "rows",
    [
        b"<row r='1048576'><c r='XFD1048576'/></row>",
        b'<row r = "1"><c r = "XFD1"/></row>',
        b'<row r="1"><c s="1" t="n" cm="12345678901234567890123456789012345678901234567890"'
        b' r="XFD1"/></row>',
        b'<row r="1"><c\n\tr="XFD1"/></row>',
        b'<x:row r="1"><averylongprefix:c r="XFD1"/></x:row>',
        b'<row r="1"><c x=\' r="A1" \' r="XFD1"/></row>',
        b'<row r="1"><c x=">" r="XFD1"/></row>',
        b"<row>" + b"<c/>" * 600 + b"</row>",
        b'<row r="1"><c r="SF1"/>' + b"<c/>" * 5 + b"</row>",
        b"<row/>" * 300_000 + b"<row>" + b"<c/>" * 90 + b"</row>",
        b'<row r="99999999"/>',
    ],
    ids=[
        "single quotes", "blanks", "attributes", "lines", "prefix", "hidden", "greater",
        "no place", "then no place", "rows without a place", "digits",
    ],
)  # fmt: skip
def test_cells_are_seen_however_they_say_where_they_are(
    rows: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (1 << 20, 61):
        monkeypatch.setattr(xlsx_extent, "_PIECE_BYTES", size)
        with pytest.raises(CatalogueError, match="reaches to"):
            check_extent(_sheet(rows))


@pytest.mark.parametrize(
    "rows",
    [
        b'<row r="1"><c x="<" r="XFD1"/></row>',
        b'<row r="1"><c r=XFD1/></row>',
        b'<row r="1"><c ' + b" " * 200_000 + b'r="XFD1"/></row>',
    ],
    ids=["less", "no quotes", "long"],
)
def test_cells_that_are_no_xml_are_refused(rows: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (1 << 20, 61):
        monkeypatch.setattr(xlsx_extent, "_PIECE_BYTES", size)
        with pytest.raises(CatalogueError, match=r"save it again|reaches to"):
            check_extent(_sheet(rows))


def test_letters_of_two_bytes_hide_no_cells() -> None:
    text = '<worksheet><sheetData><row r="1"><c r="XFD1"/></row></sheetData></worksheet>'
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        with pytest.raises(CatalogueError, match="UTF-16"):
            check_extent(rewritten(xlsx([["x"]]), {SHEET: text.encode(encoding)}))


def test_sheets_as_programs_write_them_are_measured() -> None:
    extent = check_extent(xlsx([["a", "b"], ["c"]]))
    assert (extent.rows, extent.columns) == (2, 2)
    by_place = b'<row r="1"><c r="A1"/><c r="B1"/></row><row r="2"><c r="A2"/></row>'
    in_order = b"<row><c/><c/></row><row><c/></row>"
    otherwise = b"<row r='1'><c s='1' r='A1'/><c/></row><row><c/></row>"
    for rows in (by_place, in_order, otherwise):
        found = check_extent(_sheet(rows))
        assert (found.rows, found.columns) == (2, 2), rows
    # In a picture anything may look like the beginning of a cell.
    picture = b"\x89PNG" + b"<c \x00<row \x01<x:c>" * 200
    extent = check_extent(rewritten(xlsx([["x"]]), {"xl/media/image1.png": picture}))
    assert extent.columns < 500
