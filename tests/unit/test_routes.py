"""Routes and break-even points against sizes that are worked out by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.builders import exact_observations, make_calibration, make_cost, make_plan

from lanewise.model.facts import LaneCost
from lanewise.model.measurement import Contender
from lanewise.plan.choose import choose
from lanewise.plan.lane_model import Machine
from lanewise.plan.routes import boundaries, crossing, routes_of, stretches, without_reasons
from lanewise.plan.task_plan import TaskPlan

LADDER = (10.0, 100.0, 1000.0, 10_000.0, 100_000.0)


def machine(cores: int = 64, **lanes: LaneCost) -> Machine:
    return Machine(make_calibration(lanes=lanes), cores, True)


def ladder_plan(
    second_per_size: float = 1e-6, sizes: tuple[float, ...] = LADDER, **changes: Any
) -> TaskPlan:
    """A call that takes ``second_per_size`` for each unit of its size and has nothing to send."""
    nothing = {"args_bytes": 0, "result_bytes": 0, "pickle_s": 0.0}
    costs = [make_cost(size, second_per_size * size, **nothing) for size in sizes]
    return make_plan(*costs, **changes)


def without_noise(plan: TaskPlan, lanes: Machine, *levels: int) -> TaskPlan:
    measured = make_plan(*plan.costs, calibration=lanes.calibration)
    return make_plan(*plan.costs, observations=exact_observations(measured, levels))


def test_the_loop_budget_is_broken_where_the_call_becomes_longer_than_it() -> None:
    """1 µs a unit and a budget of 3 ms: from size 3000 on the loop is away for too long."""
    host = machine(event_loop=LaneCost(0, 1e-9), process=LaneCost(1e-3, 1e-4))
    plan = without_noise(ladder_plan(), host, 1)
    ((at, left, right),) = boundaries(plan, 1, host, 3e-3)
    assert at == pytest.approx(3000, rel=0.006)
    assert (left.lane, right.lane) == ("event_loop", "process")


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_two_or_more_callers_break_the_budget_at_half_the_size(concurrency: int) -> None:
    """On one core nothing carries more than the loop, so only the budget of 8 ms ends its stretch."""
    host = machine(cores=1, event_loop=LaneCost(0, 1e-9), process=LaneCost(1e-6, 1e-6))
    plan = without_noise(ladder_plan(), host, concurrency)
    ((at, left, _),) = boundaries(plan, concurrency, host, 8e-3)
    assert left.lane == "event_loop"
    assert at == pytest.approx(8000 / min(concurrency, 2), rel=0.006)


def test_processes_take_over_where_they_carry_seven_percent_more() -> None:
    """Against threads that hold the lock, two callers, overheads of 100 and 500 µs.

    Threads carry 1 / (w + 100 µs), processes 2 / (w + 500 µs): the ratio is exp(0.07) at
    w = (500 - 2 * 100 / 1.0725) / (2 / 1.0725 - 1) µs = 361.8 µs, at 1 µs a unit.
    """
    host = machine(thread=LaneCost(1e-4, 1e-4), process=LaneCost(5e-4, 1e-9))
    plan = without_noise(ladder_plan(), host, 2)
    ((at, left, right),) = boundaries(plan, 2, host, 1.0)
    assert at == pytest.approx(361.8, rel=0.01)
    assert (left.lane, right.lane) == ("thread", "process")


def test_routes_start_at_zero_and_end_without_bound() -> None:
    host = machine(event_loop=LaneCost(0, 1e-9), process=LaneCost(1e-3, 1e-4))
    routes = routes_of(without_noise(ladder_plan(), host, 1), host, 3e-3)
    assert [(route.min_size == 0, route.max_size is None) for route in routes] == [
        (True, False),
        (False, True),
    ]
    assert routes[0].max_size == routes[1].min_size
    assert [route.contender.lane for route in routes] == ["event_loop", "process"]
    assert all(route.reason for route in routes)
    assert all(route.decided for route in routes)


def test_every_concurrency_of_the_plan_has_its_routes() -> None:
    host = machine(event_loop=LaneCost(0, 1e-9), process=LaneCost(1e-3, 1e-4))
    routes = routes_of(without_noise(ladder_plan(), host, 1, 4, 16), host, 3e-3)
    assert [level for level, _ in itertools.groupby(route.concurrency for route in routes)] == [
        1,
        4,
        16,
    ]


def test_one_winner_is_one_route() -> None:
    host = machine(event_loop=LaneCost(0, 1e-9))
    (route,) = routes_of(ladder_plan(), host, 1e-3)
    assert (route.min_size, route.max_size, route.lane) == (0, None, "event_loop")


def test_one_measured_size_is_one_route() -> None:
    host = machine(event_loop=LaneCost(0, 1e-9), process=LaneCost(1e-3, 1e-4))
    (route,) = routes_of(ladder_plan(sizes=(500.0,)), host, 1e-3)
    assert (route.min_size, route.max_size) == (0, None)


def test_a_ladder_from_zero_has_its_routes() -> None:
    host = machine(event_loop=LaneCost(0, 1e-9), process=LaneCost(1e-3, 1e-4))
    plan = make_plan(make_cost(0.0, 1e-6), make_cost(1000.0, 1e-2))
    routes = routes_of(plan, host, 1e-3)
    assert [route.lane for route in routes] == ["event_loop", "process"]
    assert 0 < (routes[0].max_size or 0) <= 1000


def test_a_native_variant_with_a_start_up_cost_takes_over_where_it_is_worth_it() -> None:
    """1 µs a unit against 100 µs + 0.1 µs a unit, on the loop: 7 % better from size 120 on.

    exp(0.07) * (100 + 0.1 s) = s, so s = 107.25 / (1 - 0.10725) = 120.1.
    """
    sizes = tuple(10.0 * 1.1**step for step in range(60))
    costs = [make_cost(size, 1e-6 * size) for size in sizes]
    costs += [make_cost(size, 1e-4 + 1e-7 * size, variant="native") for size in sizes]
    host = machine(event_loop=LaneCost(0, 1e-12))
    plan = without_noise(make_plan(*costs), host, 1)
    ((at, left, right),) = boundaries(plan, 1, host, 10.0)
    assert (left.variant, right.variant) == ("default", "native")
    assert at == pytest.approx(120.1, rel=0.01)


def test_the_boundary_is_where_the_choice_changes() -> None:
    host = machine(
        event_loop=LaneCost(0, 1e-9), thread=LaneCost(5e-5, 2e-5), process=LaneCost(3e-4, 1e-4)
    )
    plan = without_noise(ladder_plan(), host, 2)
    found = boundaries(plan, 2, host, 2e-3)
    assert found
    for at, left, right in found:
        assert choose(plan, at * 1.001, 2, host, 2e-3).contender == right
        assert choose(plan, at / 1.006, 2, host, 2e-3).contender == left


def test_a_crossing_is_looked_for_only_between_the_two() -> None:
    host = machine(event_loop=LaneCost(0, 1e-9), process=LaneCost(1e-3, 1e-4))
    plan = without_noise(ladder_plan(), host, 1)
    pair = (Contender("event_loop", "default"), Contender("process", "default"))
    assert crossing(plan, 1, host, 3e-3, pair, (100.0, 10_000.0)) == pytest.approx(3000, rel=0.006)
    assert crossing(plan, 1, host, 3e-3, pair, (5000.0, 10_000.0)) == 5000.0
    assert crossing(plan, 1, host, 3e-3, pair, (10.0, 2000.0)) == 2000.0


def test_a_stretch_too_narrow_to_be_real_is_no_region() -> None:
    """At 1000 alone the thread lane was seen to be twice as good: neighbours say otherwise."""
    host = machine(event_loop=LaneCost(0, 1e-9), thread=LaneCost(0, 1e-9))
    sizes = (100.0, 950.0, 1000.0, 1050.0, 10_000.0)
    plan = ladder_plan(sizes=sizes)
    seen = [
        replace(one, efficiency=2.0) if one.lane == "thread" and one.size == 1000.0 else one
        for one in exact_observations(make_plan(*plan.costs, calibration=host.calibration), (1,))
    ]
    noisy = make_plan(*plan.costs, observations=tuple(seen))
    assert choose(noisy, 1000.0, 1, host, 1.0).contender.lane == "thread"
    assert [one.choice.contender.lane for one in stretches(noisy, 1, host, 1.0)] == ["event_loop"]


def test_bare_decisions_have_no_reasons() -> None:
    host = machine(event_loop=LaneCost(0, 1e-9))
    routes = routes_of(ladder_plan(), host, 1e-3)
    (bare,) = without_reasons(routes)
    assert bare.reason == ""
    assert (bare.lane, bare.min_size) == (routes[0].lane, routes[0].min_size)
