"""What every decision keeps, whatever was measured."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from unittest import mock

from hypothesis import assume, given
from hypothesis import strategies as st
from tests.property.strategies import CONCURRENCIES, between, machines, plans

from lanewise.errors import LaneUnavailableError
from lanewise.model.facts import LaneCost
from lanewise.model.lane import SIMPLEST_FIRST
from lanewise.plan import lane_model
from lanewise.plan.choose import Choice, Estimate, choose, estimate_all
from lanewise.plan.compare import compare_plans, machine_for
from lanewise.plan.document import Plan
from lanewise.plan.lane_model import SLICE_S, SWITCH_INTERVAL_S, Machine
from lanewise.plan.predict import predictions_of
from lanewise.plan.routes import boundaries, routes_of
from lanewise.plan.task_plan import TaskPlan

LEVELS = st.sampled_from(CONCURRENCIES)
SIZES = between(0.1, 1e7)


def decide(plan: TaskPlan, size: float, concurrency: int, machine: Machine) -> Choice | None:
    try:
        return choose(plan, size, concurrency, machine, plan.loop_budget_s)
    except LaneUnavailableError:
        return None


def allowed(plan: TaskPlan, machine: Machine) -> set[str]:
    """The lanes that may run the task, worked out from its description."""
    lanes = set(machine.calibration.lanes)
    if plan.pinned is not None:
        lanes &= {plan.pinned}
    if plan.unportable is not None:
        lanes -= {"process"}
    if plan.isolated:
        lanes -= {"event_loop", "thread"}
    return lanes


@given(plans(), SIZES, LEVELS, machines())
def test_the_lane_is_one_that_may_run_the_task_or_there_is_none(
    plan: TaskPlan, size: float, concurrency: int, machine: Machine
) -> None:
    choice = decide(plan, size, concurrency, machine)
    lanes = allowed(plan, machine)
    assert (choice is None) == (not lanes)
    if choice is not None:
        assert choice.contender.lane in lanes
        assert choice.contender.variant in plan.variants
        assert {one.contender.lane for one in choice.estimates} == lanes
        assert not {lane for lane, _ in choice.excluded} & lanes


def crossing_is_worth_it(one: Estimate, estimates: tuple[Estimate, ...]) -> bool:
    """As documented: a process that carries less than half of another lane spends more than it saves.

    By what was observed where it was of both, by their costs where it was not.
    """
    if one.contender.lane != "process":
        return True
    for other in estimates:
        if other.contender.lane != "process":
            both = one.measured and other.measured
            mine = one.throughput_per_s if both else one.modelled_per_s
            theirs = other.throughput_per_s if both else other.modelled_per_s
            if mine * 2 < theirs:
                return False
    return True


@given(plans(), SIZES, LEVELS, machines())
def test_the_budget_is_broken_only_where_nothing_worth_having_keeps_it(
    plan: TaskPlan, size: float, concurrency: int, machine: Machine
) -> None:
    choice = decide(plan, size, concurrency, machine)
    assume(choice is not None)
    assert choice is not None
    keepers = [one for one in choice.estimates if one.loop_lag_s <= plan.loop_budget_s]
    if any(crossing_is_worth_it(one, choice.estimates) for one in keepers):
        assert choice.estimate in keepers
    assert crossing_is_worth_it(choice.estimate, choice.estimates)
    if choice.estimate not in keepers:
        assert "no lane keeps the loop budget" in choice.reason


@given(plans(), SIZES, LEVELS, machines())
def test_a_lane_that_is_not_the_best_is_the_simplest_of_those_near_the_best(
    plan: TaskPlan, size: float, concurrency: int, machine: Machine
) -> None:
    choice = decide(plan, size, concurrency, machine)
    assume(choice is not None)
    assert choice is not None
    keepers = [one for one in choice.estimates if one.loop_lag_s <= plan.loop_budget_s]
    assume(choice.estimate in keepers)
    field = [one for one in keepers if crossing_is_worth_it(one, choice.estimates)]
    best = max(field, key=lambda one: one.throughput_per_s)
    near = [
        one
        for one in field
        if math.log(best.throughput_per_s / one.throughput_per_s)
        <= max(0.07, math.hypot(best.spread, one.spread))
    ]
    simplest = min(
        near,
        key=lambda one: (
            SIMPLEST_FIRST.index(one.contender.lane),
            plan.variants.index(one.contender.variant),
        ),
    )
    assert choice.contender == simplest.contender
    doubtful = [
        one for one in near if math.log(best.throughput_per_s / one.throughput_per_s) > 0.07
    ]
    assert choice.decided == (not doubtful)
    assert choice.reason.startswith("undecided") == (not choice.decided)


def in_other_units(plan: TaskPlan, machine: Machine, scale: float) -> tuple[TaskPlan, Machine]:
    """The same task and host as a clock would see them that is ``scale`` times as fast."""

    def scaled(value: float | None) -> float | None:
        return None if value is None else value * scale

    calibration = replace(
        machine.calibration,
        lanes={
            lane: LaneCost(cost.dispatch_s * scale, cost.per_call_s * scale)
            for lane, cost in machine.calibration.lanes.items()
        },
        transfer_bytes_per_s=machine.calibration.transfer_bytes_per_s / scale,
    )
    rows = tuple(
        replace(
            cost,
            wall_s=cost.wall_s * scale,
            cpu_s=cost.cpu_s * scale,
            pickle_s=scaled(cost.pickle_s),
            gil_wait_p99_s=scaled(cost.gil_wait_p99_s),
            gil_handovers_per_s=None
            if cost.gil_handovers_per_s is None
            else cost.gil_handovers_per_s / scale,
        )
        for cost in plan.costs
    )
    seen = tuple(replace(one, loop_lag_s=one.loop_lag_s * scale) for one in plan.observations)
    slower = replace(plan, costs=rows, observations=seen, loop_budget_s=plan.loop_budget_s * scale)
    return slower, replace(machine, calibration=calibration)


@given(plans(), LEVELS, machines(), st.integers(-12, 12))
def test_a_machine_that_is_slower_in_everything_decides_the_same(
    plan: TaskPlan, concurrency: int, machine: Machine, power: int
) -> None:
    """Powers of two keep every digit. The switch interval is a constant of Python and cannot scale.

    The slice of the loop's lane is a constant of ours, and is scaled with the rest.
    """
    scale = 2.0**power
    longest = max(cost.wall_s for cost in plan.costs) * max(scale, 1.0)
    assume(longest < SWITCH_INTERVAL_S or not machine.gil_enabled)
    assume(min(cost.wall_s for cost in plan.costs) * scale > 1e-9)
    slower, slower_machine = in_other_units(plan, machine, scale)
    for size in plan.sizes:
        one = decide(plan, size, concurrency, machine)
        with mock.patch.object(lane_model, "SLICE_S", SLICE_S * scale):
            other = decide(slower, size, concurrency, slower_machine)
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert (one.contender, one.decided) == (other.contender, other.decided)


@given(plans(), machines())
def test_routes_cover_every_size_once_for_every_concurrency(
    plan: TaskPlan, machine: Machine
) -> None:
    assume(allowed(plan, machine))
    routes = routes_of(plan, machine, plan.loop_budget_s)
    assert {route.concurrency for route in routes} == set(plan.concurrencies)
    for concurrency in plan.concurrencies:
        own = [route for route in routes if route.concurrency == concurrency]
        assert own[0].min_size == 0
        assert own[-1].max_size is None
        for left, right in itertools.pairwise(own):
            assert left.max_size == right.min_size
            assert left.contender != right.contender
            assert left.min_size < right.min_size
        assert {route.lane for route in own} <= allowed(plan, machine)


@given(plans(), machines())
def test_a_boundary_lies_within_the_measured_sizes_where_the_choice_leaves_the_left_side(
    plan: TaskPlan, machine: Machine
) -> None:
    assume(allowed(plan, machine))
    for concurrency in plan.concurrencies:
        for at, left, _ in boundaries(plan, concurrency, machine, plan.loop_budget_s):
            assert plan.sizes[0] < at <= plan.sizes[-1]
            choice = decide(plan, at, concurrency, machine)
            assert choice is not None
            assert choice.contender != left


@given(plans(), machines())
def test_a_route_is_what_is_chosen_at_its_measured_sizes_but_for_narrow_stretches(
    plan: TaskPlan, machine: Machine
) -> None:
    """A winner whose stretch spans less than a quarter of its size counts as noise."""
    assume(allowed(plan, machine))
    for route in routes_of(plan, machine, plan.loop_budget_s):

        def winner(size: float, concurrency: int = route.concurrency) -> object:
            choice = decide(plan, size, concurrency, machine)
            assert choice is not None
            return choice.contender

        for size in plan.sizes:
            inside = route.min_size <= size < (route.max_size or math.inf)
            other = winner(size)
            if inside and other != route.contender:
                above = [size * 1.25 ** (step / 20) for step in range(1, 21)]
                assert any(winner(look) != other for look in above)


@given(plans())
def test_a_plan_compared_with_itself_has_no_changes(plan: TaskPlan) -> None:
    assume(allowed(plan, machine_for(plan)))
    difference = compare_plans(Plan({"t": plan}), Plan({"t": plan}))
    assert (difference.changes, difference.undecided) == ((), 0)
    assert difference.compared == len(plan.sizes) * len(plan.concurrencies)


@given(plans(), plans())
def test_comparing_backwards_looks_at_the_same_decisions(one: TaskPlan, other: TaskPlan) -> None:
    assume(allowed(one, machine_for(one)) and allowed(other, machine_for(other)))
    there = compare_plans(Plan({"t": one}), Plan({"t": other}))
    back = compare_plans(Plan({"t": other}), Plan({"t": one}))
    assert (there.compared, there.undecided) == (back.compared, back.undecided)
    for change in there.changes:
        assert change.before != change.after
        assert change.loss > 1


@given(plans(portable=True), machines())
def test_predictions_are_possible_throughputs(plan: TaskPlan, machine: Machine) -> None:
    plan = replace(plan, observations=())
    found = {
        (one.variant, one.lane, one.size, one.cores, one.free_threaded): one.throughput_per_s
        for one in predictions_of(plan, machine)
    }
    costs = {(cost.variant, cost.size): cost for cost in plan.costs}
    for (variant, lane, size, cores, free_threaded), rate in found.items():
        cost = costs[variant, size]
        assert 0 < rate <= cores / cost.wall_s * (1 + 1e-9)
        if free_threaded:
            assert rate >= found[variant, lane, size, cores, False] * (1 - 1e-9)
        if cores == 16:
            assert rate <= found[variant, lane, size, 64, free_threaded] * (1 + 1e-9)


@given(plans(), SIZES, LEVELS, machines())
def test_estimates_are_of_possible_calls(
    plan: TaskPlan, size: float, concurrency: int, machine: Machine
) -> None:
    estimates, _ = estimate_all(plan, size, concurrency, machine, plan.loop_budget_s)
    for one in estimates:
        assert one.throughput_per_s > 0
        assert math.isfinite(one.throughput_per_s)
        assert one.loop_lag_s >= 0
        assert one.spread >= 0
