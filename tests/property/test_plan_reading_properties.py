"""Reading a plan between its points."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.property.strategies import between, plans
from tests.unit.builders import make_cost, make_plan

from lanewise.model.measurement import Contender
from lanewise.plan.task_plan import TaskPlan


@given(plans())
def test_the_curve_passes_through_every_point(plan: TaskPlan) -> None:
    for cost in plan.costs:
        assert plan.cost_at(cost.variant, cost.size) == cost


@given(plans(), st.floats(0, 1))
def test_between_two_points_every_value_lies_between_theirs(plan: TaskPlan, share: float) -> None:
    for variant in plan.variants:
        points = [cost for cost in plan.costs if cost.variant == variant]
        for low, high in itertools.pairwise(points):
            found = plan.cost_at(variant, low.size * (high.size / low.size) ** share)
            for name in ("wall_s", "cpu_s", "gil_held_share", "pickle_s", "args_bytes"):
                ends, value = (getattr(low, name), getattr(high, name)), getattr(found, name)
                if None in ends:
                    # At the very end of the line the point itself is read.
                    assert value in (None, *ends)
                else:
                    assert min(ends) * 0.999999 <= value <= max(ends) * 1.000001 + 1e-300


@given(
    st.lists(between(1e-6, 10), min_size=2, max_size=6, unique=True),
    st.lists(st.floats(1, 1e6), min_size=2, max_size=30),
)
def test_where_the_points_rise_the_whole_curve_rises(
    walls: list[float], looks: list[float]
) -> None:
    plan = make_plan(*[make_cost(10.0**at, wall) for at, wall in enumerate(sorted(walls))])
    found = [plan.cost_at("default", size).wall_s for size in sorted(looks)]
    assert all(low <= high * 1.000001 for low, high in itertools.pairwise(found))


@given(between(1e-9, 1e-3), st.floats(-1, 3), between(0.1, 1e7))
def test_a_power_law_is_met_everywhere_above_its_first_point(
    factor: float, power: float, size: float
) -> None:
    plan = make_plan(*[make_cost(at, factor * at**power) for at in (0.1, 7.0, 800.0)])
    assert plan.cost_at("default", size).wall_s == pytest.approx(factor * size**power, rel=1e-6)


@given(plans(), between(0.01, 1e8))
def test_a_cost_anywhere_is_one_that_a_call_can_have(plan: TaskPlan, size: float) -> None:
    for variant in plan.variants:
        cost = plan.cost_at(variant, size)
        assert cost.wall_s > 0
        assert cost.cpu_s >= 0
        assert cost.gil_held_share is None or 0 <= cost.gil_held_share <= 1
        assert cost.pickle_s is None or cost.pickle_s >= 0


@given(plans(), between(0.01, 1e8), st.sampled_from([1, 3, 8, 100]))
def test_an_observation_anywhere_lies_within_those_of_the_contender(
    plan: TaskPlan, size: float, concurrency: int
) -> None:
    for lane in ("event_loop", "thread", "process"):
        contender = Contender(lane, "default")  # type: ignore[arg-type]
        rows = [seen for seen in plan.observations if seen.contender == contender]
        found = plan.observation_at(contender, size, concurrency)
        if not rows:
            assert found is None
            continue
        assert found is not None
        for name in ("efficiency", "spread", "loop_lag_s"):
            values = [getattr(row, name) for row in rows]
            assert min(values) * 0.999999 <= getattr(found, name) <= max(values) * 1.000001
        assert found.concurrency in {row.concurrency for row in rows}


@given(
    st.lists(between(1, 1e6), min_size=2, max_size=6, unique_by=lambda size: round(size, 3)),
    between(2, 100),
    st.floats(0.5, 2),
)
def test_sizes_of_calls_at_the_measured_points_are_those_of_the_ladder(
    sizes: list[float], bytes_a_row: float, power: float
) -> None:
    sizes = sorted(round(size, 3) for size in sizes)
    plan = make_plan(*[make_cost(size, call_size=bytes_a_row * size**power) for size in sizes])
    for size in sizes:
        assert plan.size_of_call(bytes_a_row * size**power) == pytest.approx(size, rel=1e-6)
    found = [plan.size_of_call(10.0**at) for at in range(9)]
    assert all(low <= high * 1.000001 for low, high in itertools.pairwise(found))
