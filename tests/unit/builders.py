"""Plans, costs and machines with plain values, of which each test changes what it is about."""

from __future__ import annotations

from typing import Any

from lanewise.model.facts import Calibration, LaneCost
from lanewise.plan.lane_model import Machine
from lanewise.plan.task_plan import CostPoint, Observation, TaskPlan

LANES = {
    "event_loop": LaneCost(dispatch_s=1e-6, per_call_s=1e-6),
    "thread": LaneCost(dispatch_s=6e-5, per_call_s=2e-5),
    "process": LaneCost(dispatch_s=3e-4, per_call_s=1e-4),
}


def make_cost(size: float = 100.0, wall_s: float = 1e-3, **changes: Any) -> CostPoint:
    """A pure Python call: holds the lock and a core all the time, next to nothing to pickle."""
    values: dict[str, Any] = {
        "variant": "default",
        "size": size,
        "call_size": size,
        "wall_s": wall_s,
        "cpu_s": wall_s,
        "gil_held_share": 1.0,
        "gil_handovers_per_s": 0.0,
        "gil_wait_p99_s": None,
        "run_queue_s": None,
        "args_bytes": 100,
        "result_bytes": 100,
        "pickle_s": 5e-6,
    }
    return CostPoint(**{**values, **changes})


def make_calibration(**changes: Any) -> Calibration:
    values: dict[str, Any] = {
        "fingerprint": "Linux/test/4/3.13",
        "lanes": dict(LANES),
        "unavailable": {"interpreter": "needs Python 3.14"},
        "transfer_bytes_per_s": 1e9,
    }
    return Calibration(**{**values, **changes})


def make_machine(cores: int = 4, *, gil_enabled: bool = True, **calibration: Any) -> Machine:
    return Machine(make_calibration(**calibration), cores, gil_enabled)


def make_observation(lane: str = "thread", size: float = 100.0, **changes: Any) -> Observation:
    """Agrees with the lane model to two percent and causes no lag."""
    values: dict[str, Any] = {
        "variant": "default",
        "lane": lane,
        "concurrency": 1,
        "size": size,
        "efficiency": 1.0,
        "spread": 0.02,
        "loop_lag_s": 0.0,
    }
    return Observation(**{**values, **changes})


def make_plan(*costs: CostPoint, **changes: Any) -> TaskPlan:
    values: dict[str, Any] = {
        "name": "shop:match",
        "size_unit": "declared",
        "calibration": make_calibration(),
        "usable_cores": 4,
        "gil_enabled": True,
        "loop_budget_s": 1e-3,
        "costs": costs or (make_cost(),),
    }
    return TaskPlan(**{**values, **changes})


def exact_observations(plan: TaskPlan, concurrencies: tuple[int, ...]) -> tuple[Observation, ...]:
    """Every contender measured with next to no noise and as the model says."""
    return tuple(
        make_observation(lane, cost.size, variant=cost.variant, concurrency=level, spread=0.001)
        for cost in plan.costs
        for lane in plan.calibration.lanes
        for level in concurrencies
    )
