"""An upper bound for the similarity of many pairs at once.

Two texts have no longer common subsequence than letters in common. Written as a column of ones for
each "n-th occurrence of a letter", the letters that two texts share are the product of their rows,
so the bound for all pairs of a window is one multiplication of matrices, which runs outside the
GIL. At the usual threshold it settles nearly all pairs.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from supplyr.similarity import MAX_PERMILLE

Columns: TypeAlias = npt.NDArray[np.float32]

_LETTERS = 26
_DIGITS = 10
# All other characters share these: whatever falls together only makes the bound looser.
_OTHERS = 8
_KINDS = _LETTERS + _DIGITS + _OTHERS
# An occurrence that a smaller share of the texts has gets no row.
_COMMON_SHARE = 0.02
SLACK = 0.01


def _kinds(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    signed = codes.astype(np.int64)
    kinds = _LETTERS + _DIGITS + signed % _OTHERS
    letters = (signed >= ord("a")) & (signed <= ord("z"))
    digits = (signed >= ord("0")) & (signed <= ord("9"))
    kinds[letters] = signed[letters] - ord("a")
    kinds[digits] = signed[digits] - ord("0") + _LETTERS
    return kinds


def _counts(texts: list[str], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Return how often each kind of character (row) is in each text (column)."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), dtype="<u4")
    owners = np.repeat(np.arange(len(texts), dtype=np.int64), lengths)
    cells = _kinds(codes) * len(texts) + owners
    counts = np.bincount(cells, minlength=len(texts) * _KINDS).reshape(_KINDS, len(texts))
    return np.minimum(counts, 255).astype(np.uint8)


def bound_columns(
    texts: list[str], lengths: npt.NDArray[np.int64], permille: int
) -> tuple[Columns, Columns]:
    """Return two matrices whose product is positive wherever a pair can reach `permille`.

    Entry (i, j) of `left.T @ right` is at least the letters that texts i and j share, less those
    that they need to share, plus SLACK for what single precision rounds.
    """
    counts = _counts(texts, lengths)
    # How many texts have a letter at least n times: few, from some n on.
    having = np.stack(
        [np.count_nonzero(counts > n, axis=1) for n in range(int(counts.max(initial=1)))]
    )
    times, kinds = np.nonzero(having >= _COMMON_SHARE * len(texts))
    ones = counts[kinds] > times.astype(np.uint8)[:, None]
    # What has no row of its own is taken to be shared as far as it can be: the smaller number of
    # two is at most half of their sum, which is a sum over the two texts again.
    rest = lengths - np.count_nonzero(ones, axis=0)
    cost = (permille / (2 * MAX_PERMILLE)) * lengths - rest / 2 - SLACK / 2
    rows = len(kinds)
    left = np.empty((rows + 2, len(texts)), dtype=np.float32)
    left[:rows] = ones
    right = left.copy()
    left[rows], left[rows + 1] = -cost, 1
    right[rows], right[rows + 1] = 1, -cost
    return left, right
