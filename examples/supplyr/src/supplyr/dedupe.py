"""Find suppliers that were entered more than once.

Two implementations of one rule: records that meet in a window (see candidates) and whose name and
address are similar enough are duplicates. Both count the same integers, so they return the same.
"""

from collections.abc import Sequence
from functools import lru_cache

from lanewise import task

from supplyr.candidates import Prepared, Window, prepare
from supplyr.generate import generate
from supplyr.records import Supplier
from supplyr.similarity import (
    MAX_PERMILLE,
    common_length,
    letter_bags,
    letter_masks,
    threshold_permille,
)

Pair = tuple[int, int]
# Best F1 on generated suppliers of another seed than the default one (see README).
DEFAULT_THRESHOLD = 0.83


def _score_window(
    texts: list[str], bags: list[int], window: Window, permille: int, found: dict[Pair, int]
) -> None:
    members = window.members
    for place in range(max(window.seen, 1), len(members)):
        index = members[place]
        text, bag = texts[index], bags[index]
        length = len(text)
        masks = letter_masks(text)
        for other in members[:place]:
            other_text = texts[other]
            total = length + len(other_text)
            # The shared letters bound the common subsequence from above at a hundredth of its cost.
            if 2 * MAX_PERMILLE * (bag & bags[other]).bit_count() < permille * total:
                continue
            pair = (index, other) if index < other else (other, index)
            if pair in found:
                continue
            score = 2 * MAX_PERMILLE * common_length(masks, length, other_text) // total
            if score >= permille:
                found[pair] = score


def score_pairs(records: Sequence[Supplier], permille: int) -> dict[Pair, int]:
    """Return pairs of record indexes (lower first) that are at least `permille` similar.

    The values are the similarities in permille. Plain Python.
    """
    prepared = prepare(records)
    bags = letter_bags(prepared.texts)
    found: dict[Pair, int] = {}
    for window in prepared.windows:
        _score_window(prepared.texts, bags, window, permille, found)
    return found


def score_pairs_rapidfuzz(records: Sequence[Supplier], permille: int) -> dict[Pair, int]:
    """Return exactly what score_pairs returns, comparing window by window in rapidfuzz.

    Raises ImportError when rapidfuzz or numpy is not installed.
    """
    import numpy as np
    from rapidfuzz.distance import LCSseq
    from rapidfuzz.process import cdist

    prepared: Prepared = prepare(records)
    texts = prepared.texts
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    found: dict[Pair, int] = {}
    for members, seen in prepared.windows:
        choices = [texts[index] for index in members]
        sizes = lengths[members]
        totals = sizes[seen:, None] + sizes[None, :]
        if totals.size == 0:
            continue
        common = cdist(
            choices[seen:],
            choices,
            scorer=LCSseq.similarity,
            # Below this many common characters no pair of the window can reach the threshold.
            score_cutoff=int(permille * totals.min()) // (2 * MAX_PERMILLE),
            dtype=np.int64,
            workers=1,
        )
        scores = 2 * MAX_PERMILLE * common // totals
        rows, columns = np.nonzero(scores >= permille)
        hits = zip(rows.tolist(), columns.tolist(), scores[rows, columns].tolist(), strict=True)
        for row, column, score in hits:
            first, second = members[seen + row], members[column]
            if first != second:
                found[(first, second) if first < second else (second, first)] = score
    return found


def _record_count(records: Sequence[Supplier], threshold: float = DEFAULT_THRESHOLD) -> int:
    return len(records)


@lru_cache(maxsize=8)
def _generated(count: int) -> tuple[Supplier, ...]:
    return generate(count).records


def _duplicate_inputs(size: int) -> tuple[list[Supplier], float]:
    return list(_generated(size)), DEFAULT_THRESHOLD


@task(size=_record_count, inputs=_duplicate_inputs, idempotent=True)
def find_duplicates(
    records: Sequence[Supplier], threshold: float = DEFAULT_THRESHOLD
) -> list[Pair]:
    """Return the sorted index pairs (lower first) of records that look like one supplier.

    `threshold` is the least similarity as a share above 0 and at most 1, counted in whole
    permille; ValueError outside that range.
    """
    return sorted(score_pairs(records, threshold_permille(threshold)))


@find_duplicates.variant("rapidfuzz", requires="rapidfuzz")
def find_duplicates_rapidfuzz(
    records: Sequence[Supplier], threshold: float = DEFAULT_THRESHOLD
) -> list[Pair]:
    """Return the same as find_duplicates; most of the time runs outside the GIL."""
    return sorted(score_pairs_rapidfuzz(records, threshold_permille(threshold)))
