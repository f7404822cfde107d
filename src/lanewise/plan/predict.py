"""What each lane would carry on other machines and on a free-threaded build."""

from __future__ import annotations

from dataclasses import replace

from lanewise.model.measurement import Prediction
from lanewise.plan.choose import estimate_all
from lanewise.plan.lane_model import Machine
from lanewise.plan.task_plan import TaskPlan

PREDICTED_CORES = (4, 16, 64)


def predictions_of(plan: TaskPlan, machine: Machine) -> tuple[Prediction, ...]:
    """Predict every contender at every size, with one caller a core.

    The thread lane follows the Universal Scalability Law with the share of a call that holds the
    lock as its contention term; its limit, one over the time under the lock, is the lane model's.
    """
    found: list[Prediction] = []
    for size in plan.sizes:
        for cores in PREDICTED_CORES:
            for gil_enabled in (True, False):
                there = Machine(machine.calibration, cores, gil_enabled)
                known = plan.under(gil_enabled=gil_enabled)
                if known is not plan:
                    known = replace(known, observations=())
                estimates, _ = estimate_all(known, size, cores, there, plan.loop_budget_s)
                found += [
                    Prediction(
                        variant=one.contender.variant,
                        lane=one.contender.lane,
                        size=size,
                        cores=cores,
                        free_threaded=not gil_enabled,
                        throughput_per_s=one.throughput_per_s,
                        assumption=_assumption(
                            one.contender.lane, one.bottleneck, gil_enabled=gil_enabled
                        ),
                    )
                    for one in estimates
                ]
    return tuple(found)


def _assumption(lane: str, bottleneck: str, *, gil_enabled: bool) -> str:
    text = f"limited by {bottleneck}; one core there is as fast as one here"
    if not gil_enabled and lane == "thread":
        text += "; the calls share no hot object, and the build runs one thread as fast as this one"
    return text
