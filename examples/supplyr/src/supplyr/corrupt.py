"""Operators that write a supplier down once more the way people do: with mistakes.

Each takes a random.Random and a record and returns a new record. Only Random.random and
Random.randrange are used: their sequences for a seed are the same on every supported Python.
"""

from collections.abc import Callable
from random import Random

from supplyr.records import Supplier

Operator = Callable[[Random, Supplier], Supplier]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ABBREVIATED = (
    ("straße", "str."),
    ("Straße", "Str."),
    ("avenue ", "av. "),
    ("boulevard ", "bd "),
    ("rue ", "r. "),
    ("Viale ", "V.le "),
    ("Piazza ", "P.za "),
    ("Corso ", "C.so "),
    (" und ", " & "),
    (" et ", " & "),
    ("technik", "techn."),
    ("Ingenieurbüro", "Ing.-Büro"),
)
_TRANSLITERATED = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss",
     "é": "e", "è": "e", "É": "E", "ç": "c", "ô": "o", "Î": "I", "à": "a", "ë": "e"}
)  # fmt: skip
_LEGAL_FORMS = (
    " GmbH & Co. KG", " GesmbH", " GmbH", " AG", " KG", " OHG", " OG", " e. K.", " e. U.", " UG",
    " SARL", " SAS", " SA", " EURL", " SNC", " S.r.l.", " S.p.A.", " S.n.c.", " S.a.s.",
)  # fmt: skip


def misspell(rng: Random, text: str) -> str:
    """Return `text` with one letter replaced, left out, doubled in, or swapped with the next."""
    if len(text) < 2:
        return text
    at = rng.randrange(len(text) - 1)
    kind = rng.randrange(4)
    letter = _LETTERS[rng.randrange(26)]
    if kind == 0:
        return text[:at] + letter + text[at + 1 :]
    if kind == 1:
        return text[:at] + text[at + 1 :]
    if kind == 2:
        return text[:at] + letter + text[at:]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def typo_in_name(rng: Random, record: Supplier) -> Supplier:
    """Misspell the name."""
    return record._replace(name=misspell(rng, record.name))


def typo_in_street(rng: Random, record: Supplier) -> Supplier:
    """Misspell the street."""
    return record._replace(street=misspell(rng, record.street))


def typo_in_city(rng: Random, record: Supplier) -> Supplier:
    """Misspell the city."""
    return record._replace(city=misspell(rng, record.city))


def swap_digits(rng: Random, record: Supplier) -> Supplier:
    """Swap two neighbouring digits of the postcode."""
    code = record.postcode
    if len(code) < 2:
        return record
    at = rng.randrange(len(code) - 1)
    return record._replace(postcode=code[:at] + code[at + 1] + code[at] + code[at + 2 :])


def abbreviate(_rng: Random, record: Supplier) -> Supplier:
    """Use the usual abbreviations in name and street."""
    name, street = record.name, record.street
    for long, short in _ABBREVIATED:
        name, street = name.replace(long, short), street.replace(long, short)
    return record._replace(name=name, street=street)


def swap_words(rng: Random, record: Supplier) -> Supplier:
    """Swap two neighbouring words of the name."""
    words = record.name.split(" ")
    if len(words) < 2:
        return record
    at = rng.randrange(len(words) - 1)
    words[at], words[at + 1] = words[at + 1], words[at]
    return record._replace(name=" ".join(words))


def drop_legal_form(_rng: Random, record: Supplier) -> Supplier:
    """Leave out the legal form at the end of the name."""
    for form in _LEGAL_FORMS:
        if record.name.endswith(form):
            return record._replace(name=record.name[: -len(form)])
    return record


def transliterate(_rng: Random, record: Supplier) -> Supplier:
    """Write name, street and city without umlauts and accents."""
    return record._replace(
        name=record.name.translate(_TRANSLITERATED),
        street=record.street.translate(_TRANSLITERATED),
        city=record.city.translate(_TRANSLITERATED),
    )


def shout(_rng: Random, record: Supplier) -> Supplier:
    """Write the name in capitals."""
    return record._replace(name=record.name.upper())


def reformat_phone(rng: Random, record: Supplier) -> Supplier:
    """Write the telephone number in another customary form."""
    if not record.phone.startswith("+"):
        return record
    country, _, national = record.phone[1:].partition(" ")
    kind = rng.randrange(3)
    if kind == 0:
        return record._replace(phone=f"00{country}{national.replace(' ', '')}")
    if kind == 1:
        return record._replace(phone=f"+{country} (0) {national}")
    return record._replace(phone="0" + national.replace(" ", "/", 1))


def forget_details(_rng: Random, record: Supplier) -> Supplier:
    """Leave out the address supplement, e-mail address and website."""
    return record._replace(address_extra="", email="", website="")


OPERATORS: tuple[Operator, ...] = (
    typo_in_name, typo_in_street, typo_in_city, swap_digits, abbreviate, swap_words,
    drop_legal_form, transliterate, shout, reformat_phone, forget_details,
)  # fmt: skip


def corrupt(rng: Random, record: Supplier, mistakes: int) -> Supplier:
    """Return `record` after `mistakes` operators drawn at random (some may change nothing)."""
    for _ in range(mistakes):
        record = OPERATORS[rng.randrange(len(OPERATORS))](rng, record)
    return record
