"""Medians, quantiles and intervals against the standard library and against known truth."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from lanewise.measuring.statistics import (
    BOOTSTRAP_RESAMPLES,
    Interval,
    batch_means_error,
    bootstrap_median,
    median,
    percentile_bounds,
    quantile,
    resample,
)


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [([7.0], 0.3, 7.0), ([1, 2, 3, 4], 0.5, 2.5), ([4, 1, 3, 2], 0.25, 1.75), ([0, 10], 0.99, 9.9)],
)
def test_a_quantile_interpolates(values: list[float], q: float, expected: float) -> None:
    assert quantile(values, q) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("q", [-0.01, 1.01, math.nan])
def test_a_quantile_outside_of_0_to_1_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile([1.0], q)


@pytest.mark.parametrize(
    "function", [lambda values: quantile(values, 0.5), median, bootstrap_median]
)
def test_of_no_values_there_is_no_quantile(function: object) -> None:
    with pytest.raises(ValueError, match="no values"):
        function([])  # type: ignore[operator]


@pytest.mark.parametrize(("size", "truth"), [(15, 50.0), (25, -3.0)])
def test_the_interval_covers_the_median_of_normal_samples_about_19_times_in_20(
    size: int, truth: float
) -> None:
    rng = random.Random(20)
    repetitions = 300
    covered = 0
    for seed in range(repetitions):
        interval = bootstrap_median([rng.gauss(truth, 2.0) for _ in range(size)], seed=seed)
        covered += interval.low <= truth <= interval.high
    # Four standard errors of a proportion over 300 repetitions are 0.05.
    assert covered / repetitions == pytest.approx(0.95, abs=0.05)
    assert covered < repetitions


def test_more_samples_give_a_narrower_interval() -> None:
    rng = random.Random(5)
    values = [rng.gauss(10, 1) for _ in range(400)]
    few, many = bootstrap_median(values[:25]), bootstrap_median(values)
    # The width shrinks with the root of the number: sixteen times as many, a quarter of the width.
    assert many.high - many.low < (few.high - few.low) / 2


def test_the_same_seed_gives_the_same_interval_and_another_one_another() -> None:
    values = [float(value) for value in range(20)]
    assert bootstrap_median(values, seed=3) == bootstrap_median(values, seed=3)
    assert len({bootstrap_median(values, seed=seed) for seed in range(10)}) > 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [([5.0], Interval(5.0, 5.0, 5.0)), ([4.0, 6.0], Interval(5.0, 3.0, 7.0))],
)
def test_two_values_bound_themselves_loosely(values: list[float], expected: Interval) -> None:
    assert bootstrap_median(values) == expected


def test_equal_values_leave_no_doubt() -> None:
    assert bootstrap_median([0.1] * 9) == Interval(0.1, 0.1, 0.1)


@pytest.mark.parametrize(
    ("interval", "width"),
    [
        (Interval(10.0, 9.0, 12.0), 0.15),
        (Interval(-10.0, -12.0, -9.0), 0.15),
        (Interval(0.0, -1.0, 1.0), math.inf),
    ],
)
def test_the_relative_half_width(interval: Interval, width: float) -> None:
    assert interval.relative_half_width == pytest.approx(width)


def test_the_bounds_leave_two_and_a_half_percent_on_either_side() -> None:
    draws = iter(range(BOOTSTRAP_RESAMPLES))
    low, high = percentile_bounds(lambda: float(next(draws)))
    assert next(draws, None) is None
    cuts = statistics.quantiles(range(BOOTSTRAP_RESAMPLES), n=40, method="inclusive")
    assert (low, high) == pytest.approx((cuts[0], cuts[-1]))


def test_a_resample_is_as_large_and_from_the_same_values() -> None:
    values = [1.0, 2.0, 3.0]
    drawn = [resample(values, random.Random(seed)) for seed in range(50)]
    assert {len(one) for one in drawn} == {3}
    assert {value for one in drawn for value in one} == set(values)
    assert any(len(set(one)) < 3 for one in drawn)


def test_the_error_of_batches_is_their_deviation_over_the_root_of_their_number() -> None:
    batches = [0.2, 0.4, 0.35, 0.1]
    assert batch_means_error(batches) == pytest.approx(statistics.stdev(batches) / 2)


@pytest.mark.parametrize("batches", [[], [0.7]])
def test_without_a_second_batch_nothing_is_known(batches: list[float]) -> None:
    assert batch_means_error(batches) == 0.5
