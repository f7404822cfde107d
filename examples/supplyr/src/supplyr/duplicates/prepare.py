"""Turn a page of records into what the full run compares: one text and three sort keys each."""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache

from lanewise import task

from supplyr.candidates import PASSES
from supplyr.generate import generate
from supplyr.normalise import joined_letters, name_tokens, tokens

# name, street, city, postcode, address supplement
PageRow = tuple[str, str, str, str, str]


def encode_page(rows: Iterable[Sequence[str]]) -> bytes:
    """Write rows of (name, street, city, postcode, supplement) as the bytes of a page."""
    return json.dumps(list(rows), ensure_ascii=False, separators=(",", ":")).encode()


@lru_cache(maxsize=4)
def sample_page(count: int) -> bytes:
    """Return a page of generated suppliers."""
    return encode_page(
        (one.name, one.street, one.city, one.postcode, one.address_extra)
        for one in generate(count).records
    )


def _page_rows(page: bytes) -> int:
    # Counting the beginnings of rows is a scan at the speed of memory; a text that holds the same
    # two characters makes the size a little too large, which only the choice of a lane sees.
    return page.count(b'["')


def _page_inputs(size: int) -> tuple[bytes]:
    return (sample_page(size),)


@lru_cache(maxsize=65_536)
def _place(text: str) -> tuple[tuple[str, ...], str]:
    """Return the tokens of a street or city and the sort key they make; places come again."""
    found = tuple(tokens(text))
    return found, joined_letters(found)


def _prepared(row: PageRow) -> tuple[str, str, str, str]:
    name, street, city, postcode, extra = row
    streets, street_key = _place(street)
    cities, city_key = _place(city)
    postcodes = tokens(postcode)
    # What `sorted_text` makes of the five parts, without a generator for each.
    every = [*name_tokens(name), *streets, *cities, *postcodes]
    if extra:
        every += tokens(extra)
    every.sort()
    return "".join(every), street_key, city_key, "".join(postcodes)


@task(size=_page_rows, inputs=_page_inputs, idempotent=True)
def prepare_page(page: bytes) -> bytes:
    """Return the comparison texts and the sort keys of all passes, see column_of.

    They are what `candidates.prepare` makes: words without blanks or control characters.
    """
    rows: list[PageRow] = json.loads(page)
    if not rows:
        return b""
    columns = zip(*map(_prepared, rows), strict=True)
    return "\0".join(["\n".join(column) for column in columns]).encode()


def column_of(prepared: bytes, number: int) -> list[str]:
    """Return the texts (0) or the keys of a pass (from 1) of what prepare_page returned."""
    if not prepared:
        return []
    columns = prepared.decode().split("\0")
    if len(columns) != 1 + PASSES:
        raise ValueError("these bytes are not a page that prepare_page returned")
    return columns[number].split("\n")
