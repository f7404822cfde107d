"""Fit the Universal Scalability Law to throughput over concurrency.

N. J. Gunther, "Guerrilla Capacity Planning" (2007), chapter 4: X(N) = rate·N / (1 + contention·(N-1)
+ coherency·N·(N-1)). Callers beyond the number of cores add no capacity, so N counts at most the
cores in the numerator and in the contention term; coherency is paid for every caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# A further caller that adds less than this adds nothing.
_NOTHING_GAINED = 0.05


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
    """Fit the law by weighted least squares.

    Written as useful/X = a + b·(useful-1) + d·N·(N-1) it is linear, with contention b/a and coherency
    d/a; weighing each point by X/useful makes the errors relative. Neither share may be negative and
    contention is at most 1, so the best fit inside these bounds is taken.

    With fewer than three concurrencies coherency cannot be told from contention and is taken as 0;
    with one, contention is unknown too and taken as 0.

    Raises:
        ValueError: Nothing to fit, or a throughput that is not above 0.
    """
    points = sorted(throughput_by_concurrency.items())
    if not points or any(value <= 0 for _, value in points):
        raise ValueError("a fit needs at least one throughput above 0")
    best: tuple[float, Scalability] | None = None
    for columns in _ADMISSIBLE:
        if len(columns) > len(points):
            continue
        candidate = _fit_columns(points, cores, columns)
        if candidate is not None:
            misfit = _misfit(points, candidate)
            # Simpler shapes come first; a richer one must fit better by more than rounding.
            if best is None or misfit < best[0] * (1 - 1e-9) - 1e-15:
                best = (misfit, candidate)
    assert best is not None  # the constant alone always fits
    return best[1]


_Column = Callable[[int, int], float]


def _constant(_concurrency: int, _cores: int) -> float:
    return 1.0


def _contention(concurrency: int, cores: int) -> float:
    return min(concurrency, cores) - 1.0


def _coherency(concurrency: int, _cores: int) -> float:
    return float(concurrency * (concurrency - 1))


def _full_contention(concurrency: int, cores: int) -> float:
    """The constant and the contention term with a share of 1: the bound of the law."""
    return float(min(concurrency, cores))


# The shapes between which the bounds leave the choice, simplest first.
_ADMISSIBLE: tuple[tuple[_Column, ...], ...] = (
    (_constant,),
    (_full_contention,),
    (_constant, _contention),
    (_constant, _coherency),
    (_full_contention, _coherency),
    (_constant, _contention, _coherency),
)


def _shape(concurrency: int, cores: int, contention: float, coherency: float) -> float:
    useful = min(concurrency, cores)
    slowed = 1 + contention * (useful - 1) + coherency * concurrency * (concurrency - 1)
    return useful / slowed


def _misfit(points: Sequence[tuple[int, float]], fit: Scalability) -> float:
    return sum((fit.throughput_per_s(level) / value - 1) ** 2 for level, value in points)


def _fit_columns(
    points: Sequence[tuple[int, float]], cores: int, columns: tuple[_Column, ...]
) -> Scalability | None:
    """Least squares over the given columns; None where it leaves the bounds or is undetermined."""
    rows: list[list[float]] = []
    for concurrency, value in points:
        weight = value / min(concurrency, cores)
        rows.append([weight * column(concurrency, cores) for column in columns])
    found = _solve(_normal_equations(rows))
    if found is None or found[0] <= 0 or any(value < 0 for value in found):
        return None
    shares = dict(zip(columns, found, strict=True))
    base = found[0]
    contention = 1.0 if _full_contention in shares else shares.get(_contention, 0.0) / base
    if contention > 1:
        return None
    return Scalability(1 / base, contention, shares.get(_coherency, 0.0) / base, cores)


def _normal_equations(rows: Sequence[Sequence[float]]) -> list[list[float]]:
    """The augmented matrix of AᵀA x = Aᵀ1: every weighted left side is 1."""
    width = len(rows[0])
    return [
        [*(sum(row[i] * row[j] for row in rows) for j in range(width)), sum(row[i] for row in rows)]
        for i in range(width)
    ]


def _solve(matrix: list[list[float]]) -> list[float] | None:
    """Gauss-Jordan elimination with pivoting; None for a singular matrix."""
    size = len(matrix)
    # A pivot this far below the largest entry is what rounding leaves of a zero.
    lost = 1e-12 * max(abs(value) for row in matrix for value in row)
    for at in range(size):
        pivot = max(range(at, size), key=lambda row: abs(matrix[row][at]))
        if abs(matrix[pivot][at]) <= lost:
            return None
        matrix[at], matrix[pivot] = matrix[pivot], matrix[at]
        for row in range(size):
            if row != at:
                factor = matrix[row][at] / matrix[at][at]
                matrix[row] = [a - factor * b for a, b in zip(matrix[row], matrix[at], strict=True)]
    return [matrix[at][size] / matrix[at][at] for at in range(size)]
