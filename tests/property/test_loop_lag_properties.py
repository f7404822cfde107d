"""A histogram of lag bounds what was recorded, whatever it was."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise.runtime.loop_lag import BOUNDS_S, LagRecord

LAGS = st.one_of(
    st.floats(0, 1e-3), st.floats(0, 10), st.floats(0, 1e6), st.sampled_from(BOUNDS_S), st.just(0.0)
)
MANY_LAGS = st.lists(LAGS, min_size=1, max_size=200)
SHARES = st.floats(0.001, 1.0)


def record_of(lags: list[float]) -> LagRecord:
    record = LagRecord()
    for lag_s in lags:
        record.beat(lag_s)
    return record


@given(MANY_LAGS)
def test_counts_add_up(lags: list[float]) -> None:
    found = record_of(lags).snapshot(0.005)
    assert found.beats == sum(count for _, count in found.histogram) == len(lags)
    assert found.max_s == max(lags)


@given(MANY_LAGS)
def test_each_class_holds_what_lies_between_its_bounds(lags: list[float]) -> None:
    lower = -math.inf
    for upper, count in record_of(lags).snapshot(0.005).histogram:
        assert count == sum(lower < lag_s <= upper for lag_s in lags)
        lower = upper


@given(MANY_LAGS, SHARES)
def test_a_percentile_is_an_upper_bound_of_the_true_one(lags: list[float], share: float) -> None:
    true_s = sorted(lags)[math.ceil(share * len(lags)) - 1]
    assert record_of(lags).percentile_s(share) >= true_s


@given(MANY_LAGS, SHARES)
def test_a_percentile_is_known_to_within_its_class(lags: list[float], share: float) -> None:
    # A product that rounds up may ask for one more beat than there is to the share.
    rank = min(len(lags), math.ceil(share * len(lags) + 1e-9))
    true_s = sorted(lags)[rank - 1]
    found_s = record_of(lags).percentile_s(share)
    assert found_s <= max(lags)
    if true_s <= BOUNDS_S[-1]:
        assert found_s <= max(true_s * 1.42, BOUNDS_S[0])


@given(MANY_LAGS, SHARES, SHARES)
def test_a_larger_share_has_no_smaller_percentile(
    lags: list[float], one: float, other: float
) -> None:
    record = record_of(lags)
    low, high = sorted((one, other))
    assert record.percentile_s(low) <= record.percentile_s(high)


@given(MANY_LAGS, MANY_LAGS)
def test_the_order_of_beats_does_not_matter(one: list[float], other: list[float]) -> None:
    found, turned = record_of(one + other), record_of(other + one)
    assert found.counts == turned.counts
    assert found.snapshot(0.005).p99_s == turned.snapshot(0.005).p99_s
    assert found.sum_s == pytest.approx(turned.sum_s)
