"""Rounds of measurements: busy ones are left out, few ones are trusted little."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.unit.builders import make_cost, make_machine

from lanewise.measuring.gil_sampler import HeldShare
from lanewise.measuring.samples import CostRound, LoadRound, Samples
from lanewise.model.measurement import Contender

THREAD = Contender("thread", "default")
PREPARED = {
    "call_size": 80.0,
    "first_call_s": 0.5,
    "args_bytes": 10,
    "result_bytes": 20,
    "pickle_s": 1e-6,
}


def cost_round(wall_s: float, **changes: Any) -> CostRound:
    values: dict[str, Any] = {
        "wall_s": wall_s,
        "wall_low_s": wall_s * 0.9,
        "wall_high_s": wall_s * 1.1,
        "cpu_s": wall_s / 2,
        "run_queue_s": 0.0,
        "blocked_s": 0.0,
        "busy_share": 0.0,
        "held": None,
    }
    return CostRound(**{**values, **changes})


def load_round(throughput_per_s: float, lag_s: float = 0.0) -> LoadRound:
    return LoadRound(throughput_per_s, [1 / throughput_per_s], lag_s, calls=10)


def held(share: float, observed_s: float, **changes: Any) -> HeldShare:
    values: dict[str, Any] = {
        "share": share,
        "error": 0.01,
        "handovers_per_s": 100.0,
        "wait_p99_s": 1e-3,
        "observed_s": observed_s,
        "lost_share": 0.0,
        "samples": 1000,
    }
    return HeldShare(**{**values, **changes})


def samples_of(*rounds: CostRound, size: float = 100.0) -> Samples:
    return Samples(prepared={("default", size): PREPARED}, costs={("default", size): list(rounds)})


def test_a_reply_is_reduced_to_one_call() -> None:
    reply = {
        "calls": 4,
        "walls_s": [0.1, 0.2, 0.4, 0.3],
        "wall_s": 1.0,
        "cpu_s": 0.8,
        "run_queue_s": 0.08,
        "blocked_s": 0.12,
    }
    one = CostRound.from_reply(reply, None)
    assert (one.wall_s, one.cpu_s, one.run_queue_s, one.blocked_s) == pytest.approx(
        (0.25, 0.2, 0.02, 0.03)
    )
    assert one.busy_share == pytest.approx(0.08)
    assert one.wall_low_s <= 0.25 <= one.wall_high_s


def test_a_run_queue_that_cannot_be_read_stays_unknown_and_is_not_busy() -> None:
    reply = {
        "calls": 1,
        "walls_s": [0.1],
        "wall_s": 0.1,
        "cpu_s": 0.1,
        "run_queue_s": None,
        "blocked_s": None,
    }
    one = CostRound.from_reply(reply, None)
    assert (one.run_queue_s, one.blocked_s, one.busy_share) == (None, None, 0.0)


@pytest.mark.parametrize(("lags", "expected"), [([], 0.0), ([0.0] * 99 + [1.0], 0.01)])
def test_a_load_keeps_the_99th_percentile_of_the_lag(lags: list[float], expected: float) -> None:
    reply = {"throughput_per_s": 5.0, "latencies_s": [0.2], "lags_s": lags, "calls": 1}
    assert LoadRound.from_reply(reply).lag_p99_s == pytest.approx(expected)


def test_busy_rounds_are_left_out_where_there_are_calm_ones() -> None:
    rounds = [cost_round(1.0), cost_round(9.0, busy_share=0.5), cost_round(3.0)]
    (row,) = samples_of(*rounds).cost_rows()
    assert row.wall_s == 2.0
    assert row.note is None


def test_without_calm_rounds_the_calmest_must_do_and_says_so() -> None:
    rounds = [cost_round(1.0, busy_share=0.4), cost_round(2.0, busy_share=0.2)]
    (row,) = samples_of(*rounds).cost_rows()
    assert row.wall_s == 2.0
    assert row.note is not None
    assert "20%" in row.note


def test_the_bounds_of_the_wall_time_cover_every_round() -> None:
    (row,) = samples_of(cost_round(1.0), cost_round(2.0), cost_round(6.0)).cost_rows()
    assert row.wall_low_s <= 1.0
    assert row.wall_high_s >= 6.0


def test_what_was_prepared_and_the_machine_unknowns_are_in_the_row() -> None:
    (row,) = samples_of(cost_round(1.0, run_queue_s=None)).cost_rows()
    assert (row.call_size, row.first_call_s, row.args_bytes) == (80.0, 0.5, 10)
    assert (row.run_queue_s, row.gil_held_share, row.gil_handovers_per_s) == (None, None, None)
    assert row.held_share == 1.0


def test_held_shares_weigh_by_the_time_that_was_observed() -> None:
    rounds = [cost_round(1.0, held=held(0.2, 3.0)), cost_round(1.0, held=held(0.6, 1.0))]
    (row,) = samples_of(*rounds).cost_rows()
    assert row.gil_held_share == pytest.approx(0.3)
    assert row.gil_held_share_error == pytest.approx(
        ((0.01 * 0.75) ** 2 + (0.01 * 0.25) ** 2) ** 0.5
    )


def test_the_wait_for_the_lock_is_never_longer_than_a_call() -> None:
    (row,) = samples_of(cost_round(1e-4, held=held(1.0, 1.0, wait_p99_s=0.2))).cost_rows()
    assert row.gil_wait_p99_s == 1e-4


def test_rows_come_by_variant_in_the_order_of_measuring_and_by_size() -> None:
    keys = [("default", 50.0), ("native", 10.0), ("default", 5.0)]
    samples = Samples(prepared=dict.fromkeys(keys, PREPARED))
    samples.costs = {key: [cost_round(1.0)] for key in keys}
    rows = [(row.variant, row.size) for row in samples.cost_rows()]
    assert rows == [("default", 5.0), ("default", 50.0), ("native", 10.0)]
    assert samples.sizes() == [5.0, 10.0, 50.0]


def test_few_rounds_are_trusted_little() -> None:
    spreads = []
    for count in range(1, 6):
        samples = Samples(loads={(THREAD, 1.0, 1): [load_round(50.0)] * count})
        rate = samples.rate((THREAD, 1.0, 1))
        assert rate.value == 50.0
        spreads.append(rate.relative_half_width)
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[0] >= 0.25
    assert 0 < spreads[-1] <= 0.05


def test_a_further_round_changes_the_rate() -> None:
    key = (THREAD, 1.0, 1)
    samples = Samples(loads={key: [load_round(10.0)]})
    assert samples.rate(key).value == 10.0
    samples.loads[key].append(load_round(30.0))
    assert samples.rate(key).value == 20.0


@pytest.mark.parametrize(("concurrency", "expected"), [(1, 1.0), (2, 1.0), (7, 4.0), (99, 4.0)])
def test_the_reference_lag_is_that_of_the_nearest_concurrency(
    concurrency: int, expected: float
) -> None:
    samples = Samples(reference_lags_s={1: [0.5, 1.0, 3.0], 8: [4.0]})
    assert samples.reference_lag_s(concurrency) == expected


def test_without_a_reference_there_is_no_lag_to_take_off() -> None:
    assert Samples().reference_lag_s(4) == 0


def observed(samples: Samples) -> list[Any]:
    costs = {("default", 100.0): make_cost(100.0, 1e-3)}
    return samples.observations(costs, make_machine())


def test_an_observation_is_the_measured_over_the_modelled_throughput() -> None:
    # One caller on the event loop: 1 / (1 ms + 1 µs a call + 1 µs for a turn) = 998.0 calls/s.
    key = (Contender("event_loop", "default"), 100.0, 1)
    (one,) = observed(Samples(loads={key: [load_round(499.0)] * 3}))
    assert one.efficiency == pytest.approx(0.5, rel=1e-4)
    assert (one.lane, one.concurrency, one.size) == ("event_loop", 1, 100.0)


def test_only_lag_that_comes_back_in_every_round_is_the_lanes() -> None:
    rounds = [load_round(100, 5e-3), load_round(100, 2e-3), load_round(100, 90e-3)]
    samples = Samples(loads={(THREAD, 100.0, 2): rounds}, reference_lags_s={2: [0.5e-3]})
    assert observed(samples)[0].loop_lag_s == pytest.approx(1.5e-3)


def test_lag_that_busy_cores_cause_by_themselves_is_not_the_lanes() -> None:
    rounds = [load_round(100, 5e-3), load_round(100, 4e-3)]
    samples = Samples(loads={(THREAD, 100.0, 2): rounds}, reference_lags_s={2: [1e-3, 6e-3, 1e-3]})
    assert observed(samples)[0].loop_lag_s == 0


def test_cells_without_a_cost_are_no_observation() -> None:
    assert observed(Samples(loads={(THREAD, 7.0, 1): [load_round(100)]})) == []


def test_loads_while_others_took_the_cores_are_left_out_where_there_are_calm_ones() -> None:
    key = (Contender("event_loop", "default"), 100.0, 1)
    busy = LoadRound(100.0, [0.01], 0.0, calls=10, others_share=0.5)
    samples = Samples(loads={key: [busy, load_round(499.0), busy]})
    assert samples.rate(key).value == 499.0
    assert samples.disturbed() == []
    assert observed(samples)[0].efficiency == pytest.approx(0.5, rel=1e-4)


def test_a_cell_that_was_never_loaded_in_calm_says_nothing_against_the_model() -> None:
    key = (Contender("event_loop", "default"), 100.0, 1)
    busy = LoadRound(100.0, [0.01], 0.0, calls=10, others_share=0.5)
    samples = Samples(loads={key: [busy, busy]})
    assert samples.disturbed() == [key]
    (one,) = observed(samples)
    assert (one.efficiency, one.loop_lag_s) == (1.0, 0.0)
    assert one.spread >= 0.25
    assert samples.rate(key).value == 100.0  # which is shown


def test_resampling_draws_among_the_same_rounds_and_leaves_the_original() -> None:
    key = (THREAD, 100.0, 1)
    samples = samples_of(*[cost_round(float(wall)) for wall in range(1, 8)])
    samples.loads[key] = [load_round(float(rate)) for rate in range(10, 17)]
    before = (samples.cost_rows(), list(samples.loads[key]), samples.rate(key))
    drawn = [samples.resampled(random.Random(seed)) for seed in range(20)]
    assert (samples.cost_rows(), list(samples.loads[key]), samples.rate(key)) == before
    assert len({one.cost_rows()[0].wall_s for one in drawn}) > 2
    for one in drawn:
        assert len(one.loads[key]) == 7
        rates = sorted(round_.throughput_per_s for round_ in one.loads[key])
        assert set(rates) <= {float(rate) for rate in range(10, 17)}
        assert one.rate(key).value == rates[3]
