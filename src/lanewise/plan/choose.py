"""One decision: which contender should run a call of this size at this concurrency, and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

from lanewise.errors import LaneUnavailableError
from lanewise.model.lane import LANE_NAMES, SHARING_MEMORY, SIMPLEST_FIRST, LaneName
from lanewise.model.measurement import Contender
from lanewise.model.units import format_count, format_seconds
from lanewise.plan.lane_model import Machine, model_lane
from lanewise.plan.task_plan import TaskPlan

# Below this advantage two contenders count as equal and the simpler one is kept: a lane change is
# not worth having for less, and it keeps routes from flapping between two measurements.
WORTHWHILE_GAIN = 0.07
# The spread that is assumed for a contender which was modelled and never measured.
UNMEASURED_SPREAD = 0.25
# A call in another process or interpreter that takes twice as long as elsewhere spends more on crossing
# than its own work is worth: then it is not recommended, whatever it would do for the loop.
_CROSSING_LOSS = 0.5
# Lanes that break the budget count as equally harmful when what the loop meets differs by less than this.
_SIMILAR_HARM = 1.5
# Less than any throughput: sizes far beyond the measured ones make for very long calls indeed.
_NONE = 1e-300


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is expected of one contender.

    Attributes:
        spread: Relative uncertainty of the throughput (half of a 95 % interval).
        keeps_budget: Whether the lag that it causes stays within the loop budget.
        modelled_per_s: The throughput that follows from costs alone, whatever was observed.
        in_the_way: The share of time, up to 1, in which the loop meets that lag.
    """

    contender: Contender
    throughput_per_s: float
    spread: float
    loop_lag_s: float
    keeps_budget: bool
    bottleneck: str
    measured: bool
    modelled_per_s: float
    in_the_way: float

    @property
    def harm_s(self) -> float:
        """How late the loop is at a random moment, about."""
        return self.loop_lag_s * self.in_the_way


@dataclass(frozen=True, slots=True)
class Choice:
    """The winner, whether the measurements support it, why, and everything it was compared with."""

    contender: Contender
    decided: bool
    reason: str
    estimates: tuple[Estimate, ...]
    excluded: tuple[tuple[str, str], ...] = ()

    @property
    def estimate(self) -> Estimate:
        """What is expected of the winner."""
        return next(one for one in self.estimates if one.contender == self.contender)


def estimate_all(
    plan: TaskPlan, size: float, concurrency: int, machine: Machine, loop_budget_s: float
) -> tuple[list[Estimate], list[tuple[str, str]]]:
    """Estimate every lane and variant; those that cannot take part come back with the reason."""
    estimates: list[Estimate] = []
    excluded: list[tuple[str, str]] = []
    for lane in LANE_NAMES:
        why = _why_not(plan, lane, machine)
        if why is not None:
            excluded.append((lane, why))
            continue
        estimates += [
            _estimate(plan, Contender(lane, variant), size, concurrency, machine, loop_budget_s)
            for variant in plan.variants
            if f"{lane}/{variant}" not in plan.failing
        ]
        excluded += [(one, "it failed there") for one in plan.failing if one.startswith(f"{lane}/")]
    return estimates, excluded


def _why_not(plan: TaskPlan, lane: LaneName, machine: Machine) -> str | None:
    if plan.pinned is not None and lane != plan.pinned:
        return f"the task is pinned to {plan.pinned}"
    if lane not in machine.calibration.lanes:
        return machine.calibration.unavailable.get(lane, "not available on this host")
    if lane not in SHARING_MEMORY and plan.unportable is not None:
        return plan.unportable
    if plan.isolated and lane in SHARING_MEMORY:
        return 'the task declares isolation="required"'
    return None


def _estimate(  # noqa: PLR0913 - because: the coordinates of one point
    plan: TaskPlan,
    contender: Contender,
    size: float,
    concurrency: int,
    machine: Machine,
    loop_budget_s: float,
) -> Estimate:
    cost = plan.cost_at(contender.variant, size)
    modelled = model_lane(contender.lane, cost, concurrency, machine)
    seen = plan.observation_at(contender, size, concurrency)
    lag_s = modelled.loop_lag_s
    # The model knows what follows from the call's length and from the lock, far better than a tail
    # quantile of a noisy machine does; an observation can only add what the model does not know. On
    # the loop's own lane there is nothing that it does not know.
    if seen is not None and contender.lane != "event_loop":
        lag_s = max(lag_s, seen.loop_lag_s)
    return Estimate(
        contender=contender,
        throughput_per_s=modelled.throughput_per_s * (1.0 if seen is None else seen.efficiency),
        spread=UNMEASURED_SPREAD if seen is None else seen.spread,
        loop_lag_s=lag_s,
        keeps_budget=lag_s <= loop_budget_s,
        bottleneck=modelled.bottleneck,
        measured=seen is not None,
        modelled_per_s=modelled.throughput_per_s,
        in_the_way=modelled.in_the_way,
    )


def choose(  # noqa: PLR0913 - because: the coordinates of one decision
    plan: TaskPlan,
    size: float,
    concurrency: int,
    machine: Machine,
    loop_budget_s: float,
    only: Collection[Contender] | None = None,
) -> Choice:
    """Choose among all lanes and variants for one size and concurrency.

    The contenders that keep the loop budget compete by throughput. Where none does, those that harm
    the loop least compete. Processes take part only where crossing costs less than it saves. Those
    that are too near the best to be told apart, or not worth a lane change, yield to the simplest
    lane among them. ``only`` restricts the field.

    Raises:
        PlanError: The plan knows no cost of the task.
        LaneUnavailableError: No lane can run it; the message lists each with its reason.
    """
    estimates, excluded = estimate_all(plan, size, concurrency, machine, loop_budget_s)
    if only is not None:
        estimates = [one for one in estimates if one.contender in only]
    if not estimates:
        reasons = "; ".join(f"{lane}: {why}" for lane, why in excluded)
        raise LaneUnavailableError(
            f"no lane can run {plan.name}: {reasons}", reasons=dict(excluded)
        )
    worthwhile = _worth_crossing(estimates)
    fit = [one for one in worthwhile if one.keeps_budget]
    field = fit or _least_harmful(worthwhile)
    best = max(field, key=lambda one: one.throughput_per_s)
    rivals = [one for one in field if _gain(best, one) <= max(WORTHWHILE_GAIN, _doubt(best, one))]
    winner = min(rivals, key=_simplicity(plan))
    decided = all(
        _gain(best, one) <= WORTHWHILE_GAIN or _gain(best, one) > _doubt(best, one) for one in field
    )
    cost = plan.cost_at(winner.contender.variant, size)
    held = cost.gil_held_share if machine.gil_enabled else None
    reason = _reason(winner, best, estimates, field, cost.wall_s, held)
    if not fit:
        late = f"{winner.contender.lane} delays the loop by {format_seconds(winner.loop_lag_s)}"
        reason = (
            f"no lane keeps the loop budget of {format_seconds(loop_budget_s)} ({late}, "
            f"{winner.in_the_way:.0%} of the time); {reason}"
        )
    if not decided:
        near = [str(one.contender) for one in rivals if one is not winner]
        reason = f"undecided: {' and '.join(near)} could be better within the noise; " + reason
    return Choice(winner.contender, decided, reason, tuple(estimates), tuple(excluded))


def _worth_crossing(estimates: list[Estimate]) -> list[Estimate]:
    """Drop those to which calls must be sent and that carry less than half of the best other one.

    Like is compared with like: what was observed of both, or what follows from costs of both. On a
    busy machine every lane is slow, and only the one on which calls were shows it.
    """
    here = [one for one in estimates if one.contender.lane in SHARING_MEMORY]
    return [
        one
        for one in estimates
        if one.contender.lane in SHARING_MEMORY
        or all(_carries(one, other) >= _CROSSING_LOSS * _carries(other, one) for other in here)
    ]


def _carries(one: Estimate, beside: Estimate) -> float:
    both = one.measured and beside.measured
    return one.throughput_per_s if both else one.modelled_per_s


def _least_harmful(estimates: list[Estimate]) -> list[Estimate]:
    """Where none keeps the budget: off the loop if at all possible, and near the least harm.

    The same lag is worse on the loop itself, which can do nothing else for the whole of each call. And
    it is worse from a thread that holds the lock, which every wake-up meets, than from pickling, which
    is over once the call has been sent.
    """
    off_the_loop = [one for one in estimates if one.contender.lane != "event_loop"] or estimates
    least = min(one.harm_s for one in off_the_loop)
    return [one for one in off_the_loop if one.harm_s <= least * _SIMILAR_HARM]


def _gain(best: Estimate, other: Estimate) -> float:
    """How much more the best one carries, as a logarithm: 0.07 is about 7 %."""
    return math.log(max(best.throughput_per_s, _NONE)) - math.log(
        max(other.throughput_per_s, _NONE)
    )


def _doubt(best: Estimate, other: Estimate) -> float:
    """The advantage that noise alone could fake."""
    return math.hypot(best.spread, other.spread)


def _simplicity(plan: TaskPlan) -> Callable[[Estimate], tuple[int, int]]:
    return lambda one: (
        SIMPLEST_FIRST.index(one.contender.lane),
        plan.variants.index(one.contender.variant),
    )


def _reason(  # noqa: PLR0913 - because: what there is to tell
    winner: Estimate,
    best: Estimate,
    estimates: list[Estimate],
    field: list[Estimate],
    wall_s: float,
    held: float | None,
) -> str:
    rate = f"{format_count(winner.throughput_per_s)} calls/s"
    parts = [f"{winner.contender} carries {rate} at {format_seconds(wall_s)} a call"]
    if held is not None:
        parts.append(f"which holds the lock {held:.0%} of its time")
    text = ", ".join(parts)
    others = [one for one in field if one.contender != winner.contender]
    if winner is not best:
        text += f"; {best.contender} gains too little to be worth a change"
    elif others:
        second = max(others, key=lambda one: one.throughput_per_s)
        times = winner.throughput_per_s / max(second.throughput_per_s, _NONE)
        text += f", {times:.2g}× {second.contender} (limited by {second.bottleneck})"
    faster_but_harmful = [
        one
        for one in estimates
        if one not in field and one.throughput_per_s > winner.throughput_per_s * 0.9
    ]
    lanes = sorted({(one.contender.lane, one.loop_lag_s) for one in faster_but_harmful})
    for lane, lag_s in dict(lanes).items():
        text += f"; {lane} would delay the loop by {format_seconds(lag_s)}"
    worthwhile = _worth_crossing(estimates)
    dropped = {one.contender.lane for one in estimates if one not in worthwhile}
    if dropped and winner.contender.lane == "thread":
        text += f"; {' and '.join(sorted(dropped))} would spend more on crossing than it saves"
    return text
