"""Find the pairs of one segment that are similar enough: bound first, then compare the rest."""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from lanewise import task
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist, cpdist

from supplyr.candidates import STEP
from supplyr.dedupe import DEFAULT_THRESHOLD
from supplyr.duplicates.letters import bound_columns
from supplyr.duplicates.passes import Segment, sort_pass
from supplyr.duplicates.prepare import prepare_page, sample_page
from supplyr.similarity import MAX_PERMILLE, threshold_permille

PAIR = np.dtype([("first", "<u4"), ("second", "<u4"), ("permille", "<u4")])
# Comparing listed pairs costs so many times what a pair of a whole window costs, which shares the
# preparation of its texts and is done for several at once.
_PAIRWISE_COST = 8
Places: TypeAlias = npt.NDArray[np.int64]


def _windows(count: int, seen: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first new place, end of the window, start of the window)."""
    for start in range(seen, count, STEP):
        yield start, min(start + STEP, count), max(start - STEP, 0)


def _similar(
    texts: list[str], later: Places, earlier: Places, before: int, shape: tuple[int, int]
) -> Places:
    """Return the lengths of the longest common subsequences of pairs of one window."""
    if later.size * _PAIRWISE_COST < shape[0] * shape[1]:
        return cpdist(
            [texts[place] for place in later.tolist()],
            [texts[place] for place in earlier.tolist()],
            scorer=LCSseq.similarity,
            dtype=np.int64,
            workers=1,
        )
    start = before + shape[1] - shape[0]
    every = cdist(
        texts[start : start + shape[0]],
        texts[before : before + shape[1]],
        scorer=LCSseq.similarity,
        dtype=np.int64,
        workers=1,
    )
    return every[later - start, earlier - before]


def _pairs(
    texts: list[str], lengths: Places, permille: int, seen: int
) -> Iterator[tuple[Places, Places, Places]]:
    """Yield (later places, earlier places, permille) of the similar pairs of each window."""
    left, right = bound_columns(texts, lengths, permille)
    for start, end, before in _windows(len(texts), seen):
        later, earlier = np.nonzero(left[:, start:end].T @ right[:, before:end] > 0)
        later += start
        earlier += before
        # In the square of new ones each pair stands twice, and each record against itself.
        once = earlier < later
        later, earlier = later[once], earlier[once]
        if not later.size:
            continue
        common = _similar(texts, later, earlier, before, (end - start, end - before))
        scores = 2 * MAX_PERMILLE * common // (lengths[later] + lengths[earlier])
        kept = scores >= permille
        yield later[kept], earlier[kept], scores[kept]


def _segment_size(segment: Segment, threshold: float = DEFAULT_THRESHOLD) -> int:
    return len(segment.indexes) // 4


def _segment_inputs(size: int) -> tuple[Segment, float]:
    # The longest prefix that is one segment; larger sizes repeat its shape, not its meaning.
    segment = sort_pass([prepare_page(sample_page(size))], 0, size)[0]
    return segment, DEFAULT_THRESHOLD


@task(size=_segment_size, inputs=_segment_inputs, idempotent=True)
def compare_segment(segment: Segment, threshold: float = DEFAULT_THRESHOLD) -> bytes:
    """Return the similar pairs of a segment: records of (lower index, higher index, permille).

    Three little-endian unsigned 32-bit integers each; see pairs_of. Most of the time runs outside
    the GIL. Raises ValueError for a threshold outside 0.001 to 1.
    """
    permille = threshold_permille(threshold)
    if not segment.indexes:
        return b""
    texts = segment.texts.decode().split("\n")
    indexes = np.frombuffer(segment.indexes, dtype="<u4")
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    parts = []
    for later, earlier, scores in _pairs(texts, lengths, permille, segment.seen):
        one, other = indexes[later], indexes[earlier]
        pairs = np.empty(len(scores), dtype=PAIR)
        pairs["first"] = np.minimum(one, other)
        pairs["second"] = np.maximum(one, other)
        pairs["permille"] = scores
        parts.append(pairs.tobytes())
    return b"".join(parts)


def pairs_of(found: bytes) -> list[tuple[int, int, int]]:
    """Decode what compare_segment returned."""
    return [
        (first, second, permille)
        for first, second, permille in np.frombuffer(found, dtype=PAIR).tolist()
    ]
