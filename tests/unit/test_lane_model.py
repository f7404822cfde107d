"""The bounds of each lane, worked out by hand. Properties over many costs are in tests/property."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.builders import make_calibration, make_cost

from lanewise.model.facts import LaneCost
from lanewise.plan.lane_model import SWITCH_INTERVAL_S, Machine, Modelled, model_lane

FREE = LaneCost(0.0, 1e-9)


def machine(cores: int = 4, *, gil_enabled: bool = True, **lanes: LaneCost) -> Machine:
    known = {"event_loop": FREE, "thread": FREE, "process": FREE, **lanes}
    calibration = make_calibration(lanes=known, transfer_bytes_per_s=1e9)
    return Machine(calibration, cores, gil_enabled)


def modelled(lane: Any, cost: Any, concurrency: int = 1, host: Machine | None = None) -> Modelled:
    return model_lane(lane, cost, concurrency, host or machine())


NOTHING_TO_SEND = {"args_bytes": 0, "result_bytes": 0, "pickle_s": 0.0}


@pytest.mark.parametrize(
    ("lane", "held", "concurrency", "cores", "per_s"),
    [
        ("event_loop", 1.0, 1, 4, 100),
        ("event_loop", 1.0, 8, 4, 100),
        ("event_loop", 0.0, 8, 4, 100),
        ("thread", 1.0, 1, 4, 100),
        ("thread", 1.0, 8, 4, 100),
        ("thread", 0.5, 8, 4, 200),
        ("thread", 0.5, 2, 4, 200),
        ("thread", 0.1, 3, 4, 300),
        ("thread", 0.1, 8, 4, 400),
        ("thread", 0.1, 8, 2, 200),
        ("process", 1.0, 1, 4, 100),
        ("process", 1.0, 3, 4, 300),
        ("process", 1.0, 8, 4, 400),
    ],
)
def test_ten_milliseconds_of_work(
    lane: str, held: float, concurrency: int, cores: int, per_s: float
) -> None:
    cost = make_cost(1.0, 0.01, gil_held_share=held, **NOTHING_TO_SEND)
    found = modelled(lane, cost, concurrency, machine(cores))
    assert found.throughput_per_s == pytest.approx(per_s, rel=1e-3)


@pytest.mark.parametrize(
    ("held", "concurrency", "words"), [(1.0, 8, "lock"), (0.1, 8, "cores"), (0.1, 1, "callers")]
)
def test_what_limits_threads_is_said(held: float, concurrency: int, words: str) -> None:
    assert (
        words
        in modelled("thread", make_cost(1.0, 0.01, gil_held_share=held), concurrency).bottleneck
    )


def test_a_call_that_sleeps_needs_no_core_on_threads() -> None:
    cost = make_cost(1.0, 0.01, cpu_s=0.0, gil_held_share=0.0)
    assert modelled("thread", cost, 64).throughput_per_s == pytest.approx(6400, rel=0.01)


def test_a_call_that_keeps_several_cores_busy_leaves_less_to_others() -> None:
    cost = make_cost(1.0, 0.01, cpu_s=0.04, gil_held_share=0.0)
    assert modelled("thread", cost, 8).throughput_per_s == pytest.approx(100, rel=0.01)


def test_an_unknown_share_is_taken_as_held() -> None:
    known, unknown = (make_cost(1.0, 0.01, gil_held_share=share) for share in (1.0, None))
    assert modelled("thread", known, 8) == modelled("thread", unknown, 8)


def test_without_the_lock_threads_use_all_cores_and_do_not_delay_the_loop() -> None:
    found = modelled("thread", make_cost(1.0, 0.01), 8, machine(gil_enabled=False))
    assert found.throughput_per_s == pytest.approx(400, rel=1e-3)
    assert found.loop_lag_s == 0


@pytest.mark.parametrize("lane", ["thread", "process"])
def test_dispatch_delays_a_single_caller(lane: str) -> None:
    cost = make_cost(1.0, 0.01, **NOTHING_TO_SEND)
    host = machine(**{lane: LaneCost(dispatch_s=0.01, per_call_s=1e-9)})
    assert modelled(lane, cost, 1, host).throughput_per_s == pytest.approx(50, rel=1e-3)


@pytest.mark.parametrize("lane", ["thread", "process"])
def test_dispatch_bounds_how_many_calls_a_lane_can_carry(lane: str) -> None:
    cost = make_cost(1.0, 1e-6, gil_held_share=0.0, **NOTHING_TO_SEND)
    host = machine(**{lane: LaneCost(dispatch_s=0.0, per_call_s=1e-3)})
    assert modelled(lane, cost, 1000, host).throughput_per_s <= 1001


def test_pickling_on_the_loops_side_bounds_the_processes() -> None:
    cost = make_cost(1.0, 0.01, args_bytes=0, result_bytes=0, pickle_s=0.02)
    found = modelled("process", cost, 64, machine(cores=64))
    assert found.throughput_per_s == pytest.approx(50, rel=1e-3)
    assert "pickling" in found.bottleneck
    assert found.loop_lag_s == pytest.approx(0.02)


def test_cores_work_for_pickling_on_both_sides_too() -> None:
    """10 ms of work and twice 5 ms of pickling: two cores do 100 calls a second."""
    cost = make_cost(1.0, 0.01, args_bytes=0, result_bytes=0, pickle_s=0.005)
    found = modelled("process", cost, 64, machine(cores=2))
    assert found.throughput_per_s == pytest.approx(100, rel=1e-3)
    assert found.bottleneck == "cores"


def test_a_call_that_sleeps_still_occupies_a_worker_process() -> None:
    cost = make_cost(1.0, 0.01, cpu_s=0.0, **NOTHING_TO_SEND)
    found = modelled("process", cost, 64, machine(cores=4))
    assert found.throughput_per_s == pytest.approx(400, rel=1e-3)
    assert found.bottleneck == "worker processes"


def test_bytes_take_their_time_to_cross() -> None:
    cost = make_cost(1.0, 1e-3, args_bytes=6_000_000, result_bytes=3_000_000, pickle_s=0.0)
    assert modelled("process", cost).throughput_per_s == pytest.approx(100, rel=1e-3)


@pytest.mark.parametrize(("concurrency", "lag_s"), [(1, 0.003), (2, 0.006), (5, 0.006)])
def test_others_wait_for_at_most_two_calls_of_the_loops_own_lane(
    concurrency: int, lag_s: float
) -> None:
    assert modelled("event_loop", make_cost(1.0, 0.003), concurrency).loop_lag_s == pytest.approx(
        lag_s
    )


@pytest.mark.parametrize(
    ("wall_s", "wait_s", "concurrency", "lag_s"),
    [
        (0.002, None, 1, 0.002),
        (0.002, 0.0005, 1, 0.0005),
        (0.002, 0.0005, 8, 0.001),
        (0.5, None, 1, SWITCH_INTERVAL_S),
        (0.5, 0.3, 8, 2 * SWITCH_INTERVAL_S),
    ],
)
def test_the_loop_waits_for_the_holds_before_it_and_at_most_a_switch_interval_for_each(
    wall_s: float, wait_s: float | None, concurrency: int, lag_s: float
) -> None:
    cost = make_cost(1.0, wall_s, gil_wait_p99_s=wait_s)
    assert modelled("thread", cost, concurrency).loop_lag_s == pytest.approx(lag_s)


@pytest.mark.parametrize("lane", ["thread", "process", "interpreter"])
def test_a_lane_that_was_not_calibrated_is_not_guessed(lane: str) -> None:
    host = Machine(make_calibration(lanes={}), 4, True)
    with pytest.raises(KeyError, match=lane):
        modelled(lane, make_cost(), 1, host)


def test_interpreters_compute_side_by_side_and_have_a_speed_of_their_own_for_bytes() -> None:
    own = LaneCost(0.0, 1e-9, transfer_bytes_per_s=1e10)
    host = machine(process=FREE, interpreter=own)
    cost = make_cost(1.0, 0.01, gil_held_share=1.0, **NOTHING_TO_SEND)
    assert modelled("interpreter", cost, 8, host).throughput_per_s == pytest.approx(400, rel=1e-3)
    large = make_cost(1.0, 0.01, args_bytes=100_000_000, result_bytes=0, pickle_s=0.0)
    apart = {lane: modelled(lane, large, 1, host) for lane in ("process", "interpreter")}
    assert apart["process"].throughput_per_s == pytest.approx(1 / 0.11)
    assert apart["interpreter"].throughput_per_s == pytest.approx(1 / 0.02)
    assert apart["interpreter"].loop_lag_s == 0.0


def test_what_limits_interpreters_is_said() -> None:
    host = machine(interpreter=FREE)
    cost = make_cost(1.0, 0.01, cpu_s=0.001, gil_held_share=1.0, **NOTHING_TO_SEND)
    assert modelled("interpreter", cost, 8, host).bottleneck == "interpreters"
