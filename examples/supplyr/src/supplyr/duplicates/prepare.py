"""Turn a page of records into what the full run compares: one text and three sort keys each."""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache

from lanewise import task

from supplyr.candidates import PASSES
from supplyr.generate import generate
from supplyr.normalise import joined_letters, name_tokens, sorted_text, tokens

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


def _line(name: str, street: str, city: str, postcode: str, extra: str) -> str:
    streets, cities, postcodes = tokens(street), tokens(city), tokens(postcode)
    parts = (name_tokens(name), streets, cities, postcodes, tokens(extra) if extra else [])
    keys = (joined_letters(streets), joined_letters(cities), "".join(postcodes))
    return "\t".join((sorted_text(parts), *keys))


@task(size=_page_rows, inputs=_page_inputs, idempotent=True)
def prepare_page(page: bytes) -> bytes:
    """Return a line per row: comparison text and the sort keys of all passes, tab-separated.

    Texts and keys are what `candidates.prepare` makes; they hold neither blanks nor tabs.
    """
    rows: list[PageRow] = json.loads(page)
    return "\n".join([_line(*row) for row in rows]).encode()


def prepared_columns(prepared: bytes) -> list[tuple[str, ...]]:
    """Return (text, key, key, key) for each row of what prepare_page returned."""
    if not prepared:
        return []
    rows = [tuple(line.split("\t")) for line in prepared.decode().split("\n")]
    if any(len(row) != 1 + PASSES for row in rows):
        raise ValueError("these bytes are not a page that prepare_page returned")
    return rows
