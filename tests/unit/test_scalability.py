"""The Universal Scalability Law: known parameters come back from curves made with them."""

from __future__ import annotations

import math
import random

import pytest

from lanewise.measuring.scalability import Scalability, fit_scalability

LEVELS = (1, 2, 4, 8, 16)


def law(rate: float, contention: float, coherency: float, cores: int, level: int) -> float:
    """Gunther's X(N), callers beyond the cores adding cost and no capacity."""
    used = min(level, cores)
    return rate * used / (1 + contention * (used - 1) + coherency * level * (level - 1))


@pytest.mark.parametrize("cores", [2, 4, 8, 64])
@pytest.mark.parametrize("coherency", [0.0, 0.001, 0.01, 0.02])
@pytest.mark.parametrize("contention", [0.0, 0.05, 0.37, 0.52, 0.9, 1.0])
def test_known_shares_are_recovered(contention: float, coherency: float, cores: int) -> None:
    curve = {level: law(250.0, contention, coherency, cores, level) for level in LEVELS}
    fit = fit_scalability(curve, cores)
    assert fit.contention == pytest.approx(contention, abs=0.01)
    assert fit.coherency == pytest.approx(coherency, abs=0.001)
    assert fit.rate_per_s == pytest.approx(250.0, rel=0.01)


def test_three_percent_of_noise_move_the_contention_by_less_than_a_tenth() -> None:
    rng = random.Random(7)
    for _ in range(20):
        curve = {level: law(80, 0.4, 0.002, 8, level) * rng.gauss(1, 0.03) for level in LEVELS}
        assert fit_scalability(curve, 8).contention == pytest.approx(0.4, abs=0.1)


def test_the_fit_does_not_depend_on_the_order_or_the_scale_of_the_points() -> None:
    curve = {level: law(3.0, 0.3, 0.004, 8, level) for level in LEVELS}
    fit = fit_scalability(curve, 8)
    backwards = fit_scalability(dict(reversed(curve.items())), 8)
    scaled = fit_scalability({level: value * 1024 for level, value in curve.items()}, 8)
    assert backwards == fit
    assert (scaled.contention, scaled.coherency) == pytest.approx((fit.contention, fit.coherency))
    assert scaled.rate_per_s == pytest.approx(fit.rate_per_s * 1024)


def test_one_point_is_met_and_says_nothing_of_sharing() -> None:
    fit = fit_scalability({1: 40.0}, 8)
    assert (fit.contention, fit.coherency) == (0, 0)
    assert fit.throughput_per_s(1) == pytest.approx(40.0)


def test_two_points_give_contention_and_no_coherency() -> None:
    fit = fit_scalability({1: 100.0, 4: law(100, 0.5, 0.0, 8, 4)}, 8)
    assert fit.coherency == 0
    assert fit.contention == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("points", [{}, {1: 0.0}, {1: 5.0, 2: -1.0}])
def test_what_cannot_be_fitted_is_refused(points: dict[int, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        fit_scalability(points, 4)


@pytest.mark.parametrize("contention", [0.0, 0.2, 1.0])
def test_without_coherency_throughput_rises_up_to_the_cores_and_stays(contention: float) -> None:
    fit = Scalability(10.0, contention, 0.0, cores=4)
    rates = [fit.throughput_per_s(level) for level in range(1, 12)]
    assert rates == sorted(rates)
    assert len(set(rates[3:])) == 1
    assert rates[0] == 10.0


@pytest.mark.parametrize(("contention", "expected"), [(0.0, 8), (1.0, 1)])
def test_saturation_is_at_the_cores_without_contention_and_at_one_with_nothing_else(
    contention: float, expected: int
) -> None:
    assert Scalability(10.0, contention, 0.0, cores=8).saturation_concurrency(64) == expected


@pytest.mark.parametrize("cores", [2, 8, 64])
@pytest.mark.parametrize("coherency", [0.0, 0.0005, 0.01, 0.1])
@pytest.mark.parametrize("contention", [0.0, 0.1, 0.6, 1.0])
def test_past_the_saturation_nothing_is_gained_and_before_it_something_is(
    contention: float, coherency: float, cores: int
) -> None:
    most = 64
    curve = {level: law(9.0, contention, coherency, cores, level) for level in range(1, most + 1)}
    saturation = Scalability(9.0, contention, coherency, cores).saturation_concurrency(most)
    assert max(curve[level] for level in curve if level >= saturation) <= curve[saturation] * 1.05
    if saturation > 1:
        later = max(curve[level] for level in curve if level >= saturation)
        assert later > curve[saturation - 1] * 1.05


def test_saturation_lies_before_the_peak_of_the_law() -> None:
    contention, coherency = 0.05, 0.004
    peak = math.sqrt((1 - contention) / coherency)
    fit = Scalability(1.0, contention, coherency, cores=1000)
    assert 1 < fit.saturation_concurrency(200) <= peak


def test_a_curve_that_goes_on_rising_saturates_at_the_most_that_was_asked() -> None:
    assert Scalability(1.0, 0.0, 0.0, cores=1000).saturation_concurrency(8) == 8


@pytest.mark.parametrize("levels", [(1, 2), (2, 4), (4, 8), (1, 2, 4), (2, 4, 8), (4, 8, 16)])
def test_columns_that_say_the_same_are_no_error(levels: tuple[int, ...]) -> None:
    """On few cores the useful callers are the same at every level: then contention is unknowable."""
    for cores in (1, 2, 4):
        fit = fit_scalability(dict.fromkeys(levels, 97.5), cores)
        for level in levels:
            assert fit.throughput_per_s(level) == pytest.approx(97.5, rel=0.2)
