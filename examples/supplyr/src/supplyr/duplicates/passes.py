"""Sort all records by one key and cut the order into segments that can be compared apart."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from lanewise import task

from supplyr.candidates import PASSES, STEP, WINDOW
from supplyr.duplicates.prepare import column_of, prepare_page, sample_page

# Windows of one segment. A segment takes some tens of milliseconds: short enough that another
# call never waits long for a worker, long enough that crossing costs little.
WINDOWS_PER_SEGMENT = 64
_PAGE_ROWS = 2000


class Segment(NamedTuple):
    """Neighbouring records of one order. The first `seen` were new in the segment before.

    `texts` are their comparison texts, one a line; `indexes` where they are in the directory, as
    little-endian unsigned 32-bit integers.
    """

    texts: bytes
    indexes: bytes
    seen: int


def _order(pages: Sequence[bytes], number: int) -> tuple[list[str], list[int]]:
    """Return the texts of all records, and the indexes of those that take part, in order."""
    texts: list[str] = []
    keys: list[str] = []
    for page in pages:
        texts += column_of(page, 0)
        keys += column_of(page, 1 + number)
    filled = [index for index, text in enumerate(texts) if text]
    if len(filled) <= WINDOW:
        # Few enough to compare each with each: once, whatever keys they have.
        return texts, filled if number == 0 else []
    keyed = [index for index in filled if keys[index]]
    # A blank sorts before everything that a key can hold, so this orders by key, then text. The
    # sort is stable, so equal ones stay in the order of their indexes.
    ranks = list(map(" ".join, zip(keys, texts, strict=True)))
    return texts, sorted(keyed, key=ranks.__getitem__)


def _segment(texts: list[str], order: list[int], start: int, seen: int) -> Segment:
    members = order[start : start + STEP * WINDOWS_PER_SEGMENT + seen]
    return Segment(
        "\n".join([texts[index] for index in members]).encode(),
        np.array(members, dtype="<u4").tobytes(),
        seen,
    )


def _rows_hint(pages: Sequence[bytes], number: int, rows_hint: int) -> int:
    # Not counted: the pages are shared with all workers, and here only their handle is at hand.
    return rows_hint


def _pages_inputs(size: int) -> tuple[list[bytes], int, int]:
    whole, rest = divmod(size, _PAGE_ROWS)
    counts = [_PAGE_ROWS] * whole + ([rest] if rest else [])
    return [prepare_page(sample_page(count)) for count in counts], 0, size


@task(size=_rows_hint, inputs=_pages_inputs, idempotent=True)
def sort_pass(pages: Sequence[bytes], number: int, rows_hint: int) -> list[Segment]:
    """Return the segments of pass `number` (0 to PASSES - 1) over all prepared pages.

    Together they hold every record that takes part in the pass, each new in exactly one.
    `rows_hint` is only the size by which the lane is chosen.
    """
    if not 0 <= number < PASSES:
        raise ValueError(f"there is no pass {number}; they are 0 to {PASSES - 1}")
    texts, order = _order(pages, number)
    if not order:
        return []
    new_rows = STEP * WINDOWS_PER_SEGMENT
    segments = [_segment(texts, order, 0, 0)]
    segments.extend(
        _segment(texts, order, start - STEP, STEP)
        for start in range(new_rows, len(order), new_rows)
    )
    return segments
