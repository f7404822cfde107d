"""Which of a few records is the same as one: the check of a single entry."""

import json
from collections.abc import Sequence
from functools import lru_cache

from lanewise import task

from supplyr.dedupe import DEFAULT_THRESHOLD
from supplyr.duplicates.prepare import column_of, encode_page, prepare_page, sample_page
from supplyr.similarity import (
    MAX_PERMILLE,
    common_length,
    letter_bags,
    letter_masks,
    threshold_permille,
)


def encode_neighbours(entry: Sequence[str], others: Sequence[Sequence[str]]) -> bytes:
    """Write an entry and its candidates (columns as in encode_page) as the bytes of a page."""
    return encode_page([entry, *others])


def _others(page: bytes, threshold: float = DEFAULT_THRESHOLD) -> int:
    return max(page.count(b'["') - 1, 0)


@lru_cache(maxsize=8)
def _sample(count: int) -> bytes:
    rows = json.loads(sample_page(count + 1))
    return encode_neighbours(rows[0], rows[1:])


def _neighbours_inputs(size: int) -> tuple[bytes, float]:
    return _sample(size), DEFAULT_THRESHOLD


@task(size=_others, inputs=_neighbours_inputs, idempotent=True)
def similar_neighbours(page: bytes, threshold: float = DEFAULT_THRESHOLD) -> list[tuple[int, int]]:
    """Return (place, permille) of the candidates that are similar enough, the most similar first.

    Places count from 0, after the entry. Raises ValueError for a threshold outside 0.001 to 1.
    """
    permille = threshold_permille(threshold)
    texts = column_of(prepare_page(page), 0)
    if not texts or not texts[0]:
        return []
    entry, bags = texts[0], letter_bags(texts)
    masks = letter_masks(entry)
    found: list[tuple[int, int]] = []
    for place, other in enumerate(texts[1:]):
        total = len(entry) + len(other)
        if 2 * MAX_PERMILLE * (bags[0] & bags[place + 1]).bit_count() < permille * total:
            continue
        score = 2 * MAX_PERMILLE * common_length(masks, len(entry), other) // total
        if score >= permille:
            found.append((place, score))
    return sorted(found, key=lambda one: (-one[1], one[0]))
