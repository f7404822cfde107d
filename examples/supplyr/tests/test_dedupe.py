"""Both implementations of duplicate detection return the same, and what they return is right."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supplyr.candidates import WINDOW, prepare
from supplyr.dedupe import (
    find_duplicates,
    find_duplicates_rapidfuzz,
    score_pairs,
    score_pairs_rapidfuzz,
)
from supplyr.generate import generate
from supplyr.records import Supplier
from supplyr.truth import LabelledSet, evaluate

_BLANK = generate(1).records[0]._replace(address_extra="", region="")
_WORDS = st.sampled_from(
    ["", "Weber", "weber", "GmbH", "Straße", "Köln", "a", "ab", "1", "€", "㎒"]
)
_LINES = st.lists(_WORDS, max_size=4).map(" ".join)
_RECORDS = st.builds(
    lambda name, street, city, postcode: _BLANK._replace(
        name=name, street=street, city=city, postcode=postcode
    ),
    _LINES,
    _LINES,
    _LINES,
    _LINES,
)


@pytest.mark.parametrize("count", [0, 1, 2, WINDOW, WINDOW + 1, WINDOW * 3 // 2, 700])
def test_variants_agree_on_generated_suppliers(count: int) -> None:
    records = generate(count, seed=count).records
    assert score_pairs(records, 700) == score_pairs_rapidfuzz(records, 700)


@settings(deadline=None)
@given(st.lists(_RECORDS, max_size=12), st.integers(1, 1000))
def test_variants_agree_on_arbitrary_records(records: list[Supplier], permille: int) -> None:
    assert score_pairs(records, permille) == score_pairs_rapidfuzz(records, permille)


@pytest.mark.parametrize("threshold", [0.7, 0.83])
def test_variants_agree_on_febrl1(febrl1: LabelledSet, threshold: float) -> None:
    found = find_duplicates(febrl1.records, threshold)
    assert found == find_duplicates_rapidfuzz(febrl1.records, threshold)


def test_variants_agree_on_febrl3(febrl3: LabelledSet) -> None:
    found = find_duplicates(febrl3.records, 0.9)
    assert found == find_duplicates_rapidfuzz(febrl3.records, 0.9)


def test_generated_duplicates_are_found() -> None:
    records, pairs = generate(3000, seed=11)
    quality = evaluate(find_duplicates_rapidfuzz(records), pairs)
    assert quality.precision > 0.93
    assert quality.recall > 0.9


def test_exact_copies_are_found_across_windows() -> None:
    records = list(generate(WINDOW * 2, duplicate_share=0).records)
    pairs = find_duplicates([*records, *records], 1.0)
    assert {(index, index + len(records)) for index in range(len(records))} <= set(pairs)


def test_result_is_sorted_pairs_with_the_lower_index_first() -> None:
    pairs = find_duplicates(generate(600).records)
    assert pairs == sorted(set(pairs))
    assert all(first < second for first, second in pairs)


def test_records_without_name_and_address_are_never_duplicates() -> None:
    empty = _BLANK._replace(name="", street="", city="", postcode="")
    assert find_duplicates([empty, empty], 0.001) == []
    assert find_duplicates_rapidfuzz([empty, empty], 0.001) == []


def test_windows_are_bounded_and_linear_in_number() -> None:
    prepared = prepare(generate(3000).records)
    assert max(len(window.members) for window in prepared.windows) <= WINDOW
    assert len(prepared.windows) <= 3 * (3000 // (WINDOW // 2))


@pytest.mark.parametrize("find", [find_duplicates, find_duplicates_rapidfuzz])
def test_percentages_are_refused(find: Callable[[list[Supplier], float], object]) -> None:
    with pytest.raises(ValueError, match=r"pass 0\.85, not 85"):
        find([], 85)
