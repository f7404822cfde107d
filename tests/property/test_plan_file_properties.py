"""A plan file loses nothing but digits that nobody reads, and leaves other tasks alone."""

from __future__ import annotations

import contextlib
import re
import tomllib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.strategies import plans

from lanewise.errors import LaneUnavailableError, PlanError
from lanewise.plan.choose import choose
from lanewise.plan.compare import machine_for
from lanewise.plan.document import Plan
from lanewise.plan.task_plan import CostPoint, Observation, TaskPlan
from lanewise.plan.write import to_toml

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
EXACT = (
    "name",
    "size_unit",
    "usable_cores",
    "gil_enabled",
    "loop_budget_s",
    "unportable",
    "isolated",
    "pinned",
    "python",
    "target",
)


def near(value: Any, expected: Any, digits: int) -> bool:
    if value is None or expected is None or isinstance(value, str):
        return value == expected
    return value == pytest.approx(expected, rel=0.51 * 10.0 ** (1 - digits), abs=0)


def assert_same_cost(found: CostPoint, written: CostPoint) -> None:
    assert (found.variant, found.size, found.call_size) == (
        written.variant,
        written.size,
        written.call_size,
    )
    assert (found.args_bytes, found.result_bytes) == (written.args_bytes, written.result_bytes)
    assert near(found.wall_s, written.wall_s, 3)
    assert near(found.cpu_s, written.cpu_s, 3)
    assert near(found.pickle_s, written.pickle_s, 2)
    assert near(found.gil_wait_p99_s, written.gil_wait_p99_s, 2)
    assert near(found.gil_handovers_per_s, written.gil_handovers_per_s, 2)
    if written.gil_held_share is None:
        assert found.gil_held_share is None
    else:
        assert found.gil_held_share == pytest.approx(written.gil_held_share, abs=0.00501)


def cell(one: Observation) -> tuple[Any, ...]:
    return (one.variant, one.lane, one.concurrency, one.size)


def assert_same_observations(found: TaskPlan, written: TaskPlan) -> None:
    pairs = zip(
        sorted(found.observations, key=cell), sorted(written.observations, key=cell), strict=True
    )
    for one, other in pairs:
        assert cell(one) == cell(other)
        assert near(one.efficiency, other.efficiency, 3)
        assert near(one.spread, other.spread, 2)
        assert near(one.loop_lag_s, other.loop_lag_s, 2)


@settings(max_examples=30)
@given(plans(), NAMES, NAMES)
def test_a_plan_that_was_written_says_the_same(plan: TaskPlan, name: str, target: str) -> None:
    plan = replace(plan, name=name, target=target, python=target)
    (found,) = Plan.parse(to_toml(Plan({name: plan}))).tasks.values()
    for field in EXACT:
        assert getattr(found, field) == getattr(plan, field), field
    assert len(found.costs) == len(plan.costs)
    for one, other in zip(found.costs, plan.costs, strict=True):
        assert_same_cost(one, other)
    assert_same_observations(found, plan)
    assert found.calibration.lanes.keys() == plan.calibration.lanes.keys()
    for lane, cost in plan.calibration.lanes.items():
        assert near(found.calibration.lanes[lane].dispatch_s, cost.dispatch_s, 3)
        assert near(found.calibration.lanes[lane].per_call_s, cost.per_call_s, 3)


@settings(max_examples=20)
@given(plans())
def test_what_was_read_is_written_the_same(plan: TaskPlan) -> None:
    text = to_toml(Plan({plan.name: plan}))
    assert to_toml(Plan.parse(text)) == text
    assert to_toml(Plan.parse(text), text) == text


@settings(max_examples=20)
@given(plans(), plans(), plans())
def test_writing_one_task_leaves_the_others(one: TaskPlan, other: TaskPlan, new: TaskPlan) -> None:
    calibration = one.calibration
    other = replace(other, name="shop:other", calibration=calibration)
    new = replace(new, calibration=calibration)
    before = to_toml(Plan({one.name: one, other.name: other}))
    after = to_toml(Plan({new.name: new}), before + "\n# the end\n")
    assert tomllib.loads(after)["task"]["shop:other"] == tomllib.loads(before)["task"]["shop:other"]
    assert after.count("# the end") == 1
    fresh, kept = Plan.parse(to_toml(Plan({new.name: new}))), Plan.parse(after)
    pin = {"pinned": None}
    assert replace(kept.tasks[new.name], **pin) == replace(fresh.tasks[new.name], **pin)


@given(plans(), st.data())
def test_a_file_that_was_cut_off_or_bitten_is_read_or_refused_and_nothing_else(
    plan: TaskPlan, data: st.DataObject
) -> None:
    text = to_toml(Plan({plan.name: plan}))
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 40)))
    bitten = (
        text[:start] + data.draw(st.sampled_from(["", "0", '"', "=", "[", "]", "\n"])) + text[stop:]
    )
    try:
        Plan.parse(bitten)
    except PlanError as error:
        assert len(str(error)) > 20  # noqa: PT017 - because: either outcome is right


HOSTILE = ["0", "-1", "nan", "inf", "-inf", "1e300", "1e-300", '"x"', "true", "[]", "{}", "2"]


@settings(max_examples=150)
@given(plans(most_sizes=2), st.sampled_from(HOSTILE), st.data())
def test_whatever_number_is_mistyped_the_plan_is_refused_or_decides(
    plan: TaskPlan, hostile: str, data: st.DataObject
) -> None:
    """A service must hear of it when it starts, and not at some later call."""
    text = to_toml(Plan({plan.name: plan}))
    numbers = list(re.finditer(r"(?<== )[0-9][0-9.e-]*|(?<=[\[ ])[0-9][0-9.e-]*(?=[,\]])", text))
    spot = data.draw(st.sampled_from(numbers))
    try:
        read = Plan.parse(text[: spot.start()] + hostile + text[spot.end() :])
    except PlanError:
        return
    for task in read.tasks.values():
        machine = machine_for(task)
        for size in (*task.sizes, task.sizes[-1] * 50):
            with contextlib.suppress(LaneUnavailableError):
                choice = choose(task, task.size_of_call(size), 3, machine, task.loop_budget_s)
                assert choice.reason
