"""What counts as a changed plan: decisions that both support, and that cost something to ignore."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.builders import exact_observations, make_calibration, make_cost, make_plan

from lanewise.plan.compare import compare_plans, machine_for
from lanewise.plan.document import Plan
from lanewise.plan.task_plan import TaskPlan


def measured(*costs: Any, levels: tuple[int, ...] = (4,), **changes: Any) -> TaskPlan:
    plan = make_plan(*costs, **changes)
    return replace(plan, observations=exact_observations(plan, levels))


def holding(*sizes: float, **changes: Any) -> TaskPlan:
    """50 ms under the lock: processes."""
    return measured(*[make_cost(size, 0.05) for size in sizes or (10.0, 100.0)], **changes)


def releasing(*sizes: float, **changes: Any) -> TaskPlan:
    """50 ms off the lock, with 20 ms worth of bytes to send: threads."""
    cost = {"gil_held_share": 0.0, "args_bytes": 20_000_000, "result_bytes": 0}
    return measured(*[make_cost(size, 0.05, **cost) for size in sizes or (10.0, 100.0)], **changes)


def compare(before: TaskPlan, after: TaskPlan) -> Any:
    return compare_plans(Plan({before.name: before}), Plan({after.name: after}))


@pytest.mark.parametrize("plan", [holding(), releasing(), holding(levels=(1, 2, 8)), make_plan()])
def test_a_plan_compared_with_itself_has_no_changes(plan: TaskPlan) -> None:
    difference = compare(plan, plan)
    assert (difference.changes, difference.undecided) == ((), 0)
    assert (difference.only_before, difference.only_after) == ((), ())
    assert difference.compared == len(plan.sizes) * len(plan.concurrencies)


def test_a_decision_that_changed_is_told_with_both_sides_and_what_ignoring_it_costs() -> None:
    difference = compare(holding(), releasing())
    assert [(one.size, one.concurrency) for one in difference.changes] == [(10.0, 4), (100.0, 4)]
    for one in difference.changes:
        assert (one.before, one.after) == ("process/default", "thread/default")
        assert one.task == "shop:match"
        assert one.reason.startswith("thread/default carries")
        assert one.loss > 1.15


def test_the_loss_is_how_many_times_more_the_new_choice_carries() -> None:
    """Four threads of 50 ms carry 79.9 calls/s; 20.1 ms on the loop's side allow processes 49.7."""
    difference = compare(holding(100.0), releasing(100.0))
    assert difference.changes[0].loss == pytest.approx(79.9 / 49.7, rel=0.01)


def test_a_lane_that_is_gone_is_an_infinite_loss() -> None:
    lanes = {"thread": make_calibration().lanes["thread"]}
    gone = holding(calibration=make_calibration(lanes=lanes))
    difference = compare(holding(), gone)
    assert {one.loss for one in difference.changes} == {math.inf}


def test_a_lane_that_now_breaks_the_budget_is_an_infinite_loss() -> None:
    before = measured(make_cost(10.0, 2e-4), levels=(1,))
    after = measured(make_cost(10.0, 2e-2), levels=(1,))
    (change,) = compare(before, after).changes
    assert change.before == "event_loop/default"
    assert change.loss == math.inf


@pytest.mark.parametrize("undecided_side", [0, 1])
def test_a_change_that_either_side_calls_undecided_is_counted_as_such_and_not_as_a_change(
    undecided_side: int,
) -> None:
    # Processes were seen to carry 30 % more than threads, with a noise of 50 %.
    near = measured(make_cost(10.0, 0.05, gil_held_share=0.0))
    seen = [
        replace(one, spread=0.5, efficiency=1.3 if one.lane == "process" else 1.0)
        for one in near.observations
    ]
    unsure = replace(near, observations=tuple(seen))
    plans = [holding(10.0), holding(10.0)]
    plans[undecided_side] = unsure
    difference = compare(*plans)
    assert (difference.changes, difference.undecided, difference.compared) == ((), 1, 1)


def test_a_change_that_gains_next_to_nothing_is_none() -> None:
    """Processes were worth it; now both carry the same and the simpler lane is kept."""
    cost = make_cost(10.0, 0.05, gil_held_share=0.3)
    before = measured(make_cost(10.0, 0.05, gil_held_share=0.5))
    after = measured(replace(cost, gil_held_share=0.0))
    difference = compare(before, after)
    assert (difference.changes, difference.undecided) == ((), 0)
    assert difference.compared == 1


def test_tasks_on_one_side_only_are_named() -> None:
    before = Plan({name: make_plan(name=name) for name in ("b", "a", "both")})
    after = Plan({name: make_plan(name=name) for name in ("d", "both", "c")})
    difference = compare_plans(before, after)
    assert (difference.only_before, difference.only_after) == (("a", "b"), ("c", "d"))
    assert difference.compared == 1


def test_only_sizes_and_concurrencies_that_both_know_are_compared() -> None:
    before = holding(1.0, 10.0, 100.0, levels=(1, 4))
    after = releasing(10.0, 50.0, 1000.0, levels=(4, 8))
    difference = compare(before, after)
    assert {(one.size, one.concurrency) for one in difference.changes} == {
        (10.0, 4),
        (50.0, 4),
        (100.0, 4),
    }
    assert difference.compared == 3


def test_changes_come_by_task_concurrency_and_size() -> None:
    names = ("zebra", "ant")
    before = Plan({name: holding(name=name, levels=(4, 8)) for name in names})
    after = Plan({name: releasing(name=name, levels=(4, 8)) for name in names})
    found = [(one.task, one.concurrency, one.size) for one in compare_plans(before, after).changes]
    assert len(found) == 8
    assert found == sorted(found)


def test_the_host_of_a_plan_is_the_one_it_was_measured_on() -> None:
    machine = machine_for(make_plan(usable_cores=7, gil_enabled=False))
    assert (machine.cores, machine.gil_enabled) == (7, False)
    assert machine.calibration == make_calibration()
