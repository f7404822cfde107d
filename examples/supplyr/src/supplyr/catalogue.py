"""Import a supplier's price catalogue from CSV or XLSX: map columns, check rows, report errors."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from lanewise import task

from supplyr.catalogue_samples import csv_bytes, xlsx_bytes
from supplyr.records import PriceRow
from supplyr.spreadsheet import CatalogueError, sheet_rows

MAX_ERRORS = 100
MAX_PRICE_CENTS = 10_000_000_00
_CURRENCIES = frozenset("EUR CHF USD GBP PLN CZK SEK DKK NOK".split())
_UNITS = frozenset("pcs kg m l box".split())
_SKU = re.compile(r"[A-Z0-9][A-Z0-9._/-]{2,31}")
_PRICE_SPACES = re.compile(r"[ \u00a0\u202f']")  # thousands: blank, no-break blanks, Swiss mark
_PRICE = re.compile(r"([0-9]{1,12})(?:\.([0-9]*))?")

# Field -> accepted headings, compared without case and surrounding blanks.
_HEADINGS: dict[str, tuple[str, ...]] = {
    "sku": ("sku", "article", "article number", "artikelnummer", "art.-nr.", "référence"),
    "description": ("description", "name", "bezeichnung", "désignation", "descrizione"),
    "unit": ("unit", "einheit", "unité", "unità"),
    "price": ("price", "net price", "preis", "prix", "prezzo"),
    "currency": ("currency", "währung", "devise", "valuta"),
    "min_quantity": ("min quantity", "minimum order", "mindestmenge", "quantité minimale"),
}
_OPTIONAL = frozenset({"min_quantity"})


class RowError(NamedTuple):
    """What is wrong with one row; rows are numbered as in the file, the heading is row 1."""

    row: int
    field: str
    message: str


class ImportResult(NamedTuple):
    """Outcome of an import.

    `accepted_json` holds the accepted rows as JSON lines in UTF-8: one bytes object crosses a
    process boundary much faster than the same rows as Python objects. At most MAX_ERRORS errors
    are listed, `rejected` counts all.
    """

    accepted: int
    rejected: int
    errors: tuple[RowError, ...]
    accepted_json: bytes


def accepted_rows(result: ImportResult) -> list[PriceRow]:
    """Decode the accepted rows of an import."""
    return [PriceRow(*json.loads(line)) for line in result.accepted_json.splitlines()]


def _columns(heading: Sequence[str]) -> dict[str, int]:
    """Map fields to column indexes; raises CatalogueError when a needed one is missing."""
    place = {cell.strip().casefold(): index for index, cell in reversed(list(enumerate(heading)))}
    columns: dict[str, int] = {}
    for field, names in _HEADINGS.items():
        index = next((place[name] for name in names if name in place), None)
        if index is not None:
            columns[field] = index
        elif field not in _OPTIONAL:
            raise CatalogueError(
                f"no column for {field} in the first row ({', '.join(heading)[:200]});"
                f" name it one of: {', '.join(names)}"
            )
    return columns


def parse_price_cents(text: str) -> int:
    """Return the price in cents; accepts "1234.5", "1.234,50", "1,234.50" and "1 234,50".

    The last comma or point is the decimal mark. Raises ValueError for anything else, for amounts
    that are not positive, and for fractions of a cent ("1,234" is refused rather than guessed).
    """
    plain = _PRICE_SPACES.sub("", text)
    if plain.rfind(",") > plain.rfind("."):
        plain = plain.replace(".", "").replace(",", ".", 1)
    else:
        plain = plain.replace(",", "")
    match = _PRICE.fullmatch(plain)
    if match is None:
        raise ValueError(f"{text!r} is not a price such as 1234.50")
    whole, fraction = match.group(1), (match.group(2) or "").rstrip("0")
    if len(fraction) > 2:
        raise ValueError(f"price {text!r} has fractions of a cent")
    cents = int(whole) * 100 + int(fraction.ljust(2, "0"))
    if not 0 < cents <= MAX_PRICE_CENTS:
        raise ValueError(f"price {text!r} is not above 0 and at most {MAX_PRICE_CENTS // 100}")
    return cents


def _quantity(text: str) -> int:
    digits = text.strip() or "1"
    if not (digits.isascii() and digits.isdigit() and int(digits[:9]) > 0 and len(digits) <= 9):
        raise ValueError(f"{text!r} is not a whole number from 1 to 999999999")
    return int(digits)


def _one_of(text: str, known: frozenset[str], folded: str) -> str:
    if folded not in known:
        raise ValueError(f"{text!r} is unknown; use one of {', '.join(sorted(known))}")
    return folded


def _parse_field(field: str, text: str) -> str | int:
    if field == "price":
        return parse_price_cents(text)
    if field == "min_quantity":
        return _quantity(text)
    if field == "currency":
        return _one_of(text, _CURRENCIES, text.strip().upper())
    if field == "unit":
        return _one_of(text, _UNITS, text.strip().lower())
    value = text.strip()
    if field == "sku" and not _SKU.fullmatch(value.upper()):
        raise ValueError(f"{text!r} is not an article number of 3 to 32 letters, digits, . _ / -")
    if field == "description" and not 0 < len(value) <= 200:
        raise ValueError("must have 1 to 200 characters")
    return value.upper() if field == "sku" else value


def _parse_row(
    number: int, row: Sequence[str], columns: dict[str, int]
) -> tuple[list[str | int], list[RowError]]:
    values: list[str | int] = []
    errors: list[RowError] = []
    for field in _HEADINGS:
        index = columns.get(field, len(row))
        try:
            values.append(_parse_field(field, row[index] if index < len(row) else ""))
        except ValueError as error:
            errors.append(RowError(number, field, str(error)))
    return values, errors


def _import_rows(rows: Iterator[list[str]]) -> ImportResult:
    heading = next(rows, None)
    if heading is None:
        raise CatalogueError("the catalogue is empty; it needs a heading and rows below it")
    columns = _columns(heading)
    lines: list[bytes] = []
    listed: list[RowError] = []
    first_row_of: dict[str | int, int] = {}
    rejected = 0
    for number, row in enumerate(rows, start=2):
        if not any(row):
            continue
        values, errors = _parse_row(number, row, columns)
        if not errors and (first := first_row_of.setdefault(values[0], number)) != number:
            errors = [RowError(number, "sku", f"{values[0]} is already in row {first}")]
        if errors:
            rejected += 1
            listed.extend(errors[: MAX_ERRORS - len(listed)])
        else:
            lines.append(json.dumps(values, ensure_ascii=False).encode() + b"\n")
    return ImportResult(len(lines), rejected, tuple(listed), b"".join(lines))


def _csv_rows(data: bytes) -> Iterator[list[str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CatalogueError(
            f"the CSV is not UTF-8 (byte {error.start}); in Excel save it as 'CSV UTF-8'"
        ) from error
    first_line = text.partition("\n")[0]
    delimiter = ";" if first_line.count(";") > first_line.count(",") else ","
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise CatalogueError(
            f"the CSV is malformed ({error}); check its quotation marks"
        ) from error


def csv_row_count(data: bytes) -> int:
    """Return the rows below the heading, by line ends: quoted ones are counted too."""
    return max(data.count(b"\n") - 1, 0)


def _rows_hint(data: bytes, rows_hint: int) -> int:
    return rows_hint


@lru_cache(maxsize=8)
def _csv_sample(rows: int) -> bytes:
    return csv_bytes(rows)


@lru_cache(maxsize=8)
def _xlsx_sample(rows: int) -> bytes:
    return xlsx_bytes(rows)


def _csv_inputs(size: int) -> tuple[bytes]:
    return (_csv_sample(size),)


def _xlsx_inputs(size: int) -> tuple[bytes, int]:
    return _xlsx_sample(size), size


@task(size=csv_row_count, inputs=_csv_inputs, idempotent=True)
def import_csv(data: bytes) -> ImportResult:
    """Import a CSV catalogue (UTF-8, comma or semicolon, first row headings).

    Bad rows are reported and left out. Raises CatalogueError when the file as a whole is unusable:
    not UTF-8, malformed, empty, or without a needed column.
    """
    return _import_rows(_csv_rows(data))


@task(size=_rows_hint, inputs=_xlsx_inputs, idempotent=True)
def import_xlsx(data: bytes, rows_hint: int) -> ImportResult:
    """Import the first sheet of an XLSX catalogue; otherwise like import_csv.

    `rows_hint` is only the size by which the lane is chosen (unpacking the file to count its rows
    would be most of the import): what the uploader declares, or spreadsheet.declared_rows(data).
    """
    return _import_rows(sheet_rows(data))
