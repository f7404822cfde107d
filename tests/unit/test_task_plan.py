"""Reading a plan between, below and above the sizes that were measured."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.builders import make_cost, make_observation, make_plan

from lanewise.errors import PlanError
from lanewise.model.measurement import Contender

THREAD = Contender("thread", "default")


def test_a_measured_size_gives_what_was_measured() -> None:
    costs = [make_cost(size, size**1.3 * 1e-6, gil_held_share=0.3) for size in (10.0, 70.0, 900.0)]
    plan = make_plan(*costs)
    for cost in costs:
        assert plan.cost_at("default", cost.size) == cost


def test_between_two_sizes_a_power_law_is_followed() -> None:
    """Cost c * size**1.5 measured at 100 and 10000 gives c * 1000**1.5 at 1000."""
    plan = make_plan(*[make_cost(size, 1e-7 * size**1.5) for size in (100.0, 10_000.0)])
    between = plan.cost_at("default", 1000.0)
    assert between.wall_s == pytest.approx(1e-7 * 1000**1.5, rel=1e-9)
    assert between.cpu_s == pytest.approx(between.wall_s)
    assert between.size == 1000.0


def test_above_the_last_size_the_last_slope_goes_on() -> None:
    plan = make_plan(make_cost(1.0, 1.0), make_cost(10.0, 1.0), make_cost(100.0, 10.0))
    assert plan.cost_at("default", 10_000.0).wall_s == pytest.approx(1000.0)


def test_two_close_sizes_at_the_end_do_not_set_the_slope_for_all_larger_ones() -> None:
    """Neighbours that bisection left, ten percent apart by noise: the call is still linear."""
    walls = {64.0: 64e-6, 1024.0: 1e-3, 2047.0: 2e-3, 2048.0: 2.2e-3}
    plan = make_plan(*[make_cost(size, wall_s) for size, wall_s in walls.items()])
    assert 10e-3 < plan.cost_at("default", 20_480.0).wall_s < 50e-3


def test_a_steep_end_of_the_ladder_still_has_a_cost_far_beyond_it() -> None:
    plan = make_plan(make_cost(1.0, 1e-6), make_cost(1.3, 1.0))
    assert plan.cost_at("default", 1e8).wall_s >= 1.0


def test_below_the_first_size_the_cost_stays() -> None:
    plan = make_plan(make_cost(10.0, 1.0), make_cost(100.0, 10.0))
    assert plan.cost_at("default", 0.0).wall_s == 1.0
    assert plan.cost_at("default", 3.0).wall_s == 1.0


def test_one_size_stands_for_all() -> None:
    plan = make_plan(make_cost(50.0, 2.0))
    assert [plan.cost_at("default", size).wall_s for size in (0.0, 50.0, 1e9)] == [2.0] * 3


def test_the_held_share_moves_evenly_and_never_beyond_its_ends() -> None:
    plan = make_plan(
        make_cost(100.0, 1e-3, gil_held_share=0.9), make_cost(10_000.0, 1e-1, gil_held_share=0.1)
    )
    assert plan.cost_at("default", 1000.0).gil_held_share == pytest.approx(0.5)
    assert plan.cost_at("default", 1e9).gil_held_share == pytest.approx(0.1)


@pytest.mark.parametrize(
    "field", ["gil_held_share", "gil_handovers_per_s", "pickle_s", "args_bytes", "result_bytes"]
)
def test_what_is_unknown_at_one_end_is_unknown_between(field: str) -> None:
    plan = make_plan(make_cost(100.0), make_cost(400.0, **{field: None}))
    assert getattr(plan.cost_at("default", 200.0), field) is None


def test_nothing_at_one_end_is_something_between() -> None:
    plan = make_plan(make_cost(100.0, args_bytes=0), make_cost(400.0, args_bytes=1000))
    assert 0 < (plan.cost_at("default", 200.0).args_bytes or 0) < 1000


def test_each_variant_has_its_own_costs() -> None:
    plan = make_plan(make_cost(10.0, 1.0), make_cost(10.0, 0.1, variant="native"))
    assert plan.variants == ("default", "native")
    assert plan.cost_at("native", 10.0).wall_s == 0.1


def test_a_variant_that_was_not_measured_is_told() -> None:
    with pytest.raises(PlanError, match=r"shop:match \(native\)"):
        make_plan().cost_at("native", 1.0)


@pytest.mark.parametrize(("share", "held_s"), [(0.25, 0.5), (None, 2.0), (0.0, 0.0)])
def test_an_unknown_share_counts_as_held_throughout(share: float | None, held_s: float) -> None:
    assert make_cost(1.0, 2.0, gil_held_share=share).held_s == held_s


def test_what_was_not_pickled_is_not_portable() -> None:
    assert make_cost().portable
    assert not make_cost(pickle_s=None).portable


def test_sizes_and_concurrencies_are_ascending_and_without_repeats() -> None:
    seen = [make_observation(concurrency=level) for level in (8, 1, 8, 2)]
    plan = make_plan(make_cost(9.0), make_cost(1.0), make_cost(9.0, variant="b"), observations=seen)
    assert plan.sizes == (1.0, 9.0)
    assert plan.concurrencies == (1, 2, 8)


def test_without_observations_one_caller_is_known() -> None:
    assert make_plan().concurrencies == (1,)


def observing(*rows: Any) -> Any:
    return make_plan(make_cost(100.0), make_cost(900.0), observations=rows)


def test_what_was_not_observed_is_none() -> None:
    assert observing(make_observation("process")).observation_at(THREAD, 100.0, 1) is None


@pytest.mark.parametrize(("concurrency", "nearest"), [(1, 1), (2, 1), (3, 8), (5, 8), (64, 8)])
def test_the_nearest_concurrency_by_ratio_is_read(concurrency: int, nearest: int) -> None:
    plan = observing(*[make_observation(concurrency=level, efficiency=level) for level in (1, 8)])
    seen = plan.observation_at(THREAD, 100.0, concurrency)
    assert seen is not None
    assert seen.efficiency == nearest


@pytest.mark.parametrize(
    ("size", "efficiency", "lag_s"),
    [(1.0, 0.4, 0.0), (100.0, 0.4, 0.0), (300.0, 0.6, 1e-3), (900.0, 0.9, 2e-3), (1e6, 0.9, 2e-3)],
)
def test_observations_are_read_between_their_sizes_and_stay_beyond_them(
    size: float, efficiency: float, lag_s: float
) -> None:
    plan = observing(
        make_observation(size=100.0, efficiency=0.4, loop_lag_s=0.0, spread=0.1),
        make_observation(size=900.0, efficiency=0.9, loop_lag_s=2e-3, spread=0.3),
    )
    seen = plan.observation_at(THREAD, size, 1)
    assert seen is not None
    assert seen.efficiency == pytest.approx(efficiency)
    assert seen.loop_lag_s == pytest.approx(lag_s)


@pytest.mark.parametrize("spreads", [(0.3, 0.1), (0.1, 0.3)])
def test_between_two_observations_the_larger_doubt_counts(spreads: tuple[float, float]) -> None:
    rows = zip((100.0, 900.0), spreads, strict=True)
    plan = observing(*[make_observation(size=size, spread=spread) for size, spread in rows])
    seen = plan.observation_at(THREAD, 500.0, 1)
    assert seen is not None
    assert seen.spread == 0.3


def in_bytes(*pairs: tuple[float, float], variant: str = "default") -> list[Any]:
    return [make_cost(size, call_size=call, variant=variant) for call, size in pairs]


@pytest.mark.parametrize(
    ("call_size", "size"),
    [(8.0, 1.0), (800.0, 100.0), (2530.0, 316.23), (8000.0, 1000.0), (80_000.0, 10_000.0)],
)
def test_the_size_of_a_call_is_translated_into_that_of_the_ladder(
    call_size: float, size: float
) -> None:
    plan = make_plan(*in_bytes((8.0, 1.0), (800.0, 100.0), (8000.0, 1000.0)))
    assert plan.size_of_call(call_size) == pytest.approx(size, rel=1e-3)


def test_a_size_in_the_unit_of_the_ladder_is_not_translated() -> None:
    plan = make_plan(make_cost(10.0), make_cost(1000.0))
    assert [plan.size_of_call(size) for size in (0.0, 7.0, 300.0, 1e9)] == [0.0, 7.0, 300.0, 1e9]


def test_a_call_smaller_than_any_is_the_smallest() -> None:
    assert make_plan(*in_bytes((800.0, 100.0), (8000.0, 1000.0))).size_of_call(3.0) == 100.0


def test_variants_whose_arguments_differ_by_a_little_do_not_end_the_translation() -> None:
    """``inputs`` are made anew for each variant; random ones differ by some bytes."""
    plan = make_plan(
        *in_bytes((1000.0, 100.0), (4000.0, 400.0)),
        *in_bytes((1004.0, 100.0), (3990.0, 400.0), variant="native"),
    )
    assert plan.size_of_call(2000.0) == pytest.approx(200.0, rel=0.02)
    assert plan.sizes_can_be_told_apart


@pytest.mark.parametrize(
    ("pairs", "apart"),
    [([(8.0, 1.0), (80.0, 10.0)], True), ([(8.0, 1.0), (8.0, 10.0)], False), ([(8.0, 1.0)], True)],
)
def test_sizes_are_told_apart_by_what_the_runtime_sees(
    pairs: list[tuple[float, float]], *, apart: bool
) -> None:
    assert make_plan(*in_bytes(*pairs)).sizes_can_be_told_apart is apart
