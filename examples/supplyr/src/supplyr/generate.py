"""Seeded supplier records with known duplicates.

Equal arguments give equal records on every supported Python: the only source of randomness is
random.Random(seed), of which only random() and randrange() are used (choice and shuffle are built
on randrange here), and floats only pass through +, * and round. A test holds the SHA-256.
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from random import Random
from typing import NamedTuple, TypeVar

from supplyr.corrupt import corrupt
from supplyr.records import Supplier
from supplyr.vat import complete_vat_number
from supplyr.wordlists import COUNTRIES, EXTRAS, TRADES, Country

DEFAULT_SEED = 20250101
LAST_UPDATE_DAY = 739252  # date(2025, 1, 1).toordinal()
_UPDATE_SPAN_DAYS = 900
_MAX_COPIES = 3
_MAX_MISTAKES = 4

_Item = TypeVar("_Item")


class Directory(NamedTuple):
    """Generated records and the index pairs (lower first, sorted) that are the same supplier."""

    records: tuple[Supplier, ...]
    duplicate_pairs: tuple[tuple[int, int], ...]


def _pick(rng: Random, items: Sequence[_Item]) -> _Item:
    return items[rng.randrange(len(items))]


def _digits(rng: Random, count: int) -> str:
    return f"{rng.randrange(10**count):0{count}d}"


@lru_cache(maxsize=4096)
def _slug(words: str) -> str:
    plain = unicodedata.normalize("NFKD", words.casefold())
    return "".join(char for char in plain if char.isascii() and char.isalnum())


def _company_name(rng: Random, country: Country, trade: str) -> tuple[str, str]:
    """Return the name with its legal form, and the words of it that make up the domain."""
    surname = _pick(rng, country.surnames)
    kind = rng.randrange(5)
    if kind == 0:
        stem = f"{trade} {surname}"
    elif kind == 1:
        stem = f"{surname} & {_pick(rng, country.surnames)} {trade}"
    elif kind == 2:
        stem = f"{surname} {trade} {_pick(rng, country.places).city}"
    else:
        stem = f"{surname} {trade}"
    form = _pick(rng, country.legal_forms)
    return (f"{stem} {form}" if form else stem), f"{surname} {trade}"


def _street(rng: Random, country: Country) -> str:
    street, number = _pick(rng, country.streets), 1 + rng.randrange(180)
    return f"{number} {street}" if country.number_first else f"{street} {number}"


def _supplier(rng: Random) -> Supplier:
    country = _pick(rng, COUNTRIES)
    place = _pick(rng, country.places)
    trade = _pick(rng, TRADES)
    name, domain_words = _company_name(rng, country, trade[1 + country.trade_column])
    domain = f"{_slug(domain_words)}.{country.code.lower()}"
    second = _pick(rng, TRADES)[0]
    open_digits = country.postcode_digits - len(place.postcode_prefix)
    return Supplier(
        id=0,
        name=name,
        street=_street(rng, country),
        address_extra=_pick(rng, EXTRAS),
        city=place.city,
        postcode=place.postcode_prefix + _digits(rng, open_digits),
        region=place.region,
        country=country.code,
        phone=f"+{country.dialling_code} {20 + rng.randrange(80)} {_digits(rng, 7)}",
        email=f"info@{domain}",
        website=f"https://www.{domain}/",
        vat_number=complete_vat_number(country.code, _digits(rng, 10)),
        categories=(trade[0],) if second == trade[0] else (trade[0], second),
        latitude_deg=round(place.latitude_deg + rng.random() * 0.2 - 0.1, 4),
        longitude_deg=round(place.longitude_deg + rng.random() * 0.2 - 0.1, 4),
        updated_day=LAST_UPDATE_DAY - rng.randrange(_UPDATE_SPAN_DAYS),
        response_time_h=1 + rng.randrange(96),
    )


def _shuffle(rng: Random, items: list[tuple[int, Supplier]]) -> None:
    for last in range(len(items) - 1, 0, -1):
        other = rng.randrange(last + 1)
        items[last], items[other] = items[other], items[last]


def _pairs(owners: list[int]) -> tuple[tuple[int, int], ...]:
    groups: dict[int, list[int]] = {}
    for index, owner in enumerate(owners):
        groups.setdefault(owner, []).append(index)
    return tuple(sorted(pair for group in groups.values() for pair in combinations(group, 2)))


def generate(count: int, seed: int = DEFAULT_SEED, duplicate_share: float = 0.15) -> Directory:
    """Return `count` records; about `duplicate_share` of them are corrupted copies of others.

    A supplier has at most three copies; each carries one to four mistakes. Ids are 1 to `count`.
    Raises ValueError when `count` is negative or the share is not within 0 to 0.75.
    """
    if count < 0:
        raise ValueError(f"cannot generate {count} records; pass a count of 0 or more")
    if not 0 <= duplicate_share <= 0.75:
        raise ValueError(f"duplicate_share must be within 0 and 0.75, got {duplicate_share!r}")
    rng = Random(seed)
    owned: list[tuple[int, Supplier]] = []
    owner = 0
    # With m the mean number of copies of a duplicated supplier, a chance c per supplier makes
    # c*m/(1+c*m) of all records copies; solved for c.
    mean_copies = (1 + _MAX_COPIES) / 2
    chance = duplicate_share / ((1 - duplicate_share) * mean_copies)
    while len(owned) < count:
        original = _supplier(rng)
        owned.append((owner, original))
        copies = 1 + rng.randrange(_MAX_COPIES) if rng.random() < chance else 0
        for _ in range(min(copies, count - len(owned))):
            mistakes = 1 + rng.randrange(_MAX_MISTAKES)
            owned.append((owner, corrupt(rng, original, mistakes)))
        owner += 1
    _shuffle(rng, owned)
    records = tuple(record._replace(id=index + 1) for index, (_, record) in enumerate(owned))
    return Directory(records, _pairs([owner for owner, _ in owned]))
