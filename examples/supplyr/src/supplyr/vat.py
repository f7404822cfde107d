"""Check digits of VAT identification numbers for the countries SUPPLYR trades with.

The procedures are the published ones of the national tax offices: DE ISO 7064 MOD 11,10;
AT weighted digit sums; FR "clé" over the SIREN (which carries a Luhn digit); IT Luhn; BE modulo 97.
"""

from collections.abc import Callable

_ASCII_DIGITS = frozenset("0123456789")


def _all_digits(text: str) -> bool:
    # str.isdigit also accepts digits such as "²", which int() refuses.
    return bool(text) and _ASCII_DIGITS.issuperset(text)


def luhn_digit(body: str) -> int:
    """Return the Luhn check digit for the decimal digits in `body`."""
    total = 0
    for position, char in enumerate(reversed(body)):
        digit = int(char)
        if position % 2 == 0:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return -total % 10


def _german_digit(body: str) -> int:
    product = 10
    for char in body:
        total = (int(char) + product) % 10 or 10
        product = 2 * total % 11
    return (11 - product) % 10


def _austrian_digit(body: str) -> int:
    total = 4
    for position, char in enumerate(body):
        doubled = int(char) * (1 + position % 2)
        total += doubled // 10 + doubled % 10
    return -total % 10


def _complete_german(body: str) -> str:
    return f"DE{body[:8]}{_german_digit(body[:8])}"


def _complete_austrian(body: str) -> str:
    return f"ATU{body[:7]}{_austrian_digit(body[:7])}"


def _complete_french(body: str) -> str:
    siren = f"{body[:8]}{luhn_digit(body[:8])}"
    return f"FR{(12 + 3 * (int(siren) % 97)) % 97:02d}{siren}"


def _complete_italian(body: str) -> str:
    return f"IT{body[:10]}{luhn_digit(body[:10])}"


def _complete_belgian(body: str) -> str:
    return f"BE{body[:8]}{97 - int(body[:8]) % 97:02d}"


# country -> (prefix, where the body starts, digits in the body, total length, completion)
_RULES: dict[str, tuple[str, int, int, int, Callable[[str], str]]] = {
    "DE": ("DE", 2, 8, 11, _complete_german),
    "AT": ("ATU", 3, 7, 11, _complete_austrian),
    "FR": ("FR", 4, 8, 13, _complete_french),
    "IT": ("IT", 2, 10, 13, _complete_italian),
    "BE": ("BE", 2, 8, 12, _complete_belgian),
}


def complete_vat_number(country: str, body: str) -> str:
    """Return the full VAT number of `country` for the leading digits `body`.

    `body` may be longer than needed; the surplus is ignored. Raises ValueError for a country
    without a rule here and for a body that is too short or not made of digits.
    """
    rule = _RULES.get(country)
    if rule is None:
        known = ", ".join(sorted(_RULES))
        raise ValueError(f"no VAT check-digit rule for country {country!r}; known: {known}")
    _, _, digits, _, complete = rule
    if len(body) < digits or not _all_digits(body[:digits]):
        raise ValueError(f"a {country} VAT number needs {digits} leading digits, got {body!r}")
    return complete(body)


def is_valid_vat_number(number: str) -> bool:
    """Tell whether `number` (no blanks, upper case) has a known country and a right check digit."""
    rule = _RULES.get(number[:2])
    if rule is None:
        return False
    prefix, start, digits, length, complete = rule
    if len(number) != length or not number.startswith(prefix):
        return False
    body = number[start : start + digits]
    return _all_digits(body) and complete(body) == number
