"""What a plan says and what was seen, put together."""

import pytest
from tests.unit.builders import make_calibration, make_cost, make_observation, make_plan

from lanewise.model.lane import CallReport
from lanewise.model.measurement import Contender
from lanewise.plan.lane_model import Machine
from lanewise.runtime.learning import LearnedTask
from lanewise.runtime.seen import LATENCY_CALLS

CORES = 2


def planned_task(*observations):
    planned = make_plan(make_cost(8.0, 0.01), observations=observations)
    return LearnedTask("t", planned, isolated=False, size_unit="bytes")


def plan_of(known):
    return known.plan(Machine(known.planned.calibration, CORES, True), 0.001)


def test_how_lanes_did_corrects_the_model_and_keeps_the_harm_that_was_measured():
    known = planned_task(make_observation("thread", 8.0, concurrency=1, loop_lag_s=0.004))
    seen = known.seen(8.0)
    for _ in range(LATENCY_CALLS):
        seen.stayed("thread", 1, 0.02)
    (row,) = plan_of(known).observations
    assert row.efficiency < 0.6
    assert row.loop_lag_s == pytest.approx(0.004)


def test_a_plan_stands_as_it_is_while_nothing_was_seen_to_differ():
    known = planned_task()
    known.seen(8.0).ran("process", CallReport(run_s=0.01), 1)
    assert plan_of(known) is known.planned


def test_a_cost_that_changed_takes_the_planned_ones_place():
    known = planned_task()
    seen = known.seen(8.0)
    for _ in range(20):
        seen.ran("process", CallReport(run_s=0.1), 1)
    (cost,) = plan_of(known).costs
    assert cost.wall_s == pytest.approx(0.1, rel=0.2)


def test_what_cannot_cross_three_times_is_not_tried_again():
    known = planned_task()
    for _ in range(2):
        known.could_not_cross("a lock")
    known.crossed()
    for _ in range(3):
        assert known.unportable is None
        known.could_not_cross("a lock")
    assert plan_of(known).unportable == "a lock"


def test_what_an_interpreter_refuses_three_times_is_refused_there_alone():
    known = planned_task()
    for _ in range(2):
        known.could_not_enter("default")
    known.crossed("interpreter")
    for _ in range(2):
        known.could_not_enter("default")
    assert known.failing == frozenset()
    known.could_not_enter("default")
    assert known.failing == {"interpreter/default"}
    assert known.unportable is None
    assert plan_of(known).failing == ("interpreter/default",)


def test_what_a_lane_adds_to_short_calls_is_little_to_long_ones():
    known = LearnedTask("t", None, isolated=False, size_unit="declared")
    for size, run_s in ((10.0, 0.0001), (10_000.0, 0.1)):
        seen = known.seen(size)
        for _ in range(2):
            seen.watched_call(
                CallReport(watch=True, run_s=run_s, cpu_s=run_s, samples=100, held_share=1.0)
            )
    for _ in range(LATENCY_CALLS):
        known.seen(10.0).stayed("process", 1, 0.0011)  # a millisecond for nothing
    machine = Machine(make_calibration(), CORES, True)
    plan = known.plan(machine, 0.001)
    contender = Contender("process", "default")
    assert plan.observation_at(contender, 10.0, 1).efficiency < 0.4
    assert 0.95 < plan.observation_at(contender, 10_000.0, 1).efficiency < 1.0
