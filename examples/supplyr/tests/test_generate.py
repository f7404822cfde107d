"""The generator: reproducible, with the truth that it claims."""

import hashlib
import json
import pickle
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supplyr.corrupt import OPERATORS, Operator, corrupt, misspell
from supplyr.generate import LAST_UPDATE_DAY, generate
from supplyr.prices import price_rows
from supplyr.vat import is_valid_vat_number

GOLDEN_DIRECTORY = "8588a136be8f3c0dfb992bd2a77ee2e95e4d734ef08365462243679a992d8518"
GOLDEN_PRICES = "64ac03250bef4d8601be702488c9cd4516c1ac1989a93147f3ba2e336fd1b1b8"


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=True).encode()).hexdigest()


def test_records_are_the_same_on_every_python() -> None:
    assert _sha256(generate(2000)) == GOLDEN_DIRECTORY


def test_price_rows_are_the_same_on_every_python() -> None:
    assert _sha256(price_rows(2000)) == GOLDEN_PRICES


@pytest.mark.parametrize("count", [0, 1, 2, 17, 500])
def test_count_and_ids(count: int) -> None:
    records = generate(count).records
    assert [record.id for record in records] == list(range(1, count + 1))


def test_another_seed_gives_other_records() -> None:
    assert generate(50, seed=1) != generate(50, seed=2)


def test_share_of_copies_is_about_the_requested_one() -> None:
    directory = generate(20_000, duplicate_share=0.3)
    owners = set(range(20_000)) - {later for _, later in directory.duplicate_pairs}
    assert 0.27 < 1 - len(owners) / 20_000 < 0.33


def test_true_pairs_are_the_same_supplier_and_sorted() -> None:
    records, pairs = generate(2000)
    assert list(pairs) == sorted(set(pairs))
    for first, second in pairs:
        assert first < second
        assert records[first].vat_number == records[second].vat_number


def test_without_duplicates_there_are_no_pairs() -> None:
    assert generate(500, duplicate_share=0).duplicate_pairs == ()


def test_values_are_plausible() -> None:
    for record in generate(500).records:
        assert is_valid_vat_number(record.vat_number)
        assert 35 < record.latitude_deg < 56
        assert record.updated_day <= LAST_UPDATE_DAY
        assert 1 <= record.response_time_h <= 96


@pytest.mark.parametrize(("count", "share"), [(-1, 0.1), (10, -0.1), (10, 0.8)])
def test_impossible_requests_are_refused(count: int, share: float) -> None:
    with pytest.raises(ValueError, match=r"count of 0 or more|duplicate_share"):
        generate(count, duplicate_share=share)


def test_records_survive_pickling() -> None:
    directory = generate(20)
    assert pickle.loads(pickle.dumps(directory)) == directory  # noqa: S301 - made right here


@given(seed=st.integers(0, 2**32), operator=st.sampled_from(OPERATORS))
def test_operators_repeat_for_a_seed_and_keep_identity(seed: int, operator: Operator) -> None:
    record = generate(5).records[seed % 5]
    changed = operator(Random(seed), record)
    assert changed == operator(Random(seed), record)
    assert (changed.id, changed.vat_number, changed.country) == (
        record.id,
        record.vat_number,
        record.country,
    )


@given(seed=st.integers(), text=st.text(max_size=30))
def test_misspelling_changes_the_length_by_one_at_most(seed: int, text: str) -> None:
    assert abs(len(misspell(Random(seed), text)) - len(text)) <= 1


@given(seed=st.integers(), mistakes=st.integers(0, 6))
def test_operators_accept_empty_records(seed: int, mistakes: int) -> None:
    empty = generate(1).records[0]._replace(name="", street="", city="", postcode="", phone="")
    assert corrupt(Random(seed), empty, mistakes).name == ""
