"""Choose which pairs of records are worth comparing: sorted neighbourhood, several passes.

Each pass sorts the records by another key and slides a window over them; only records that meet in
a window are compared. After Hernández and Stolfo, "The merge/purge problem for large databases"
(1995). Unlike blocks of equal keys, windows keep the work linear in the number of records, and
they are large enough for one call into compiled code to be worth its overhead.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from supplyr.normalise import comparison_tokens, joined_letters, sorted_text
from supplyr.records import Supplier

WINDOW = 256
STEP = WINDOW // 2
PASSES = 3


class Window(NamedTuple):
    """Indexes of neighbouring records; the first `seen` of them met in the window before."""

    members: list[int]
    seen: int


class Prepared(NamedTuple):
    """Comparison texts by record index, and the windows of all passes."""

    texts: list[str]
    windows: list[Window]


def _sort_keys(parts: list[list[str]]) -> tuple[str, str, str]:
    _, street, city, postcode, _ = parts
    return joined_letters(street), joined_letters(city), "".join(postcode)


def _windows(order: list[int]) -> Iterator[Window]:
    yield Window(order[:WINDOW], 0)
    for start in range(STEP, len(order) - STEP, STEP):
        yield Window(order[start : start + WINDOW], WINDOW - STEP)


def prepare(records: Sequence[Supplier]) -> Prepared:
    """Normalise all records and lay out the windows in which pairs are compared.

    A record without name and address is never compared. A record takes part in a pass only when
    it has that pass's key.
    """
    texts: list[str] = []
    keys: list[tuple[str, str, str]] = []
    for record in records:
        parts = comparison_tokens(record)
        texts.append(sorted_text(parts))
        keys.append(_sort_keys(parts))
    filled = [index for index, text in enumerate(texts) if text]
    if len(filled) <= WINDOW:
        return Prepared(texts, [Window(filled, 0)])
    windows: list[Window] = []
    for number in range(PASSES):
        # Equal keys are ordered by text, so that look-alikes still share a window.
        ranked = sorted(
            (key, texts[index], index) for index in filled if (key := keys[index][number])
        )
        windows.extend(_windows([index for _, _, index in ranked]))
    return Prepared(texts, windows)
