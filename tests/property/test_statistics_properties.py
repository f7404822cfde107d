"""Quantiles agree with the standard library and behave as quantiles must."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise.measuring.statistics import bootstrap_median, median, quantile

VALUES = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60)
SHARES = st.floats(0, 1)


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=60), st.integers(2, 100))
def test_quantiles_are_those_of_the_standard_library(values: list[float], parts: int) -> None:
    expected = statistics.quantiles(values, n=parts, method="inclusive")
    found = [quantile(values, at / parts) for at in range(1, parts)]
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(VALUES, SHARES)
def test_quantiles_are_those_of_numpy(values: list[float], q: float) -> None:
    numpy = pytest.importorskip("numpy")
    assert quantile(values, q) == pytest.approx(
        float(numpy.quantile(values, q)), rel=1e-9, abs=1e-6
    )


@given(VALUES)
def test_the_median_is_that_of_the_standard_library(values: list[float]) -> None:
    assert median(values) == pytest.approx(statistics.median(values), rel=1e-12, abs=1e-6)


@given(VALUES, SHARES)
def test_a_quantile_never_leaves_the_range_of_the_values(values: list[float], q: float) -> None:
    assert min(values) <= quantile(values, q) <= max(values)


@given(VALUES, SHARES, SHARES)
def test_a_larger_share_has_no_smaller_quantile(
    values: list[float], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    slack = 1e-12 * max(map(abs, values))
    assert quantile(values, low) <= quantile(values, high) + slack


@given(VALUES, SHARES, st.randoms(use_true_random=False))
def test_the_order_of_the_values_does_not_matter(
    values: list[float], q: float, rng: random.Random
) -> None:
    shuffled = values.copy()
    rng.shuffle(shuffled)
    assert quantile(shuffled, q) == quantile(values, q)


@given(VALUES, SHARES)
def test_the_values_are_not_changed(values: list[float], q: float) -> None:
    before = values.copy()
    quantile(values, q)
    bootstrap_median(values)
    assert values == before


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=15), st.integers(0, 1000))
def test_the_interval_holds_the_median_and_a_bootstrap_stays_within_the_values(
    values: list[float], seed: int
) -> None:
    found = bootstrap_median(values, seed=seed)
    assert found.low <= found.value <= found.high
    if len(values) >= 3:
        assert min(values) <= found.low <= found.high <= max(values)


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=12), st.integers(-20, 20))
def test_another_unit_gives_the_same_interval_in_that_unit(values: list[float], power: int) -> None:
    """Powers of two keep every digit, so the agreement is exact."""
    scale = 2.0**power
    one, other = bootstrap_median(values), bootstrap_median([value * scale for value in values])
    assert (other.value, other.low, other.high) == (
        one.value * scale,
        one.low * scale,
        one.high * scale,
    )
    assert math.isclose(one.relative_half_width, other.relative_half_width)
