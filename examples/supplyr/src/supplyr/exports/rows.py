"""What is exported of a supplier, and texts that no spreadsheet takes for formulas."""

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from supplyr.generate import generate


class Column(NamedTuple):
    """A column of an export: the field of a row, its heading, its width in characters."""

    field: str
    heading: str
    width: int


# The headings are such that the import maps them by itself: what was exported can come back.
COLUMNS: tuple[Column, ...] = (
    Column("external_ref", "Reference", 14),
    Column("name", "Name", 40),
    Column("street", "Street", 28),
    Column("address_extra", "Address extra", 14),
    Column("postcode", "Postcode", 10),
    Column("city", "City", 22),
    Column("region", "Region", 22),
    Column("country", "Country", 8),
    Column("phone", "Phone", 20),
    Column("email", "E-mail", 30),
    Column("website", "Website", 30),
    Column("vat_number", "VAT number", 16),
    Column("codes", "Codes", 14),
    Column("employees", "Employees", 10),
    Column("founded_year", "Founded in", 10),
    Column("latitude_deg", "Latitude", 10),
    Column("longitude_deg", "Longitude", 10),
    Column("description", "Description", 60),
)
HEADING: tuple[str, ...] = tuple(column.heading for column in COLUMNS)
Cell = str | int | float | None

# After the OWASP page on CSV injection. A cell also begins where a program that was set to another
# separator than ours parts a line: behind a semicolon, a tab, the end of a line. The import takes
# the mark away again, so a text that looks as if it had one gets one more: what comes back is what
# was there.
_BEFORE_FORMULA = re.compile(r"(?:\A|(?<=[;\t\r\n]))(?='*[=+\-@\t\r])")


def neutral(text: str) -> str:
    """Return a text with an apostrophe before whatever a spreadsheet would calculate."""
    return _BEFORE_FORMULA.sub("'", text)


def cells_of(row: Mapping[str, Any]) -> list[Cell]:
    """Return the cells of a supplier (as `store.suppliers.by_ids` returns it)."""
    return [
        "; ".join(row[column.field]) if column.field == "codes" else row[column.field]
        for column in COLUMNS
    ]


def encode_rows(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Write suppliers as lines of JSON: the form in which pages cross and wait."""
    return b"".join(
        json.dumps(cells_of(row), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        for row in rows
    )


@lru_cache(maxsize=8)
def sample_rows(count: int) -> bytes:
    """Return generated suppliers in that form."""
    return encode_rows(
        {
            **one._asdict(),
            "external_ref": f"S{one.id}",
            "codes": list(one.categories),
            "employees": 5 + one.id % 400,
            "founded_year": 1950 + one.id % 70,
            "description": f"{one.name}, {one.city}",
        }
        for one in generate(count).records
    )
