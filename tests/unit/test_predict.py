"""What other machines would carry."""

from __future__ import annotations

import itertools

import pytest
from tests.unit.builders import make_cost, make_machine, make_plan

from lanewise.plan.predict import PREDICTED_CORES, predictions_of


def predicted(**changes: object) -> dict[tuple[str, int, bool], float]:
    plan = make_plan(make_cost(1.0, 0.01, args_bytes=0, result_bytes=0, pickle_s=0.0, **changes))
    return {
        (one.lane, one.cores, one.free_threaded): one.throughput_per_s
        for one in predictions_of(plan, make_machine())
    }


def test_every_lane_is_predicted_for_every_number_of_cores_and_both_builds() -> None:
    found = predicted()
    lanes = ("event_loop", "thread", "process")
    assert set(found) == set(itertools.product(lanes, PREDICTED_CORES, (False, True)))
    assert {16, 64} <= set(PREDICTED_CORES)


def test_every_size_is_predicted() -> None:
    plan = make_plan(make_cost(1.0), make_cost(50.0))
    assert {one.size for one in predictions_of(plan, make_machine())} == {1.0, 50.0}


@pytest.mark.parametrize("cores", PREDICTED_CORES)
def test_a_call_that_holds_the_lock_gains_cores_only_without_it(cores: int) -> None:
    """10 ms a call: 100 calls/s for one core's worth."""
    found = predicted()
    assert found["thread", cores, False] == pytest.approx(100, rel=0.02)
    assert found["thread", cores, True] == pytest.approx(100 * cores, rel=0.02)


@pytest.mark.parametrize("cores", PREDICTED_CORES)
def test_processes_gain_cores_with_and_without_the_lock(cores: int) -> None:
    found = predicted()
    assert found["process", cores, False] == found["process", cores, True]
    assert found["process", cores, False] == pytest.approx(100 * cores, rel=0.05)


@pytest.mark.parametrize(("held", "ceiling"), [(0.05, 2000), (0.2, 500), (0.5, 200)])
def test_threads_rise_to_one_over_the_time_under_the_lock(held: float, ceiling: float) -> None:
    found = predicted(gil_held_share=held)
    rates = [found["thread", cores, False] for cores in sorted(PREDICTED_CORES)]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(ceiling, rel=0.05)


def test_the_loop_runs_one_call_at_a_time_everywhere() -> None:
    rates = {rate for (lane, _, _), rate in predicted().items() if lane == "event_loop"}
    assert len(rates) == 1


def test_each_prediction_states_what_it_rests_on() -> None:
    for one in predictions_of(make_plan(), make_machine()):
        assert "limited by" in one.assumption
        assert ("share no hot object" in one.assumption) == (
            one.free_threaded and one.lane == "thread"
        )
