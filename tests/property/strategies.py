"""Plans and machines of every kind that can be measured."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from tests.unit.builders import make_calibration, make_cost, make_plan

from lanewise.model.facts import Calibration, LaneCost
from lanewise.plan.lane_model import Machine
from lanewise.plan.task_plan import CostPoint, Observation, TaskPlan

MEASURED_LANES = ("event_loop", "thread", "process")
CONCURRENCIES = (1, 2, 4, 8, 16)


def between(low: float, high: float) -> SearchStrategy[float]:
    """Evenly over the orders of magnitude, which is how times and sizes vary."""
    return st.floats(0, 1).map(lambda share: low * (high / low) ** share)


def or_none(strategy: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


@st.composite
def costs(draw: DrawFn, size: float = 100.0, variant: str = "default") -> CostPoint:
    wall_s = draw(between(1e-6, 1.0))
    portable = draw(st.booleans()) or draw(st.booleans())
    return make_cost(
        size,
        wall_s,
        variant=variant,
        cpu_s=wall_s * draw(st.sampled_from([0.0, 0.3, 1.0, 3.0])),
        gil_held_share=draw(or_none(st.floats(0, 1))),
        gil_handovers_per_s=draw(or_none(between(0.1, 1e5))),
        gil_wait_p99_s=draw(or_none(st.floats(0, 1).map(lambda share: share * wall_s))),
        args_bytes=draw(st.integers(0, 10**8)) if portable else None,
        result_bytes=draw(st.integers(0, 10**8)) if portable else None,
        pickle_s=draw(between(1e-6, 1.0)) if portable else None,
    )


@st.composite
def calibrations(draw: DrawFn) -> Calibration:
    lanes = draw(st.lists(st.sampled_from(MEASURED_LANES), min_size=1, unique=True))
    return make_calibration(
        lanes={
            lane: LaneCost(draw(between(1e-6, 1e-2)), draw(between(1e-7, 1e-3))) for lane in lanes
        },
        transfer_bytes_per_s=draw(between(1e7, 1e10)),
    )


@st.composite
def machines(draw: DrawFn) -> Machine:
    return Machine(
        draw(calibrations()), draw(st.sampled_from([1, 2, 4, 16, 64])), draw(st.booleans())
    )


@st.composite
def observations(draw: DrawFn, plan: TaskPlan) -> tuple[Observation, ...]:
    """Some of the contenders, as well or badly as they may have done."""
    keys = [
        (lane, cost.variant, cost.size, level)
        for lane in MEASURED_LANES
        for cost in plan.costs
        for level in CONCURRENCIES[:3]
    ]
    chosen = draw(st.lists(st.sampled_from(keys), unique=True, max_size=8))
    return tuple(
        Observation(
            variant=variant,
            lane=lane,  # type: ignore[arg-type]
            concurrency=level,
            size=size,
            efficiency=draw(between(0.2, 3.0)),
            spread=draw(between(0.005, 0.6)),
            loop_lag_s=draw(st.sampled_from([0.0, 1e-4, 2e-3, 0.05])),
        )
        for lane, variant, size, level in chosen
    )


@st.composite
def plans(draw: DrawFn, *, portable: bool = False, most_sizes: int = 4) -> TaskPlan:
    first = draw(st.sampled_from([1.0, 50.0, 1000.0]))
    steps = draw(st.lists(st.sampled_from([1.3, 2.0, 4.0, 10.0]), max_size=most_sizes - 1))
    sizes = [first]
    for step in steps:
        sizes.append(round(sizes[-1] * step, 3))
    variants = ("default", "native") if draw(st.booleans()) else ("default",)
    rows = [draw(costs(size, variant)) for variant in variants for size in sizes]
    plan = make_plan(
        *rows,
        calibration=draw(calibrations()),
        usable_cores=draw(st.integers(1, 64)),
        gil_enabled=draw(st.booleans()),
        loop_budget_s=draw(between(1e-4, 1e-1)),
        unportable=None if portable else draw(st.sampled_from([None, None, "cannot be pickled"])),
        isolated=False if portable else draw(st.sampled_from([False, False, True])),
        pinned=None if portable else draw(st.sampled_from([None, None, None, *MEASURED_LANES])),
    )
    return make_plan(**{
        **{name: getattr(plan, name) for name in TaskPlan.__dataclass_fields__},
        "observations": draw(observations(plan)),
    })  # fmt: skip
