"""No lane carries more than physics allows, and what gets worse never helps."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st
from tests.property.strategies import CONCURRENCIES, MEASURED_LANES, costs
from tests.unit.builders import LANES, make_calibration

from lanewise.plan.lane_model import Machine, model_lane
from lanewise.plan.task_plan import CostPoint

SLACK = 1 + 1e-9
LEVELS = st.sampled_from(CONCURRENCIES)
CORES = st.sampled_from([1, 2, 4, 64])
LANE = st.sampled_from(MEASURED_LANES)


HOSTS = st.builds(
    lambda cores, gil: Machine(make_calibration(), cores, gil_enabled=gil), CORES, st.booleans()
)


def machine(cores: int, *, gil_enabled: bool = True) -> Machine:
    return Machine(make_calibration(), cores, gil_enabled)


@given(LANE, costs(), LEVELS, HOSTS)
def test_no_lane_carries_more_than_its_callers_ask_for_or_its_cores_can_do(
    lane: str, cost: CostPoint, concurrency: int, host: Machine
) -> None:
    rate = model_lane(lane, cost, concurrency, host).throughput_per_s  # type: ignore[arg-type]
    assert 0 < rate <= concurrency / cost.wall_s * SLACK
    if cost.cpu_s and lane != "event_loop":
        assert rate <= host.cores / cost.cpu_s * SLACK
    if lane == "process":
        assert rate <= host.cores / cost.wall_s * SLACK
    if lane == "event_loop":
        assert rate <= 1 / cost.wall_s * SLACK


@given(costs(), LEVELS, CORES)
def test_threads_never_hold_the_lock_for_more_than_a_second_a_second(
    cost: CostPoint, concurrency: int, cores: int
) -> None:
    share = 1.0 if cost.gil_held_share is None else cost.gil_held_share
    rate = model_lane("thread", cost, concurrency, machine(cores)).throughput_per_s
    assert rate * share * cost.wall_s <= SLACK


@given(costs(), LEVELS, CORES)
def test_without_the_lock_threads_never_carry_less_and_never_harm_more(
    cost: CostPoint, concurrency: int, cores: int
) -> None:
    locked = model_lane("thread", cost, concurrency, machine(cores))
    free = model_lane("thread", cost, concurrency, machine(cores, gil_enabled=False))
    assert free.throughput_per_s >= locked.throughput_per_s
    assert free.loop_lag_s <= locked.loop_lag_s


@given(LANE, costs(), LEVELS, HOSTS)
def test_more_cores_and_more_callers_never_carry_less(
    lane: str, cost: CostPoint, concurrency: int, host: Machine
) -> None:
    def rate(callers: int, on_cores: int) -> float:
        there = replace(host, cores=on_cores)
        return model_lane(lane, cost, callers, there).throughput_per_s  # type: ignore[arg-type]

    here = rate(concurrency, host.cores)
    assert rate(concurrency, host.cores * 2) >= here
    assert rate(concurrency * 2, host.cores) >= here


@given(LANE, costs(), LEVELS, CORES, st.floats(1.01, 100))
def test_a_longer_call_is_carried_less_often(
    lane: str, cost: CostPoint, concurrency: int, cores: int, factor: float
) -> None:
    longer = replace(cost, wall_s=cost.wall_s * factor, cpu_s=cost.cpu_s * factor)
    short, long = (
        model_lane(lane, one, concurrency, machine(cores)).throughput_per_s  # type: ignore[arg-type]
        for one in (cost, longer)
    )
    assert long <= short * SLACK


@given(costs(), LEVELS, CORES)
def test_processes_are_never_better_than_the_loop_where_pickling_costs_more_than_the_call(
    cost: CostPoint, concurrency: int, cores: int
) -> None:
    assume(cost.pickle_s is not None)
    dear = replace(cost, pickle_s=cost.wall_s + LANES["event_loop"].per_call_s)
    process = model_lane("process", dear, concurrency, machine(cores))
    loop = model_lane("event_loop", dear, concurrency, machine(cores))
    assert process.throughput_per_s <= loop.throughput_per_s * SLACK


@given(costs(), LEVELS, CORES, st.floats(1.0, 1e6), st.integers(0, 10**9))
def test_more_to_send_never_makes_processes_better(
    cost: CostPoint, concurrency: int, cores: int, factor: float, more_bytes: int
) -> None:
    heavier = replace(
        cost,
        pickle_s=(cost.pickle_s or 0.0) * factor,
        args_bytes=(cost.args_bytes or 0) + more_bytes,
    )
    light, heavy = (
        model_lane("process", one, concurrency, machine(cores)) for one in (cost, heavier)
    )
    assert heavy.throughput_per_s <= light.throughput_per_s * SLACK
    assert heavy.loop_lag_s >= light.loop_lag_s


@given(costs(), LEVELS, HOSTS)
def test_the_loop_lane_is_always_the_one_that_harms_the_loop_most_but_for_pickling(
    cost: CostPoint, concurrency: int, host: Machine
) -> None:
    loop = model_lane("event_loop", cost, concurrency, host).loop_lag_s
    assert model_lane("thread", cost, concurrency, host).loop_lag_s <= loop * SLACK
    assert model_lane("process", cost, concurrency, host).loop_lag_s <= (cost.pickle_s or 0.0)
