"""Everything that was measured of one task so far, and what it amounts to. No I/O, no clock."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lanewise.measuring.gil_sampler import HeldShare
from lanewise.measuring.statistics import Interval, bootstrap_median, median, quantile, resample
from lanewise.model.measurement import Contender, Cost
from lanewise.plan.choose import UNMEASURED_SPREAD
from lanewise.plan.lane_model import Machine, model_lane
from lanewise.plan.task_plan import CostPoint, Observation

# More run-queue time than this makes a round doubtful: the machine was busy with something else.
BUSY_SHARE = 0.10
# More than this of the cores taken by other programs makes a load doubtful: at two cores, a third of one.
OTHERS_SHARE = 0.15
# More than this of the windows without samples: what was seen may not be typical.
_TOO_LITTLE_SEEN = 0.6

# Relative half-width of an interval over one, two, three and more rounds, at least. One round does not
# leave us less certain than none: short measurements have one of most cells, and at 0.5 they left lanes
# undecided of which one carries twice as much.
_LEAST_SPREAD = (UNMEASURED_SPREAD, 0.2, 0.05, 0.02)

CellKey = tuple[Contender, float, int]
"""Contender, size, concurrency."""


@dataclass(frozen=True, slots=True)
class CostRound:
    """One stretch of calls alone."""

    wall_s: float
    wall_low_s: float
    wall_high_s: float
    cpu_s: float
    run_queue_s: float | None
    blocked_s: float | None
    busy_share: float
    held: HeldShare | None

    @classmethod
    def from_reply(cls, reply: Mapping[str, Any], held: HeldShare | None) -> CostRound:
        """Reduce the bench's answer to per-call figures."""
        calls = reply["calls"]
        walls = bootstrap_median(reply["walls_s"][:200])

        def per_call(name: str) -> float | None:
            total = reply[name]
            return None if total is None else total / calls

        queue = reply["run_queue_s"]
        return cls(
            wall_s=median(reply["walls_s"]),
            wall_low_s=walls.low,
            wall_high_s=walls.high,
            cpu_s=reply["cpu_s"] / calls,
            run_queue_s=per_call("run_queue_s"),
            blocked_s=per_call("blocked_s"),
            busy_share=0.0 if queue is None else queue / max(reply["wall_s"], 1e-9),
            held=held,
        )


@dataclass(frozen=True, slots=True)
class LoadRound:
    """One closed loop on one lane.

    Attributes:
        others_share: The share of the cores that other programs took meanwhile.
    """

    throughput_per_s: float
    latencies_s: Sequence[float]
    lag_p99_s: float
    calls: int
    others_share: float = 0.0

    @property
    def is_calm(self) -> bool:
        """Whether it says something of the lane, and not mostly of what else ran on the cores."""
        return self.others_share <= OTHERS_SHARE

    @classmethod
    def from_reply(cls, reply: Mapping[str, Any], others_share: float = 0.0) -> LoadRound:
        """Reduce the bench's answer."""
        lags = reply["lags_s"]
        return cls(
            throughput_per_s=reply["throughput_per_s"],
            latencies_s=reply["latencies_s"],
            lag_p99_s=quantile(lags, 0.99) if lags else 0.0,
            calls=reply["calls"],
            others_share=others_share,
        )


@dataclass(slots=True)
class Samples:
    """The growing store of one task's rounds. Owner: the session's thread."""

    prepared: dict[tuple[str, float], dict[str, Any]] = field(default_factory=dict)
    costs: dict[tuple[str, float], list[CostRound]] = field(default_factory=dict)
    loads: dict[CellKey, list[LoadRound]] = field(default_factory=dict)
    reference_lags_s: dict[int, list[float]] = field(default_factory=dict)
    _rates: dict[CellKey, tuple[int, Interval]] = field(default_factory=dict)

    def rate(self, key: CellKey) -> Interval:
        """The throughput of a cell with its interval; resampled only when a round was added."""
        rounds = self.loads[key]
        known = self._rates.get(key)
        if known is None or known[0] != len(rounds):
            known = (len(rounds), _rate([one.throughput_per_s for one in _of_use(rounds)]))
            self._rates[key] = known
        return known[1]

    def reference_lag_s(self, concurrency: int) -> float:
        """The lag of a loop that does nothing beside ``concurrency`` busy processes."""
        known = self.reference_lags_s
        if not known:
            return 0.0
        nearest = min(known, key=lambda level: abs(level - concurrency))
        return median(known[nearest])

    def highest_reference_s(self, concurrency: int) -> float:
        """The highest that the reference lag was seen."""
        known = self.reference_lags_s
        nearest = min(known, key=lambda level: abs(level - concurrency), default=None)
        return 0.0 if nearest is None else max(known[nearest])

    def sizes(self) -> list[float]:
        """Sizes with at least one cost, ascending."""
        return sorted({size for _, size in self.costs})

    def cost_rows(self) -> list[Cost]:
        """The costs so far, by variant and size."""
        order = {variant: at for at, (variant, _) in reversed(list(enumerate(self.costs)))}
        keys = sorted(self.costs, key=lambda key: (order[key[0]], key[1]))
        return [self._cost_row(variant, size) for variant, size in keys]

    def _cost_row(self, variant: str, size: float) -> Cost:
        rounds = self.costs[variant, size]
        # Rounds during which the machine was busy say little; without better ones they must do.
        calm = [one for one in rounds if one.busy_share <= BUSY_SHARE]
        used = calm or [min(rounds, key=lambda one: one.busy_share)]
        wall = _wall(used)
        held = [one.held for one in rounds if one.held is not None]
        share, error, handovers, wait_s = _held(held)
        known = self.prepared[variant, size]
        busy = min(one.busy_share for one in used)
        return Cost(
            variant=variant,
            size=size,
            call_size=known["call_size"],
            wall_s=wall.value,
            wall_low_s=wall.low,
            wall_high_s=wall.high,
            first_call_s=known["first_call_s"],
            cpu_s=median([one.cpu_s for one in used]),
            gil_held_share=share,
            gil_held_share_error=error,
            gil_handovers_per_s=handovers,
            gil_wait_p99_s=None if wait_s is None else min(wait_s, wall.value),
            run_queue_s=_median_or_none(one.run_queue_s for one in used),
            blocked_s=_median_or_none(one.blocked_s for one in used),
            args_bytes=known["args_bytes"],
            result_bytes=known["result_bytes"],
            pickle_s=known["pickle_s"],
            note=_doubts(busy if not calm else 0.0, held),
        )

    def calm_rounds(self, key: CellKey) -> int:
        """How often a cell was loaded while others left the cores alone."""
        return sum(one.is_calm for one in self.loads.get(key, ()))

    def disturbed(self) -> list[CellKey]:
        """The cells that were never loaded while others left the cores alone."""
        return [key for key in self.loads if not self.calm_rounds(key)]

    def observations(
        self, costs: Mapping[tuple[str, float], CostPoint], machine: Machine
    ) -> list[Observation]:
        """What each measured cell says against the lane model.

        What was only seen while others took the cores says nothing: such a loss meets whichever cell has
        the bad luck, and would be taken for the lane's own. Costs are told better then, for they are
        timed by CPU and run queue too.
        """
        return [
            self._observation(key, rounds, costs, machine)
            if any(one.is_calm for one in rounds)
            else _as_modelled(key)
            for key, rounds in self.loads.items()
            if (key[0].variant, key[1]) in costs
        ]

    def _observation(
        self,
        key: CellKey,
        rounds: Sequence[LoadRound],
        costs: Mapping[tuple[str, float], CostPoint],
        machine: Machine,
    ) -> Observation:
        contender, size, concurrency = key
        modelled = model_lane(contender.lane, costs[contender.variant, size], concurrency, machine)
        rounds, rate = _of_use(rounds), self.rate(key)
        # Only lag that comes back in every round, and that busy cores alone never caused, is the
        # lane's: a spike in one round is the machine's. One round shows nothing of that.
        lag_s = 0.0
        if len(rounds) > 1:
            lag_s = min(one.lag_p99_s for one in rounds) - self.highest_reference_s(concurrency)
        return Observation(
            variant=contender.variant,
            lane=contender.lane,
            concurrency=concurrency,
            size=size,
            efficiency=rate.value / modelled.throughput_per_s,
            spread=rate.relative_half_width,
            loop_lag_s=max(0.0, lag_s),
        )

    def resampled(self, rng: random.Random) -> Samples:
        """The same measurement as it might have come out: rounds drawn with replacement."""
        again = Samples(prepared=self.prepared)
        again.costs = {key: _drawn(rounds, rng) for key, rounds in self.costs.items()}
        again.loads = {key: _drawn(rounds, rng) for key, rounds in self.loads.items()}
        again.reference_lags_s = self.reference_lags_s
        for key, rounds in again.loads.items():
            # The interval stays: drawing it anew inside a bootstrap would cost much and add nothing.
            rate = self.rate(key)
            middle = median([one.throughput_per_s for one in _of_use(rounds)])
            shift = middle / rate.value
            again._rates[key] = (len(rounds), Interval(middle, rate.low * shift, rate.high * shift))
        return again


def _as_modelled(key: CellKey) -> Observation:
    contender, size, concurrency = key
    return Observation(
        variant=contender.variant,
        lane=contender.lane,
        concurrency=concurrency,
        size=size,
        efficiency=1.0,
        spread=UNMEASURED_SPREAD,
        loop_lag_s=0.0,
    )


def _of_use(rounds: Sequence[LoadRound]) -> Sequence[LoadRound]:
    """The rounds during which others left the cores alone; without any, all."""
    return [one for one in rounds if one.is_calm] or rounds


def _rate(values: Sequence[float]) -> Interval:
    """The median with its interval, never narrower than so few rounds can support.

    Rounds of one cell on a shared machine differ by some ten percent. One of them says nothing of
    its own spread and two say little; the floor stands for what they cannot show.
    """
    interval = bootstrap_median(values)
    floor = interval.value * _LEAST_SPREAD[min(len(values), len(_LEAST_SPREAD)) - 1]
    return Interval(
        interval.value,
        max(0.0, min(interval.low, interval.value - floor)),
        max(interval.high, interval.value + floor),
    )


def _doubts(busy_share: float, held: Sequence[HeldShare]) -> str | None:
    """What makes a cost doubtful, in words."""
    doubts: list[str] = []
    if busy_share:
        doubts.append(f"busy machine: {busy_share:.0%} of the time in the run queue")
    if held and median([one.lost_share for one in held]) > _TOO_LITTLE_SEEN:
        doubts.append("the sampler lost its core for most of the time")
    return "; ".join(doubts) or None


def _drawn(rounds: Sequence[Any], rng: random.Random) -> list[Any]:
    return resample(rounds, rng)


def _wall(rounds: Sequence[CostRound]) -> Interval:
    """The median over rounds, with bounds that cover both each round's own and their spread."""
    values = [one.wall_s for one in rounds]
    return Interval(
        median(values),
        min(median([one.wall_low_s for one in rounds]), min(values)),
        max(median([one.wall_high_s for one in rounds]), max(values)),
    )


def _held(
    rounds: Sequence[HeldShare],
) -> tuple[float | None, float | None, float | None, float | None]:
    """Share, its error, hand-overs and waits; rounds weigh by how much of each was observed."""
    seconds = sum(one.observed_s for one in rounds)
    if not rounds or seconds <= 0:
        return None, None, None, None

    def mean(pick: Callable[[HeldShare], float]) -> float:
        return sum(pick(one) * one.observed_s for one in rounds) / seconds

    share = mean(lambda one: one.share)
    error = sum((one.error * one.observed_s / seconds) ** 2 for one in rounds) ** 0.5
    return (
        min(1.0, max(0.0, share)),
        error,
        mean(lambda one: one.handovers_per_s),
        median([one.wait_p99_s for one in rounds]),
    )


def _median_or_none(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
