"""Read one cell as one value. Each function raises ValueError that says what is wrong."""

import re
from collections.abc import Callable

from supplyr.catalogue import parse_price_cents
from supplyr.validation import EMAIL, PHONE, PHONE_NOISE
from supplyr.vat import is_valid_vat_number

Value = str | int | float | list[str] | None
Parse = Callable[[str], Value]

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BLANKS = re.compile(r"\s+")
_COUNTRY = re.compile(r"[A-Z]{2}")
_CODE = re.compile(r"[0-9]{2}(?:\.[0-9]{1,2})?")
_SKU = re.compile(r"[A-Z0-9][A-Z0-9._/-]{2,31}")
_LIST = re.compile(r"[;,|\n]+")
_WEBSITE = re.compile(r"https?://[a-z0-9.-]+(?::[0-9]{1,5})?(?:/[^\s<>\"']*)?", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}(?:\.[0-9]{1,12})?")
# What exports put before whatever a spreadsheet takes for a formula (exports/rows.py): one more
# apostrophe than it had.
_NEUTRALISED = re.compile(r"(?:\A|(?<=[;\t\r\n]))'(?='*[=+\-@\t\r])")
MAX_CODES = 12
_CURRENCIES = frozenset("EUR CHF USD GBP PLN CZK SEK DKK NOK".split())
_UNITS = frozenset("pcs kg m l box".split())


def plain(text: str) -> str:
    """Return a cell without blanks at its ends and without the marks of neutralised formulas."""
    return _NEUTRALISED.sub("", text.strip())


def text_of(least: int, most: int) -> Parse:
    """Return a reader of texts of `least` to `most` characters; blanks are joined to one."""

    def parse(text: str) -> str:
        if _CONTROL.search(text):
            raise ValueError("holds control characters")
        value = _BLANKS.sub(" ", plain(text)).strip()
        if least and not value:
            raise ValueError("is missing")
        if not least <= len(value) <= most:
            raise ValueError(f"has {len(value)} characters; {least} to {most} are allowed")
        return value

    return parse


def country(text: str) -> str:
    """Read a country code of two letters (ISO 3166-1)."""
    value = plain(text).upper()
    if not _COUNTRY.fullmatch(value):
        raise ValueError(f"{text!r} is not a country code of two letters such as DE")
    return value


def email(text: str) -> str:
    """Read an e-mail address, or nothing."""
    value = plain(text).lower()
    if value and (len(value) > 254 or not EMAIL.fullmatch(value)):
        raise ValueError(f"{text!r} is not an e-mail address")
    return value


def phone(text: str) -> str:
    """Read an international telephone number, or nothing; it is kept as it is written."""
    value = plain(text)
    if len(value) > 40:
        raise ValueError(f"has {len(value)} characters; at most 40 are allowed")
    if value and not PHONE.fullmatch(PHONE_NOISE.sub("", value.replace("(0)", ""))):
        raise ValueError(f"{text!r} is not an international telephone number such as +49 40 1234")
    return value


def website(text: str) -> str:
    """Read an http(s) address, or nothing; one without a scheme gets https."""
    if _CONTROL.search(text):
        raise ValueError("holds control characters")
    value = plain(text)
    if value and "://" not in value:
        value = f"https://{value}"
    if value and (len(value) > 300 or not _WEBSITE.fullmatch(value)):
        raise ValueError(f"{text!r} is not a web address such as https://www.example.com/")
    return value


def vat_number(text: str) -> str:
    """Read a VAT number with its check digits, or nothing."""
    value = plain(text).replace(" ", "").replace(".", "").upper()
    if value and not is_valid_vat_number(value):
        raise ValueError(f"{text!r} has an unknown country or a wrong check digit")
    return value


def codes(text: str) -> list[str]:
    """Read classification codes such as 25.62, separated by comma, semicolon or bar."""
    found = [code for part in _LIST.split(plain(text)) if (code := part.strip())]
    for code in found:
        if not _CODE.fullmatch(code):
            raise ValueError(f"{code!r} is not a classification code such as 25.62")
    if len(found) > MAX_CODES:
        raise ValueError(f"has {len(found)} codes; at most {MAX_CODES} are allowed")
    return sorted(set(found))


def whole_number(least: int, most: int) -> Parse:
    """Return a reader of whole numbers from `least` to `most`, or nothing."""

    def parse(text: str) -> int | None:
        value = plain(text)
        if not value:
            return None
        if not (value.isascii() and value.isdigit() and len(value) <= 9):
            raise ValueError(f"{text!r} is not a whole number")
        number = int(value)
        if not least <= number <= most:
            raise ValueError(f"{text!r} is not within {least} and {most}")
        return number

    return parse


def degrees(most: float) -> Parse:
    """Return a reader of degrees from -most to most, or nothing; comma or point."""

    def parse(text: str) -> float | None:
        value = plain(text).replace(",", ".")
        if not value:
            return None
        if not _NUMBER.fullmatch(value) or abs(float(value)) > most:
            raise ValueError(f"{text!r} is not a number of degrees from -{most:g} to {most:g}")
        return float(value)

    return parse


def sku(text: str) -> str:
    """Read an article number."""
    value = plain(text).upper()
    if not _SKU.fullmatch(value):
        raise ValueError(f"{text!r} is not an article number of 3 to 32 letters, digits, . _ / -")
    return value


def price_cents(text: str) -> int:
    """Read a price in cents, see catalogue.parse_price_cents."""
    return parse_price_cents(plain(text))


def currency(text: str) -> str:
    """Read a currency that SUPPLYR trades in."""
    value = plain(text).upper()
    if value not in _CURRENCIES:
        raise ValueError(f"{text!r} is unknown; use one of {', '.join(sorted(_CURRENCIES))}")
    return value


def unit(text: str) -> str:
    """Read a unit."""
    value = plain(text).lower()
    if value not in _UNITS:
        raise ValueError(f"{text!r} is unknown; use one of {', '.join(sorted(_UNITS))}")
    return value


def quantity(text: str) -> int:
    """Read a minimum quantity; nothing means 1."""
    number = whole_number(1, 999_999_999)(text)
    return number if isinstance(number, int) else 1
