"""Which lane and variant a call goes to: pins, then the plan, then a safe default."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from lanewise.errors import LaneUnavailableError
from lanewise.host.modules import module_present
from lanewise.model.facts import Calibration
from lanewise.model.lane import LaneName
from lanewise.model.measurement import Contender
from lanewise.model.task import DEFAULT_VARIANT, Task
from lanewise.plan.choose import Choice, choose
from lanewise.plan.document import Plan
from lanewise.plan.lane_model import Machine
from lanewise.plan.task_plan import TaskPlan

# Decisions of one task are kept per class of sizes: this many classes to each doubling. A boundary
# is then met to within 5 %, less than any break-even point is known to.
_CLASSES_PER_DOUBLING = 16
# Kept decisions; beyond it the table starts anew, so that a service with ever new sizes stays small.
_MAX_KEPT = 4_096


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a call goes, why in words, and how long it is expected to run there."""

    lane: LaneName
    variant: str
    reason: str
    expected_s: float | None = None


class Router:
    """Decides for one runtime. Owner: the runtime's event loop.

    Args:
        plan: May be empty.
        lanes: Those that are open.
        unavailable: Those that are not, with their reason.
        calibration: Of this host's lanes, or None where every task was measured on this host.
    """

    def __init__(  # noqa: PLR0913 - because: the facts that decisions rest on, each once
        self,
        plan: Plan,
        lanes: frozenset[LaneName],
        unavailable: dict[LaneName, str],
        calibration: Calibration | None,
        loop_budget_s: float,
        cores: int,
        gil_enabled: bool,  # noqa: FBT001 - because: a fact, not a switch
    ) -> None:
        self._plan = plan
        self._lanes = lanes
        self._unavailable = unavailable
        self._calibration = calibration
        self._loop_budget_s = loop_budget_s
        self._cores = cores
        self._gil_enabled = gil_enabled
        self._kept: dict[tuple[str, int, int], Decision] = {}
        self._planned: dict[str, TaskPlan | None] = {}
        self._unplanned_known: dict[tuple[str, LaneName | None, str], Decision] = {}

    def decide(
        self,
        task: Task[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        concurrency: int,
        pinned: LaneName | None = None,
        deadline: float | None = None,
    ) -> Decision:
        """Decide for one call.

        Raises:
            LaneUnavailableError: The pinned lane is not open, or no open lane may run the task.
        """
        wanted = pinned or task.lane
        key = (task.name, wanted, task.isolation)
        known = self._unplanned_known.get(key)
        if known is not None:
            return known
        planned = self._task_plan(task)
        if planned is None:
            known = (
                self._unplanned(task)
                if wanted is None
                else self._pinned(task, None, args, kwargs, concurrency, wanted)
            )
            if len(self._unplanned_known) >= _MAX_KEPT:
                self._unplanned_known.clear()
            self._unplanned_known[key] = known
            return known
        if wanted is None:
            wanted = planned.pinned
        if wanted is not None:
            return self._pinned(task, planned, args, kwargs, concurrency, wanted)
        return self._by_plan(planned, task.size_of(args, kwargs), concurrency)

    def explain(
        self,
        task: Task[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        concurrency: int,
        pinned: LaneName | None = None,
    ) -> str:
        """Say in words what would be chosen, why, and what every alternative was estimated at."""
        decision = self.decide(task, args, kwargs, concurrency, pinned)
        lines = [f"{task.name} -> {decision.lane}/{decision.variant}: {decision.reason}"]
        planned = self._task_plan(task)
        if planned is not None:
            choice = self._choice(planned, task.size_of(args, kwargs), concurrency)
            for one in sorted(choice.estimates, key=lambda one: -one.throughput_per_s):
                verdict = "" if one.keeps_budget else ", breaks the loop budget"
                lines.append(
                    f"  {one.contender}: {one.throughput_per_s:,.0f} calls/s, "
                    f"loop lag {one.loop_lag_s * 1e3:.2g} ms{verdict}"
                )
            lines += [f"  {lane}: {why}" for lane, why in choice.excluded]
        return "\n".join(lines)

    def _machine(self, planned: TaskPlan) -> Machine:
        """This host; its own calibration goes before that of the host which the plan was made on."""
        calibration = self._calibration or planned.calibration
        return Machine(calibration, self._cores, self._gil_enabled)

    def _by_plan(self, planned: TaskPlan, call_size: float, concurrency: int) -> Decision:
        key = (planned.name, _size_class(call_size), _nearest(planned.concurrencies, concurrency))
        kept = self._kept.get(key)
        if kept is None:
            choice = self._choice(planned, call_size, key[2])
            kept = Decision(choice.contender.lane, choice.contender.variant, choice.reason)
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[key] = kept
        return kept

    def _choice(self, planned: TaskPlan, call_size: float, concurrency: int) -> Choice:
        size = planned.size_of_call(call_size)
        allowed = [Contender(lane, variant) for lane in self._lanes for variant in planned.variants]
        try:
            return choose(
                planned, size, concurrency, self._machine(planned), self._loop_budget_s, allowed
            )
        except LaneUnavailableError as error:
            raise LaneUnavailableError(
                str(error), reasons={**error.reasons, **self._unavailable}
            ) from error

    def _pinned(  # noqa: PLR0913 - because: one call and how it was pinned
        self,
        task: Task[..., Any],
        planned: TaskPlan | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        concurrency: int,
        lane: LaneName,
    ) -> Decision:
        if lane not in self._lanes:
            why = self._unavailable.get(lane, "this runtime was made without it")
            raise LaneUnavailableError(
                f"{task.name} is pinned to the {lane} lane, which is not available: {why}",
                reasons={lane: why},
            )
        variant = DEFAULT_VARIANT
        if planned is not None:
            free = replace(planned, pinned=None)
            machine = self._machine(planned)
            size = planned.size_of_call(task.size_of(args, kwargs))
            only = [Contender(lane, name) for name in planned.variants]
            try:
                found = choose(free, size, concurrency, machine, self._loop_budget_s, only)
                variant = found.contender.variant
            except LaneUnavailableError:
                pass  # the plan has no estimate on that lane: the pin says where, the default what
        return Decision(lane, variant, f"pinned to {lane}")

    def _unplanned(self, task: Task[..., Any]) -> Decision:
        """Without a plan: where a call harms nobody else, at the price of its dispatch."""
        order: tuple[LaneName, ...] = ("process", "thread", "event_loop")
        if task.isolation == "required":
            order = ("process",)
        for lane in order:
            if lane in self._lanes:
                reason = f"no plan knows it; {lane} protects the loop whatever it does"
                return Decision(lane, DEFAULT_VARIANT, reason)
        raise LaneUnavailableError(
            f"{task.name} asks for isolation, and no lane that isolates is available here",
            reasons=self._unavailable,
        )

    def _task_plan(self, task: Task[..., Any]) -> TaskPlan | None:
        """The task's plan, without variants that this environment or the task does not have."""
        if task.name not in self._planned:
            found = self._plan.tasks.get(task.name)
            self._planned[task.name] = None if found is None else _usable(found, task)
        return self._planned[task.name]


def _usable(planned: TaskPlan, task: Task[..., Any]) -> TaskPlan | None:
    usable = {
        name
        for name, variant in task.variants.items()
        if variant.requires is None or module_present(variant.requires)
    }
    costs = tuple(cost for cost in planned.costs if cost.variant in usable)
    seen = tuple(row for row in planned.observations if row.variant in usable)
    isolated = planned.isolated or task.isolation == "required"
    return replace(planned, costs=costs, observations=seen, isolated=isolated) if costs else None


def _size_class(size: float) -> int:
    return -1 if size <= 0 else round(math.log2(size) * _CLASSES_PER_DOUBLING)


def _nearest(levels: tuple[int, ...], concurrency: int) -> int:
    return min(levels, key=lambda level: abs(math.log(level / concurrency)))
