"""Medians, quantiles, bootstrap intervals. Pure; every random choice is seeded by the caller."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Percentile bootstrap (Efron & Tibshirani 1993, chapter 13). 400 resamples put the 2.5 % and 97.5 %
# points within about a tenth of the interval's width of their limit; more buys nothing at the
# handful of rounds that a measurement has.
BOOTSTRAP_RESAMPLES = 400
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the bounds that hold it with 95 % confidence."""

    value: float
    low: float
    high: float

    @property
    def relative_half_width(self) -> float:
        """Half of the interval over the value; infinite for a value of 0."""
        return math.inf if self.value == 0 else (self.high - self.low) / 2 / abs(self.value)


def quantile(values: Sequence[float], q: float) -> float:
    """Return the ``q`` quantile by linear interpolation (Hyndman & Fan type 7).

    Raises:
        ValueError: ``values`` is empty or ``q`` lies outside 0..1.
    """
    if not values:
        raise ValueError("no values, so no quantile")
    if not 0 <= q <= 1:
        raise ValueError(f"q={q} must lie between 0 and 1")
    ordered = sorted(values)
    at = q * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    # This form gives the value itself where both neighbours are equal: rounding cannot leave the range.
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def median(values: Sequence[float]) -> float:
    """Return the middle value.

    Raises:
        ValueError: ``values`` is empty.
    """
    return quantile(values, 0.5)


def bootstrap_median(values: Sequence[float], *, seed: int = 0) -> Interval:
    """Return the median with a percentile-bootstrap interval.

    With fewer than three values the interval is the range widened by half of it on either side:
    so few values cannot bound themselves, and a range of two says too little.

    Raises:
        ValueError: ``values`` is empty.
    """
    middle = median(values)
    if len(values) < 3:  # noqa: PLR2004 - because: see the docstring
        spread = max(values) - min(values)
        return Interval(middle, min(values) - spread / 2, max(values) + spread / 2)
    rng = random.Random(seed)  # noqa: S311 - because: resampling, not secrecy
    return Interval(middle, *percentile_bounds(lambda: median(resample(values, rng))))


def percentile_bounds(draw: Callable[[], float]) -> tuple[float, float]:
    """Return the bounds that hold 95 % of ``BOOTSTRAP_RESAMPLES`` draws."""
    draws = [draw() for _ in range(BOOTSTRAP_RESAMPLES)]
    tail = (1 - CONFIDENCE) / 2
    return quantile(draws, tail), quantile(draws, 1 - tail)


def resample(values: Sequence[float], rng: random.Random) -> list[float]:
    """Draw as many values as there are, with replacement."""
    return rng.choices(values, k=len(values))


def batch_means_error(batches: Sequence[float]) -> float:
    """Return the standard error of the mean of ``batches``.

    Neighbouring samples of a lock depend on each other, so sqrt(h(1-h)/n) over all samples would be
    far too small; the means of long batches are nearly independent (Law & Carson 1979).
    """
    if len(batches) < 2:  # noqa: PLR2004 - because: one batch has no spread
        return 0.5
    mean = sum(batches) / len(batches)
    variance = sum((batch - mean) ** 2 for batch in batches) / (len(batches) - 1)
    return math.sqrt(variance / len(batches))
