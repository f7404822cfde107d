"""The plain-Python similarity against a textbook one and against rapidfuzz."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import LCSseq

from supplyr.similarity import (
    common_length,
    letter_bags,
    letter_masks,
    similarity_permille,
    threshold_permille,
)

TEXTS = st.text(max_size=90) | st.text("abc ", max_size=150)


def _textbook_common_length(first: str, second: str) -> int:
    row = [0] * (len(second) + 1)
    for char in first:
        diagonal = 0
        for index, other in enumerate(second, start=1):
            above = row[index]
            row[index] = diagonal + 1 if char == other else max(above, row[index - 1])
            diagonal = above
    return row[-1]


@given(TEXTS, TEXTS)
def test_common_length_is_the_textbook_one(first: str, second: str) -> None:
    common = common_length(letter_masks(first), len(first), second)
    assert common == _textbook_common_length(first, second)
    assert common == LCSseq.similarity(first, second)


@given(TEXTS, TEXTS)
def test_shared_letters_bound_the_common_length(first: str, second: str) -> None:
    one, other = letter_bags([first, second])
    shared = (one & other).bit_count()
    assert _textbook_common_length(first, second) <= shared <= min(len(first), len(second))


@given(TEXTS, TEXTS)
def test_similarity_is_symmetric_and_bounded(first: str, second: str) -> None:
    assert 0 <= similarity_permille(first, second) <= 1000
    assert similarity_permille(first, second) == similarity_permille(second, first)


@given(st.text(min_size=1))
def test_equal_texts_are_fully_similar(text: str) -> None:
    assert similarity_permille(text, text) == 1000


def test_two_empty_texts_are_not_similar() -> None:
    assert similarity_permille("", "") == 0


@pytest.mark.parametrize(("threshold", "permille"), [(1, 1000), (0.9, 900), (0.615, 615)])
def test_thresholds_are_whole_permille(threshold: float, permille: int) -> None:
    assert threshold_permille(threshold) == permille


@pytest.mark.parametrize("threshold", [0, -0.1, 1.01, 85, 0.0001, float("nan")])
def test_thresholds_out_of_range_are_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="share between"):
        threshold_permille(threshold)
