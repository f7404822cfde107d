"""One decision: what is excluded stays out, the budget rules, and noise never picks a lane."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.builders import (
    LANES,
    exact_observations,
    make_calibration,
    make_cost,
    make_machine,
    make_observation,
    make_plan,
)

from lanewise.errors import LaneUnavailableError, PlanError
from lanewise.model.lane import LANE_NAMES
from lanewise.model.measurement import Contender
from lanewise.plan.choose import Choice, choose, estimate_all
from lanewise.plan.lane_model import Machine
from lanewise.plan.task_plan import TaskPlan


def host(*lanes: str, cores: int = 4, gil_enabled: bool = True) -> Machine:
    known = {lane: LANES.get(lane, LANES["process"]) for lane in lanes or LANES}
    return Machine(make_calibration(lanes=known), cores, gil_enabled)


def decide(
    plan: TaskPlan, concurrency: int = 1, machine: Machine | None = None, **more: Any
) -> Choice:
    more.setdefault("size", plan.sizes[0])
    more.setdefault("loop_budget_s", plan.loop_budget_s)
    return choose(plan, concurrency=concurrency, machine=machine or host(), **more)


def certain(plan: TaskPlan, *concurrencies: int) -> TaskPlan:
    """The same plan with every contender measured as modelled."""
    changes = vars(plan) | {"observations": exact_observations(plan, concurrencies or (1,))}
    return make_plan(
        *plan.costs, **{k: changes[k] for k in TaskPlan.__dataclass_fields__ if k != "costs"}
    )


def test_a_tiny_call_stays_on_the_loop() -> None:
    choice = decide(certain(make_plan(make_cost(1.0, 2e-6))))
    assert choice.contender == Contender("event_loop", "default")
    assert choice.decided


def test_a_long_call_that_holds_the_lock_goes_to_processes() -> None:
    choice = decide(certain(make_plan(make_cost(1.0, 0.05)), 4), 4)
    assert choice.contender == Contender("process", "default")
    assert choice.decided


def test_a_long_call_that_gives_the_lock_up_goes_to_threads() -> None:
    cost = make_cost(
        1.0, 5e-3, gil_held_share=0.01, gil_wait_p99_s=5e-5, args_bytes=10**7, pickle_s=4e-3
    )
    choice = decide(certain(make_plan(cost), 4), 4)
    assert choice.contender == Contender("thread", "default")
    assert choice.decided


def test_without_the_lock_the_same_call_goes_to_threads() -> None:
    plan = certain(make_plan(make_cost(1.0, 0.05)), 4)
    assert decide(plan, 4, host(gil_enabled=False)).contender.lane == "thread"


def test_a_faster_variant_wins() -> None:
    plan = certain(make_plan(make_cost(1.0, 2e-4), make_cost(1.0, 1e-4, variant="native")))
    assert decide(plan).contender == Contender("event_loop", "native")


def test_the_reason_names_winner_rate_and_what_was_beaten() -> None:
    choice = decide(certain(make_plan(make_cost(1.0, 0.05)), 4), 4)
    assert choice.reason.startswith("process/default carries ")
    assert "50 ms a call" in choice.reason
    assert "holds the lock 100%" in choice.reason
    assert choice.estimate.contender == choice.contender


@pytest.mark.parametrize("missing", ["event_loop", "thread", "process"])
def test_a_lane_that_the_host_does_not_have_is_never_chosen_and_its_reason_is_kept(
    missing: str,
) -> None:
    machine = host(*[lane for lane in LANES if lane != missing])
    for wall_s in (1e-6, 1e-3, 1.0):
        choice = decide(make_plan(make_cost(1.0, wall_s)), 4, machine)
        assert choice.contender.lane != missing
        assert missing in dict(choice.excluded)


def test_the_reason_of_the_host_for_a_missing_lane_is_passed_on() -> None:
    assert dict(decide(make_plan()).excluded)["interpreter"] == "needs Python 3.14"


@pytest.mark.parametrize("lane", ["process", "cluster"])
def test_a_call_that_cannot_be_pickled_is_never_sent_away(lane: str) -> None:
    plan = make_plan(make_cost(1.0, 1.0, pickle_s=None), unportable="an argument cannot be pickled")
    choice = decide(plan, 8, host("event_loop", "thread", lane, cores=64))
    assert choice.contender.lane in ("event_loop", "thread")
    assert dict(choice.excluded)[lane] == "an argument cannot be pickled"


@pytest.mark.parametrize("lane", ["event_loop", "thread", "process"])
@pytest.mark.parametrize("wall_s", [1e-6, 1.0])
def test_a_pin_wins_over_speed_and_budget(lane: Any, wall_s: float) -> None:
    choice = decide(make_plan(make_cost(1.0, wall_s), pinned=lane), 8)
    assert choice.contender.lane == lane
    assert {one.contender.lane for one in choice.estimates} == {lane}


@pytest.mark.parametrize("wall_s", [1e-6, 1e-3, 1.0])
@pytest.mark.parametrize("gil_enabled", [True, False])
def test_an_isolated_task_never_runs_in_the_memory_of_its_caller(
    wall_s: float, *, gil_enabled: bool
) -> None:
    choice = decide(
        make_plan(make_cost(1.0, wall_s), isolated=True), 2, host(gil_enabled=gil_enabled)
    )
    assert choice.contender.lane == "process"


@pytest.mark.parametrize(
    "changes",
    [
        {"isolated": True, "pinned": "thread"},
        {"isolated": True, "unportable": "cannot be pickled"},
        {"pinned": "process", "unportable": "cannot be pickled"},
        {"pinned": "cluster"},
    ],
)
def test_where_no_lane_is_left_each_is_told_with_its_reason(changes: dict[str, Any]) -> None:
    with pytest.raises(LaneUnavailableError) as caught:
        decide(make_plan(**changes))
    for lane in LANE_NAMES:
        assert f"{lane}: " in str(caught.value)


def test_a_plan_without_costs_of_the_task_is_told() -> None:
    with pytest.raises((PlanError, LaneUnavailableError)):
        choose(make_plan(costs=()), 1.0, 1, host(), 1e-3)


def test_only_those_that_are_asked_for_compete() -> None:
    thread = Contender("thread", "default")
    choice = decide(make_plan(make_cost(1.0, 1.0)), 8, only=[thread])
    assert choice.contender == thread
    assert len(choice.estimates) == 1


def test_a_lane_that_breaks_the_budget_yields_to_a_slower_one_that_keeps_it() -> None:
    """One caller, 2 ms: the loop is fastest, but it would be away for twice its budget."""
    plan = certain(make_plan(make_cost(1.0, 2e-3)))
    assert decide(plan, loop_budget_s=1.0).contender.lane == "event_loop"
    choice = decide(plan, loop_budget_s=1e-3)
    assert choice.contender.lane == "process"
    assert "event_loop would delay the loop by 2 ms" in choice.reason


def test_a_lag_that_was_observed_counts_where_the_model_expects_none() -> None:
    cost = make_cost(1.0, 0.05, gil_held_share=0.0)
    calm = make_plan(cost, pinned=None)
    harmed = make_plan(cost, observations=[make_observation(size=1.0, loop_lag_s=0.02)])
    assert decide(calm).contender.lane == "thread"
    assert decide(harmed).contender.lane == "process"


def test_where_none_keeps_the_budget_the_least_harm_is_done_and_said() -> None:
    plan = certain(make_plan(make_cost(1.0, 0.1, pickle_s=2e-3)), 4)
    choice = decide(plan, 4)
    assert choice.contender.lane == "process"
    assert choice.reason.startswith("no lane keeps the loop budget of 1 ms")


def test_what_is_too_near_to_tell_apart_goes_to_the_simplest_and_is_called_undecided() -> None:
    cost = make_cost(1.0, 0.02, gil_held_share=0.0)
    seen = [
        make_observation("thread", 1.0, efficiency=1.0, spread=0.4),
        make_observation("process", 1.0, efficiency=1.3, spread=0.4),
    ]
    choice = decide(make_plan(cost, observations=seen))
    assert choice.contender.lane == "thread"
    assert not choice.decided
    assert choice.reason.startswith("undecided: process/default could be better")


@pytest.mark.parametrize(("thread", "process"), [(0.02, 0.4), (0.4, 0.02)])
def test_noise_on_either_side_leaves_it_undecided(thread: float, process: float) -> None:
    cost = make_cost(1.0, 0.02, gil_held_share=0.0)
    seen = [
        make_observation("thread", 1.0, efficiency=1.0, spread=thread),
        make_observation("process", 1.0, efficiency=1.3, spread=process),
    ]
    choice = decide(make_plan(cost, observations=seen))
    assert choice.contender.lane == "thread"
    assert not choice.decided


@pytest.mark.parametrize(
    ("pickle_s", "lane"), [(2e-3, "process"), (8e-3, "process"), (16e-3, "thread")]
)
def test_where_all_break_the_budget_the_faster_wins_only_among_those_of_similar_harm(
    pickle_s: float, lane: str
) -> None:
    """Threads carry 79.9 calls/s and delay the loop by 10 ms nearly always, processes fewer, rarely."""
    cost = make_cost(1.0, 0.05, gil_held_share=0.2, args_bytes=10_000_000, pickle_s=pickle_s)
    choice = decide(certain(make_plan(cost), 4), 4)
    assert choice.contender.lane == lane
    assert "no lane keeps the loop budget" in choice.reason


def test_pickling_once_a_call_harms_less_than_a_thread_that_holds_the_lock_all_the_time() -> None:
    """A list of dictionaries that takes 20 ms to pickle, for a call of 0.3 s in Python."""
    cost = make_cost(1.0, 0.3, args_bytes=2_000_000, pickle_s=0.02)
    for concurrency in (1, 4):
        choice = decide(certain(make_plan(cost), concurrency), concurrency)
        assert choice.contender.lane == "process"
        assert "process delays the loop by 20 ms, " in choice.reason


@pytest.mark.parametrize(("args_bytes", "lane"), [(5_000_000, "thread"), (1_000_000, "process")])
def test_a_process_that_halves_the_throughput_is_not_recommended_for_the_loops_sake(
    args_bytes: int, lane: str
) -> None:
    """A call of 2 ms under the lock, one caller: 5 ms to send are too much, 1 ms is not."""
    choice = decide(certain(make_plan(make_cost(1.0, 2e-3, args_bytes=args_bytes))))
    assert choice.contender.lane == lane
    assert ("more on crossing than it saves" in choice.reason) == (lane == "thread")


def test_the_same_advantage_is_decided_once_the_noise_is_small() -> None:
    cost = make_cost(1.0, 0.02, gil_held_share=0.0)
    seen = [
        make_observation("thread", 1.0, efficiency=1.0, spread=0.05),
        make_observation("process", 1.0, efficiency=1.3, spread=0.05),
    ]
    choice = decide(make_plan(cost, observations=seen))
    assert choice.contender.lane == "process"
    assert choice.decided


@pytest.mark.parametrize(("advantage", "lane"), [(1.05, "thread"), (1.15, "process")])
def test_an_advantage_of_a_few_percent_is_not_worth_a_lane(advantage: float, lane: str) -> None:
    """Without any overhead both lanes carry the same, so the advantage is what was observed."""
    free = {name: type(LANES["thread"])(0.0, 1e-9) for name in ("thread", "process")}
    machine = Machine(make_calibration(lanes=free), 4, True)
    cost = make_cost(1.0, 0.02, gil_held_share=0.0, args_bytes=0, result_bytes=0, pickle_s=0.0)
    seen = [
        make_observation("thread", 1.0, spread=0.001),
        make_observation("process", 1.0, efficiency=advantage, spread=0.001),
    ]
    choice = decide(make_plan(cost, observations=seen), machine=machine)
    assert choice.contender.lane == lane
    assert choice.decided


def test_every_lane_and_variant_is_estimated_once() -> None:
    plan = make_plan(make_cost(1.0), make_cost(1.0, variant="b"))
    estimates, excluded = estimate_all(plan, 1.0, 1, host(), 1e-3)
    assert sorted(str(one.contender) for one in estimates) == sorted(
        f"{lane}/{variant}" for lane in LANES for variant in ("default", "b")
    )
    assert [lane for lane, _ in excluded] == ["interpreter", "cluster"]


def test_of_calls_that_would_take_for_ever_the_shorter_ones_are_chosen():
    plan = make_plan(
        make_cost(1.0, 1e-6),
        make_cost(2.0, 1.0),
        make_cost(1.0, 1e-6, variant="native"),
        make_cost(2.0, 1e-3, variant="native"),
    )
    assert choose(plan, 1e7, 1, make_machine(), 1e-3).contender.variant == "native"


def test_a_lane_that_was_slow_on_a_busy_machine_is_not_dropped_for_one_that_nobody_tried():
    plan = make_plan(
        make_cost(100.0, 0.025), observations=(make_observation("process", 100.0, efficiency=0.1),)
    )
    choice = choose(plan, 100.0, 1, make_machine(), 1e-3)
    assert choice.contender.lane == "process", choice.reason
