"""What a plan knows of one task, and how it reads between the measured sizes."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from lanewise.errors import PlanError
from lanewise.model.facts import Calibration
from lanewise.model.lane import LaneName
from lanewise.model.measurement import Contender

_TINY = 1e-12
# e to this is near the largest float: a steep end of a ladder must not overflow far beyond it.
_LARGEST_EXPONENT = 700.0
# The slope beyond the last size is taken over at least this ratio of sizes, since two neighbours
# that differ by noise say nothing of what comes.
_SLOPE_OVER = 2.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CostPoint:
    """What one call of one variant costs at one size. Seconds and bytes.

    ``gil_held_share`` is a share of ``wall_s``; None was unknown when it was measured.
    """

    variant: str
    size: float
    call_size: float
    wall_s: float
    cpu_s: float
    gil_held_share: float | None
    gil_handovers_per_s: float | None
    gil_wait_p99_s: float | None
    run_queue_s: float | None
    args_bytes: int | None
    result_bytes: int | None
    pickle_s: float | None

    @property
    def portable(self) -> bool:
        """Whether arguments and result could be pickled."""
        return self.pickle_s is not None

    @property
    def computing_share(self) -> float:
        """The part of a call's time that it spends on cores."""
        return min(1.0, self.cpu_s / self.wall_s) if self.wall_s > 0 else 1.0

    @property
    def held_s(self) -> float:
        """Seconds of a call under the lock; all of them where the share is unknown."""
        return self.wall_s * (1.0 if self.gil_held_share is None else self.gil_held_share)


@dataclass(frozen=True, slots=True)
class Observation:
    """How one contender did against the lane model, where it was measured.

    Attributes:
        efficiency: Measured over modelled throughput. Without a unit, so it holds on other hosts.
        spread: Relative half-width of the measurement's 95 % interval.
        loop_lag_s: The p99 lag that it caused beyond an idle loop.
    """

    variant: str
    lane: LaneName
    concurrency: int
    size: float
    efficiency: float
    spread: float
    loop_lag_s: float

    @property
    def contender(self) -> Contender:
        """The lane and variant that were measured."""
        return Contender(self.lane, self.variant)


@dataclass(frozen=True)
class TaskPlan:
    """Everything that a plan says of one task.

    Attributes:
        size_unit: ``declared`` by the task's ``size``, or ``bytes`` of its arguments.
        calibration: Of the host that it was measured on.
        unportable: Why its calls cannot cross to a process, or None.
        failing: Contenders, written ``lane/variant``, on which the function raised.
        target, inputs: What it was measured by, so that it can be measured again.
        pinned: The lane that the task asks for, which wins over everything.
    """

    name: str
    size_unit: str
    calibration: Calibration
    usable_cores: int
    gil_enabled: bool
    loop_budget_s: float
    costs: tuple[CostPoint, ...]
    observations: tuple[Observation, ...] = ()
    unportable: str | None = None
    isolated: bool = False
    pinned: LaneName | None = None
    python: str = ""
    target: str = ""
    inputs: str | None = None
    failing: tuple[str, ...] = ()

    @cached_property
    def variants(self) -> tuple[str, ...]:
        """Variants with at least one cost, in the order of the plan."""
        return tuple(dict.fromkeys(cost.variant for cost in self.costs))

    @cached_property
    def sizes(self) -> tuple[float, ...]:
        """Every size at which a cost is known, ascending."""
        return tuple(sorted({cost.size for cost in self.costs}))

    @cached_property
    def concurrencies(self) -> tuple[int, ...]:
        """Every concurrency that was observed, ascending; (1,) without observations."""
        return tuple(sorted({seen.concurrency for seen in self.observations})) or (1,)

    @cached_property
    def _costs_by_variant(self) -> dict[str, list[CostPoint]]:
        table: dict[str, list[CostPoint]] = {}
        for cost in sorted(self.costs, key=lambda point: point.size):
            table.setdefault(cost.variant, []).append(cost)
        return table

    @cached_property
    def _observed(self) -> dict[tuple[Contender, int], list[Observation]]:
        table: dict[tuple[Contender, int], list[Observation]] = {}
        for seen in sorted(self.observations, key=lambda row: row.size):
            table.setdefault((seen.contender, seen.concurrency), []).append(seen)
        return table

    def under(self, *, gil_enabled: bool) -> TaskPlan:
        """Return the same plan for an interpreter whose lock is on or off.

        How threads did with the lock says nothing of them without it, and the other way round. Without
        a lock nobody could see how much of its time a call would hold it: all that it computes, as far
        as is known.
        """
        if gil_enabled == self.gil_enabled:
            return self
        costs = self.costs
        if gil_enabled:
            costs = tuple(replace(one, gil_held_share=one.computing_share) for one in costs)
        seen = tuple(row for row in self.observations if row.lane != "thread")
        return replace(self, costs=costs, observations=seen, gil_enabled=gil_enabled)

    def cost_at(self, variant: str, size: float) -> CostPoint:
        """Return the cost at any size.

        Between measured sizes it lies on a log-log line; below them it is flat, and above them it
        goes on with the last slope.

        Raises:
            PlanError: The plan has no cost of that variant.
        """
        points = self._costs_by_variant.get(variant)
        if not points:
            raise PlanError(f"the plan knows no cost of {self.name} ({variant}): measure it again")
        low, high, share = _neighbours(points, size, lambda point: point.size)
        if low is high:
            return low

        def between(pick: Callable[[CostPoint], float | None]) -> float | None:
            return _power_law(pick(low), pick(high), share)

        held = (low.gil_held_share, high.gil_held_share)
        inside = min(1.0, max(0.0, share))
        return CostPoint(
            variant=variant,
            size=size,
            call_size=between(lambda point: point.call_size) or 0.0,
            wall_s=between(lambda point: point.wall_s) or _TINY,
            cpu_s=between(lambda point: point.cpu_s) or 0.0,
            gil_held_share=None
            if held[0] is None or held[1] is None
            else held[0] + (held[1] - held[0]) * inside,
            gil_handovers_per_s=between(lambda point: point.gil_handovers_per_s),
            gil_wait_p99_s=between(lambda point: point.gil_wait_p99_s),
            run_queue_s=None,
            args_bytes=_rounded(between(lambda point: point.args_bytes)),
            result_bytes=_rounded(between(lambda point: point.result_bytes)),
            pickle_s=between(lambda point: point.pickle_s),
        )

    def observation_at(
        self, contender: Contender, size: float, concurrency: int
    ) -> Observation | None:
        """Return what was observed of a contender near a size, at the nearest concurrency."""
        levels = [level for seen, level in self._observed if seen == contender]
        if not levels:
            return None
        level = min(levels, key=lambda known: abs(math.log(known / concurrency)))
        rows = self._observed[contender, level]
        low, high, share = _neighbours(rows, size, lambda row: row.size)
        if low is high or share <= 0:
            return low
        if share >= 1:
            return high
        return Observation(
            variant=low.variant,
            lane=low.lane,
            concurrency=level,
            size=size,
            efficiency=_power_law(low.efficiency, high.efficiency, share) or low.efficiency,
            spread=max(low.spread, high.spread),
            loop_lag_s=low.loop_lag_s + (high.loop_lag_s - low.loop_lag_s) * share,
        )

    def size_of_call(self, call_size: float) -> float:
        """Translate what the task's ``size`` says of a call into the ladder's number.

        They are the same for a task that declares ``size`` in the unit of its ``inputs``. Otherwise
        (bytes of arguments against rows, say) the measured pairs are read on a log-log line. Where
        calls of different sizes look alike, each is taken for the largest, which protects the loop.
        """
        if self._sizes_are_call_sizes:
            return call_size
        pairs = self._size_pairs
        if not pairs:
            return self.sizes[-1]
        low, high, share = _neighbours(pairs, call_size, lambda pair: pair[0])
        if low is high:
            return low[1]
        return _power_law(low[1], high[1], share) or 0.0

    @cached_property
    def _size_pairs(self) -> list[tuple[float, float]]:
        pairs = [(call_size, size) for size, call_size in self._call_sizes.items()]
        rising = all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(pairs))
        return pairs if rising else []

    @cached_property
    def _sizes_are_call_sizes(self) -> bool:
        return all(math.isclose(call, size) for size, call in self._call_sizes.items())

    @property
    def sizes_can_be_told_apart(self) -> bool:
        """Whether calls of different sizes look different to the runtime."""
        return len(set(self._call_sizes.values())) == len(self.sizes)

    @cached_property
    def _call_sizes(self) -> dict[float, float]:
        """For each size what the runtime sees of it.

        Arguments are made anew for each variant and may differ by some bytes: the middle one stands.
        """
        found: dict[float, list[float]] = {}
        for cost in self.costs:
            found.setdefault(cost.size, []).append(cost.call_size)
        return {size: sorted(calls)[len(calls) // 2] for size, calls in sorted(found.items())}


def _neighbours(rows: Sequence[T], at: float, key: Callable[[T], float]) -> tuple[T, T, float]:
    """The two rows around ``at`` and the share of the way between them on a logarithmic scale.

    Below the first row that row twice; above the last one the last two with a share over 1.
    """
    keys = [key(row) for row in rows]
    if len(rows) == 1 or at <= keys[0]:
        return rows[0], rows[0], 0.0
    right = min(max(1, bisect.bisect_left(keys, at)), len(rows) - 1)
    left = right - 1
    if keys[right] == at:
        return rows[right], rows[right], 0.0
    if at > keys[-1]:
        while left > 0 and keys[left] * _SLOPE_OVER > keys[right]:
            left -= 1
    low, high = rows[left], rows[right]
    span = math.log(max(keys[right], _TINY)) - math.log(max(keys[left], _TINY))
    share = (math.log(max(at, _TINY)) - math.log(max(keys[left], _TINY))) / span if span else 1.0
    return low, high, share


def _power_law(low: float | None, high: float | None, share: float) -> float | None:
    """The value a ``share`` of the way on a log-log line; None where an end is unknown."""
    if low is None or high is None:
        return None
    if low <= 0 or high <= 0:
        return max(0.0, low + (high - low) * min(1.0, share))
    exponent = math.log(low) + (math.log(high) - math.log(low)) * share
    return math.exp(min(exponent, _LARGEST_EXPONENT))


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)
