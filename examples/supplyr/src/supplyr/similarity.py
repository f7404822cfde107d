"""Similarity of two texts in whole permille, in plain Python.

The measure is the normalised Indel similarity 2 * L / (a + b), with L the length of the longest
common subsequence and a, b the lengths of the texts. It is kept in integers throughout: two
implementations that agree on L agree on every decision, with no rounding in between.
"""

from collections.abc import Iterable, Mapping

MAX_PERMILLE = 1000


def threshold_permille(threshold: float) -> int:
    """Return `threshold` (a share above 0, at most 1) as a whole number of permille.

    Raises ValueError outside that range, and for what is not a number.
    """
    permille = round(threshold * MAX_PERMILLE) if 0 < threshold <= 1 else 0
    if permille < 1:
        raise ValueError(
            f"threshold must be a share between 0.001 and 1, got {threshold!r};"
            " pass 0.85, not 85, for 85 %"
        )
    return permille


def letter_masks(text: str) -> dict[str, int]:
    """Return for each character of `text` an integer with a bit set at each of its positions."""
    masks: dict[str, int] = {}
    bit = 1
    for char in text:
        masks[char] = masks.get(char, 0) | bit
        bit <<= 1
    return masks


def common_length(masks: Mapping[str, int], length: int, other: str) -> int:
    """Return the length of the longest common subsequence.

    `masks` and `length` describe the first text (see letter_masks), `other` is the second one.
    Bit-parallel after Hyyrö, "Bit-parallel LCS-length computation revisited" (2004): one step per
    character of `other`, on integers as wide as the first text.
    """
    full = (1 << length) - 1
    state = full
    get = masks.get
    for char in other:
        mask = get(char)
        if mask is not None:
            matched = state & mask
            state = ((state + matched) | (state - matched)) & full
    return length - state.bit_count()


def similarity_permille(first: str, second: str) -> int:
    """Return the similarity of two texts, rounded down to whole permille (two empty ones: 0)."""
    total = len(first) + len(second)
    if total == 0:
        return 0
    return 2 * MAX_PERMILLE * common_length(letter_masks(first), len(first), second) // total


def letter_bags(texts: Iterable[str]) -> list[int]:
    """Return one integer per text with a bit for every "n-th occurrence of a character" in it.

    The bits that two of them have in common count the characters that the texts share regardless
    of order, which is never less than the length of their longest common subsequence. Only
    integers of one call can be compared.
    """
    bit_of: dict[tuple[str, int], int] = {}
    bags: list[int] = []
    for text in texts:
        counts: dict[str, int] = {}
        bag = 0
        for char in text:
            count = counts[char] = counts.get(char, 0) + 1
            bag |= 1 << bit_of.setdefault((char, count), len(bit_of))
        bags.append(bag)
    return bags
