"""What a runtime has learned of each task: the plan's word, corrected by what was seen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lanewise.model.lane import LaneName
from lanewise.model.measurement import Contender
from lanewise.model.task import DEFAULT_VARIANT
from lanewise.plan.lane_model import Machine, model_lane
from lanewise.plan.task_plan import CostPoint, Observation, TaskPlan
from lanewise.runtime.seen import Seen

if TYPE_CHECKING:
    from lanewise.runtime.decision import Decision

# Classes of sizes that are kept of one task: a service with ever new ones stays small.
_MAX_CLASSES = 64
# What is known of a class serves the classes around it, up to so many doublings away.
_NEAR = 2
# Calls in a row that cannot cross, after which the next ones are not tried.
_MAX_REFUSALS = 3
# How far the mean of calls on a lane is off at most.
_SPREAD = 0.05
_CARRIED_SPREAD = 0.15


def size_class(size: float) -> int:
    """One class to each doubling."""
    return round(math.log2(size)) if 0 < size < math.inf else -1


@dataclass(slots=True, eq=False)
class LearnedTask:
    """One task. Owner: the runtime's loop.

    Attributes:
        planned: What the plan says of it, without what this environment lacks; None where it is silent.
        kept: Decisions that stand, by class of sizes and concurrency; ``last`` the newest of them,
            with the very size and concurrency.
        routes: The lane and variant that calls of a class of sizes took last.
        steady: Classes whose route was found when enough was known. Others are left for any better one.
        unportable: Why its calls do not cross to processes, or None.
        failing: Lanes with a variant, as ``lane/variant``, that did not take its calls.
    """

    name: str
    planned: TaskPlan | None
    isolated: bool
    size_unit: str
    kept: dict[tuple[int, int], Decision] = field(default_factory=dict)
    last: tuple[float, int, Decision] | None = None
    routes: dict[int, Contender] = field(default_factory=dict)
    steady: set[int] = field(default_factory=set)
    unportable: str | None = None
    failing: frozenset[str] = frozenset()
    _seen: dict[tuple[int, str], Seen] = field(default_factory=dict)
    _refusals: int = 0
    _refused: dict[LaneName, int] = field(default_factory=dict)

    def seen(self, size: float, variant: str = DEFAULT_VARIANT) -> Seen:
        """Return what was seen of calls of that size; made of what stands near where there is nothing."""
        key = size_class(size), variant
        found = self._seen.get(key)
        if found is None:
            if len(self._seen) >= _MAX_CLASSES:
                # The ones that were met first are the likeliest to be of the past.
                for old in list(self._seen)[: _MAX_CLASSES // 4]:
                    del self._seen[old]
                self.forget_decisions()
            found = self._seen[key] = self._first_guess(size, variant)
        if 0 < size < math.inf:
            found.size += 0.1 * (size - found.size)
        return found

    def _first_guess(self, size: float, variant: str) -> Seen:
        if self.planned is not None and variant in self.planned.variants:
            return _as_planned(self.planned, size, variant)
        for distance in range(1, _NEAR + 1):
            for at in (size_class(size) - distance, size_class(size) + distance):
                near = self._seen.get((at, variant))
                if near is not None and near.is_settled and near.is_known and near.size > 0:
                    return _scaled(near, size)
        return Seen(size=size if 0 < size < math.inf else 0.0)

    def plan(self, machine: Machine, budget_s: float) -> TaskPlan | None:
        """Return what is known as a plan of its own; None where nothing is.

        Of a task that is planned it is the plan, where calls were seen to differ with what they cost now.
        """
        if self.planned is not None:
            plan = self._corrected(self.planned.under(gil_enabled=machine.gil_enabled))
            return self._with_observations(plan, machine)
        costs = sorted(
            (seen.cost(variant) for (_, variant), seen in self._seen.items() if seen.is_known),
            key=lambda cost: cost.size,
        )
        if not costs:
            return None
        plan = TaskPlan(
            name=self.name,
            size_unit=self.size_unit,
            calibration=machine.calibration,
            usable_cores=machine.cores,
            gil_enabled=machine.gil_enabled,
            loop_budget_s=budget_s,
            costs=tuple(_distinct(costs)),
            unportable=self.unportable,
            isolated=self.isolated,
            failing=tuple(sorted(self.failing)),
        )
        return self._with_observations(plan, machine)

    def _with_observations(self, plan: TaskPlan, machine: Machine) -> TaskPlan:
        """How lanes did against the lane model, where calls have been on them."""
        rows = [
            observation
            for (_, variant), seen in self._seen.items()
            for observation in _observed(plan, seen, variant, machine)
        ]
        if not rows:
            return plan
        if self.planned is None:
            rows += _carried_over(plan, rows, machine)
        fresh = {(row.contender, row.concurrency, size_class(row.size)) for row in rows}
        old = [
            row
            for row in plan.observations
            if (row.contender, row.concurrency, size_class(row.size)) not in fresh
        ]
        return replace(plan, observations=(*old, *rows))

    def _corrected(self, planned: TaskPlan) -> TaskPlan:
        if not self.failing <= {*planned.failing}:
            planned = replace(planned, failing=tuple(sorted({*planned.failing, *self.failing})))
        costs = [*planned.costs]
        for (_, variant), seen in self._seen.items():
            if seen.forgotten and seen.is_known and variant in planned.variants:
                size = planned.size_of_call(seen.size)
                costs = [
                    one
                    for one in costs
                    if one.variant != variant or size_class(one.size) != size_class(size)
                ]
                costs.append(_merged(planned.cost_at(variant, size), seen, size))
        if len(costs) == len(planned.costs) and all(
            one is other for one, other in zip(costs, planned.costs, strict=True)
        ):
            if self.unportable is None:
                return planned
            return replace(planned, unportable=self.unportable)
        return replace(
            planned, costs=tuple(costs), unportable=planned.unportable or self.unportable
        )

    def corrected_classes(self) -> Iterator[tuple[int, Seen]]:
        """Yield the classes in which what was seen differs from what was planned or first seen."""
        for (at, _), seen in self._seen.items():
            if seen.forgotten:
                yield at, seen

    def forget_decisions(self) -> None:
        """What they rest on has changed."""
        self.kept.clear()
        self.last = None

    def lock_changed(self) -> None:
        """The lock was switched on or off: how calls did in threads says nothing any more."""
        for seen in self._seen.values():
            seen.lock_changed()
        self.steady.clear()
        self.forget_decisions()

    def could_not_cross(self, why: str) -> None:
        """A call did not get to a process."""
        self._refusals += 1
        if self._refusals >= _MAX_REFUSALS and self.unportable is None:
            self.unportable = why
            self.forget_decisions()

    def could_not_enter(self, variant: str, lane: LaneName = "interpreter") -> None:
        """A call did not get to an interpreter or a node, which says nothing of processes here."""
        self._refused[lane] = self._refused.get(lane, 0) + 1
        if self._refused[lane] >= _MAX_REFUSALS:
            self.failing |= {f"{lane}/{variant}"}
            self.forget_decisions()

    def crossed(self, lane: LaneName = "process") -> None:
        """A call got there."""
        if lane == "process":
            self._refusals = 0
        else:
            self._refused[lane] = 0


def _observed(plan: TaskPlan, seen: Seen, variant: str, machine: Machine) -> Iterator[Observation]:
    """By Little's law as many calls a second as there are at once, over how long each stays."""
    if variant not in plan.variants:
        return
    size = plan.size_of_call(seen.size)
    cost = plan.cost_at(variant, size)
    for (lane, at_once), latency in seen.latencies.items():
        if not latency.tells or lane not in machine.calibration.lanes:
            continue
        modelled = model_lane(lane, cost, at_once, machine)
        efficiency = at_once / latency.mean_s / modelled.throughput_per_s
        # What a lane does to the loop was measured, if at all, when the plan was made.
        planned = plan.observation_at(Contender(lane, variant), size, at_once)
        yield Observation(
            variant=variant,
            lane=lane,
            concurrency=at_once,
            size=size,
            efficiency=min(max(efficiency, 0.02), 1.5),
            spread=_SPREAD,
            loop_lag_s=0.0 if planned is None else planned.loop_lag_s,
        )


def _carried_over(plan: TaskPlan, rows: list[Observation], machine: Machine) -> list[Observation]:
    """What lanes did with calls of one size, for the other sizes that are known.

    As so many seconds of a call beyond what the model says. Their ratio means nothing there: a wait for a
    worker that triples a call of 0.1 ms is nothing to one of 10 ms.
    """
    own = {(row.contender, row.concurrency, size_class(row.size)): row for row in rows}
    carried = []
    for variant, size in {(cost.variant, cost.size) for cost in plan.costs}:
        for contender, level in {(row.contender, row.concurrency) for row in rows}:
            if contender.variant != variant or (contender, level, size_class(size)) in own:
                continue
            nearest = min(
                (row for row in rows if (row.contender, row.concurrency) == (contender, level)),
                key=lambda row: abs(size_class(row.size) - size_class(size)),
            )
            there_s, here_s = (
                level
                / model_lane(
                    contender.lane, plan.cost_at(variant, at), level, machine
                ).throughput_per_s
                for at in (nearest.size, size)
            )
            beyond_s = there_s / nearest.efficiency - there_s
            efficiency = min(here_s / max(here_s + beyond_s, here_s / 1.5), 1.5)
            carried.append(
                replace(nearest, size=size, efficiency=efficiency, spread=_CARRIED_SPREAD)
            )
    return carried


def _as_planned(planned: TaskPlan, size: float, variant: str) -> Seen:
    cost = planned.cost_at(variant, planned.size_of_call(size))
    seen = Seen(
        size=size,
        wall_s=cost.wall_s,
        cpu_s=cost.cpu_s,
        held_share=cost.gil_held_share,
        near_s=cost.pickle_s,
        args_bytes=cost.args_bytes,
        result_bytes=cost.result_bytes,
    )
    seen.settle()
    return seen


def _scaled(near: Seen, size: float) -> Seen:
    """What a call costs is taken to grow with its size, until one is seen."""
    ratio = max(size, 1e-9) / near.size
    seen = Seen(
        size=size,
        wall_s=near.wall_s * ratio,
        cpu_s=near.cpu_s * ratio,
        held_share=near.held_share,
        near_s=None if near.near_s is None else near.near_s * max(ratio, 1.0),
        args_bytes=None if near.args_bytes is None else round(near.args_bytes * ratio),
        result_bytes=near.result_bytes,
    )
    seen.settle()
    return seen


def _merged(cost: CostPoint, seen: Seen, size: float) -> CostPoint:
    """A planned cost with what was seen in its place.

    How long the lock is kept at a time was measured of calls of another length, and says nothing now.
    """
    held = cost.gil_held_share if seen.lock_share is None else seen.lock_share
    return replace(
        cost,
        size=size,
        call_size=seen.size,
        wall_s=seen.wall_s,
        cpu_s=seen.cpu_s or cost.cpu_s,
        gil_held_share=held,
        gil_wait_p99_s=None,
        gil_handovers_per_s=None,
        pickle_s=cost.pickle_s if seen.near_s is None else seen.near_s,
    )


def _distinct(costs: list[CostPoint]) -> Iterator[CostPoint]:
    """One cost for each size: means of two classes can meet."""
    last: CostPoint | None = None
    for cost in costs:
        if last is None or cost.variant != last.variant or cost.size > last.size:
            yield cost
        last = cost
