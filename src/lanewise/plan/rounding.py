"""A plan with the digits that its file keeps.

What is decided right after a measurement must be what the written plan decides later, so both start
from the same rounded numbers; near a tie the fourth digit would otherwise tip the scale.
"""

from __future__ import annotations

from dataclasses import replace

from lanewise.model.facts import Calibration, LaneCost
from lanewise.model.units import round_significant
from lanewise.plan.task_plan import CostPoint, Observation, TaskPlan


def as_written(plan: TaskPlan) -> TaskPlan:
    """Return the plan as it will be read back from its file."""
    return replace(
        plan,
        calibration=_calibration(plan.calibration),
        costs=tuple(map(_cost, plan.costs)),
        observations=tuple(map(_observation, plan.observations)),
    )


def _calibration(calibration: Calibration) -> Calibration:
    return replace(
        calibration,
        lanes={
            lane: LaneCost.from_dict(
                {name: round_significant(value) for name, value in cost.as_dict().items()}
            )
            for lane, cost in calibration.lanes.items()
        },
        transfer_bytes_per_s=round_significant(calibration.transfer_bytes_per_s),
    )


def _cost(cost: CostPoint) -> CostPoint:
    share = cost.gil_held_share
    return replace(
        cost,
        wall_s=round_significant(cost.wall_s),
        cpu_s=round_significant(cost.cpu_s),
        gil_held_share=None if share is None else round(share, 2),
        gil_handovers_per_s=_two_digits(cost.gil_handovers_per_s),
        gil_wait_p99_s=_two_digits(cost.gil_wait_p99_s),
        pickle_s=_two_digits(cost.pickle_s),
        run_queue_s=None,
    )


def _observation(seen: Observation) -> Observation:
    return replace(
        seen,
        efficiency=round_significant(seen.efficiency),
        spread=round_significant(seen.spread, 2),
        loop_lag_s=round_significant(seen.loop_lag_s, 2),
    )


def _two_digits(value: float | None) -> float | None:
    return None if value is None else round_significant(value, 2)
