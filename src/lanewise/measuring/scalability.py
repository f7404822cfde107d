"""Fit the Universal Scalability Law to throughput over concurrency.

N. J. Gunther, "Guerrilla Capacity Planning" (2007), chapter 4: X(N) = rate·N / (1 + contention·(N-1)
+ coherency·N·(N-1)). Callers beyond the number of cores add no capacity, so N counts at most the
cores in the numerator and in the contention term; coherency is paid for every caller.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

# A further caller that adds less than this adds nothing.
_NOTHING_GAINED = 0.05
_MAX_COHERENCY = 0.2
# Coarse-to-fine search over (contention, coherency): each pass narrows both ranges fourfold, so six
# passes settle them to 1/4096 of the range. The surface is smooth with one valley.
_PASSES = 6
_POINTS = 9


@dataclass(frozen=True, slots=True)
class Scalability:
    """A fit. ``rate_per_s`` is one caller's throughput; the two shares have no unit."""

    rate_per_s: float
    contention: float
    coherency: float
    cores: int

    def throughput_per_s(self, concurrency: int) -> float:
        """Return what the law gives for so many callers."""
        return self.rate_per_s * _shape(concurrency, self.cores, self.contention, self.coherency)

    def saturation_concurrency(self, most: int) -> int:
        """Return the least concurrency past which, up to ``most``, nothing worth having is gained."""
        best_later = 0.0
        saturated = most
        for concurrency in range(most, 0, -1):
            here = self.throughput_per_s(concurrency)
            if best_later > here * (1 + _NOTHING_GAINED):
                break
            saturated = concurrency
            best_later = max(best_later, here)
        return saturated


def fit_scalability(throughput_by_concurrency: Mapping[int, float], cores: int) -> Scalability:
    """Fit the law by least squares of logarithms.

    With fewer than three concurrencies coherency cannot be told from contention and is taken as 0;
    with one, contention is unknown too and taken as 0.

    Raises:
        ValueError: Nothing to fit, or a throughput that is not above 0.
    """
    points = sorted(throughput_by_concurrency.items())
    if not points or any(value <= 0 for _, value in points):
        raise ValueError("a fit needs at least one throughput above 0")
    contention = (0.0, 1.0 if len(points) > 1 else 0.0)
    coherency = (0.0, _MAX_COHERENCY if len(points) > 2 else 0.0)  # noqa: PLR2004 - because: see the docstring
    best = (0.0, 0.0)
    for _ in range(_PASSES):
        grid = [(a, b) for a in _spread(contention) for b in _spread(coherency)]
        best = min(grid, key=lambda pair: _misfit(points, cores, *pair))
        contention = _around(best[0], contention, 1.0)
        coherency = _around(best[1], coherency, _MAX_COHERENCY)
    return Scalability(_rate(points, cores, *best), *best, cores)


def _shape(concurrency: int, cores: int, contention: float, coherency: float) -> float:
    useful = min(concurrency, cores)
    slowed = 1 + contention * (useful - 1) + coherency * concurrency * (concurrency - 1)
    return useful / slowed


def _rate(points: list[tuple[int, float]], cores: int, a: float, b: float) -> float:
    logs = [math.log(value / _shape(level, cores, a, b)) for level, value in points]
    return math.exp(sum(logs) / len(logs))


def _misfit(points: list[tuple[int, float]], cores: int, a: float, b: float) -> float:
    logs = [math.log(value / _shape(level, cores, a, b)) for level, value in points]
    mean = sum(logs) / len(logs)
    return sum((log - mean) ** 2 for log in logs)


def _spread(bounds: tuple[float, float]) -> list[float]:
    low, high = bounds
    return (
        [low + (high - low) * at / (_POINTS - 1) for at in range(_POINTS)] if high > low else [low]
    )


def _around(best: float, bounds: tuple[float, float], most: float) -> tuple[float, float]:
    reach = (bounds[1] - bounds[0]) / 4
    return max(0.0, best - reach / 2), min(most, best + reach / 2)
