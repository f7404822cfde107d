"""What changed between two plans, in decisions and in costs."""

from __future__ import annotations

from dataclasses import dataclass

from lanewise.plan.choose import Choice, choose
from lanewise.plan.document import Plan
from lanewise.plan.lane_model import Machine
from lanewise.plan.task_plan import TaskPlan

# A route counts as changed when the old choice is now worse than the new one by more than this;
# below it the two are one decision for every practical purpose.
_CHANGED_GAIN = 1.15


@dataclass(frozen=True, slots=True)
class RouteChange:
    """One size and concurrency at which two plans decide differently.

    ``loss`` is how many times more the new choice carries than the old one would, by the new plan;
    infinite where the old one now breaks the loop budget or cannot run.
    """

    task: str
    size: float
    concurrency: int
    before: str
    after: str
    loss: float
    reason: str


@dataclass(frozen=True, slots=True)
class PlanDifference:
    """All differences. ``compared`` is the number of decisions that were looked at."""

    changes: tuple[RouteChange, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    compared: int
    undecided: int


def machine_for(task: TaskPlan) -> Machine:
    """The host that a task was measured on."""
    return Machine(task.calibration, task.usable_cores, task.gil_enabled)


def compare_plans(before: Plan, after: Plan) -> PlanDifference:
    """Compare the decisions of two plans at every size and concurrency that either measured.

    Decisions that either plan calls undecided, and those whose change gains next to nothing, are not
    counted as changes.
    """
    changes: list[RouteChange] = []
    compared = undecided = 0
    for name in before.tasks.keys() & after.tasks.keys():
        for was, now, size, concurrency in _pairs(before.tasks[name], after.tasks[name]):
            compared += 1
            if was.contender == now.contender:
                continue
            if not (was.decided and now.decided):
                undecided += 1
                continue
            loss = _loss(was, now)
            if loss > _CHANGED_GAIN:
                changes.append(
                    RouteChange(
                        name,
                        size,
                        concurrency,
                        str(was.contender),
                        str(now.contender),
                        loss,
                        now.reason,
                    )
                )
    return PlanDifference(
        changes=tuple(sorted(changes, key=lambda one: (one.task, one.concurrency, one.size))),
        only_before=tuple(sorted(before.tasks.keys() - after.tasks.keys())),
        only_after=tuple(sorted(after.tasks.keys() - before.tasks.keys())),
        compared=compared,
        undecided=undecided,
    )


def _pairs(before: TaskPlan, after: TaskPlan) -> list[tuple[Choice, Choice, float, int]]:
    low, high = max(before.sizes[0], after.sizes[0]), min(before.sizes[-1], after.sizes[-1])
    sizes = sorted({size for size in before.sizes + after.sizes if low <= size <= high})
    levels = [level for level in before.concurrencies if level in after.concurrencies]
    return [
        (_decide(before, size, level), _decide(after, size, level), size, level)
        for level in levels
        for size in sizes
    ]


def _decide(task: TaskPlan, size: float, concurrency: int) -> Choice:
    return choose(task, size, concurrency, machine_for(task), task.loop_budget_s)


def _loss(was: Choice, now: Choice) -> float:
    for one in now.estimates:
        if one.contender == was.contender:
            if one.keeps_budget != now.estimate.keeps_budget:
                return float("inf")
            return now.estimate.throughput_per_s / max(one.throughput_per_s, 1e-12)
    return float("inf")
