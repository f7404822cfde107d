"""Check many rows of supplier data: VAT number, e-mail, telephone, postcode, price, currency."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple

from lanewise import task

from supplyr.catalogue import parse_price_cents
from supplyr.generate import generate
from supplyr.prices import price_rows
from supplyr.vat import is_valid_vat_number

Row = Mapping[str, str]

# Deliberately simpler than RFC 5322: what mail servers of suppliers really accept.
EMAIL = re.compile(
    r"[a-z0-9][a-z0-9._%+-]{0,63}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}"
)
PHONE_NOISE = re.compile(r"[ ()/.-]")
PHONE = re.compile(r"(?:\+|00)[1-9][0-9]{6,14}")
_POSTCODES = {
    "DE": re.compile(r"[0-9]{5}"),
    "AT": re.compile(r"[1-9][0-9]{3}"),
    "FR": re.compile(r"[0-9]{5}"),
    "IT": re.compile(r"[0-9]{5}"),
    "BE": re.compile(r"[1-9][0-9]{3}"),
}
_CURRENCIES = frozenset("EUR CHF USD GBP PLN CZK SEK DKK NOK".split())


class Problem(NamedTuple):
    """A field of a row that cannot be accepted; rows are counted from 0."""

    row: int
    field: str
    message: str


class ValidationReport(NamedTuple):
    """How many rows were checked, how many are right, and everything that is wrong."""

    rows: int
    valid: int
    problems: tuple[Problem, ...]


def _vat_problem(row: Row) -> str:
    number = row.get("vat_number", "").replace(" ", "").upper()
    return "" if is_valid_vat_number(number) else "unknown country or wrong check digit"


def _email_problem(row: Row) -> str:
    email = row.get("email", "").strip().lower()
    return "" if len(email) <= 254 and EMAIL.fullmatch(email) else "not an e-mail address"


def _phone_problem(row: Row) -> str:
    digits = PHONE_NOISE.sub("", row.get("phone", "").replace("(0)", ""))
    return "" if PHONE.fullmatch(digits) else "not an international telephone number"


def _postcode_problem(row: Row) -> str:
    country = row.get("country", "").upper()
    pattern = _POSTCODES.get(country)
    if pattern is None:
        return f"no postcode rule for country {country!r}"
    return "" if pattern.fullmatch(row.get("postcode", "")) else f"not a postcode of {country}"


def _price_problem(row: Row) -> str:
    try:
        parse_price_cents(row.get("price", ""))
    except ValueError as error:
        return str(error)
    return ""


def _currency_problem(row: Row) -> str:
    return "" if row.get("currency", "") in _CURRENCIES else "not a currency SUPPLYR trades in"


_CHECKS = (
    ("vat_number", _vat_problem),
    ("email", _email_problem),
    ("phone", _phone_problem),
    ("postcode", _postcode_problem),
    ("price", _price_problem),
    ("currency", _currency_problem),
)


@lru_cache(maxsize=8)
def _sample(count: int) -> tuple[dict[str, str], ...]:
    rng = Random(20250104)
    rows: list[dict[str, str]] = []
    for supplier, price in zip(generate(count).records, price_rows(count), strict=True):
        row = {
            "vat_number": supplier.vat_number,
            "email": supplier.email,
            "phone": supplier.phone,
            "postcode": supplier.postcode,
            "country": supplier.country,
            "price": f"{price.price_cents // 100},{price.price_cents % 100:02d}",
            "currency": price.currency,
        }
        if rng.random() < 0.05:
            field = _CHECKS[rng.randrange(len(_CHECKS))][0]
            row[field] = row[field][:-1] + "?"
        rows.append(row)
    return tuple(rows)


def _validation_inputs(size: int) -> tuple[list[dict[str, str]]]:
    return ([dict(row) for row in _sample(size)],)


@task(size=len, inputs=_validation_inputs, idempotent=True)
def validate_rows(rows: Sequence[Row]) -> ValidationReport:
    """Check every row and return all problems found; a missing field counts as empty.

    Plain Python: it holds the GIL for all of its time.
    """
    problems: list[Problem] = []
    valid = 0
    for number, row in enumerate(rows):
        found = [
            Problem(number, field, message) for field, check in _CHECKS if (message := check(row))
        ]
        valid += not found
        problems.extend(found)
    return ValidationReport(len(rows), valid, tuple(problems))
