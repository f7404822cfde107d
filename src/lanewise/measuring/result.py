"""From a session's samples to a plan of the task and to the measurement that is reported."""

from __future__ import annotations

from collections.abc import Sequence

from lanewise.measuring.contention import contentions
from lanewise.measuring.samples import Samples
from lanewise.measuring.scalability import Scalability, fit_scalability
from lanewise.measuring.statistics import median, quantile
from lanewise.measuring.task_session import TaskSession
from lanewise.model.lane import LANE_NAMES
from lanewise.model.measurement import (
    BreakEven,
    Contender,
    Contention,
    Cost,
    GilRelease,
    LaneResult,
    Saturation,
    TaskMeasurement,
)
from lanewise.model.units import format_seconds
from lanewise.plan.choose import estimate_all
from lanewise.plan.lane_model import Machine
from lanewise.plan.predict import predictions_of
from lanewise.plan.rounding import as_written
from lanewise.plan.routes import routes_of
from lanewise.plan.task_plan import CostPoint, TaskPlan

# The fitted contention may differ this much from the share of time under the lock before the two
# are said to disagree: a fit over three concurrencies on a shared machine is no finer.
_CONTENTION_TOLERANCE = 0.2


def machine_of(session: TaskSession) -> Machine:
    """The host that was measured, as the lane model sees it."""
    host = session.instrument.host
    return Machine(session.calibration, host["usable_cores"], host["gil_enabled"])


def plan_of(session: TaskSession, samples: Samples | None = None) -> TaskPlan:
    """What a plan would say after what was measured so far (or after other ``samples``)."""
    samples = samples or session.samples
    rows = [_cost_point(row) for row in samples.cost_rows()]
    by_key = {(row.variant, row.size): row for row in rows}
    host = session.instrument.host
    plan = TaskPlan(
        name=session.name,
        size_unit=session.described["size_unit"],
        calibration=session.calibration,
        usable_cores=host["usable_cores"],
        gil_enabled=host["gil_enabled"],
        loop_budget_s=session.options.loop_budget_s,
        costs=tuple(rows),
        observations=tuple(samples.observations(by_key, machine_of(session))),
        unportable=session.unportable,
        isolated=session.described["isolation"] == "required",
        pinned=session.described["lane"],
        python=host["python_version"],
        target=session.described["target"],
        inputs=session.options.inputs,
        failing=tuple(sorted(map(str, session.failing))),
    )
    return as_written(plan)


def _cost_point(row: Cost) -> CostPoint:
    return CostPoint(
        variant=row.variant,
        size=row.size,
        call_size=row.call_size,
        wall_s=row.wall_s,
        cpu_s=row.cpu_s,
        gil_held_share=row.gil_held_share,
        gil_handovers_per_s=row.gil_handovers_per_s,
        gil_wait_p99_s=row.gil_wait_p99_s,
        run_queue_s=row.run_queue_s,
        args_bytes=row.args_bytes,
        result_bytes=row.result_bytes,
        pickle_s=row.pickle_s,
    )


def measurement_of(
    session: TaskSession, releases: Sequence[GilRelease], break_even: Sequence[BreakEven]
) -> TaskMeasurement:
    """Everything that is reported of one task."""
    plan = plan_of(session)
    machine = Machine(plan.calibration, plan.usable_cores, plan.gil_enabled)
    budget_s = session.options.loop_budget_s
    loaded = bool(session.samples.loads)
    _warn_of_sizes(session, plan)
    return TaskMeasurement(
        name=session.name,
        target=session.described["target"],
        size_unit=session.described["size_unit"],
        concurrencies=session.concurrencies,
        variants=tuple(session.variants),
        costs=tuple(session.samples.cost_rows()),
        lanes=tuple(_lane_rows(session, plan, machine)),
        break_even=tuple(break_even),
        saturation=tuple(_saturations(session, plan)) if loaded else (),
        routes=routes_of(plan, machine, budget_s) if loaded else (),
        gil_release=tuple(releases),
        predictions=predictions_of(plan, machine) if loaded else (),
        warnings=tuple(session.warnings),
        contention=_contention_of(session),
        unavailable_lanes={str(lane): why for lane, why in session.calibration.unavailable.items()},
        elapsed_s=session.spent_s,
    )


def _contention_of(session: TaskSession) -> tuple[Contention, ...]:
    host, samples = session.instrument.host, session.samples
    return contentions(
        {key: samples.rate(key) for key in samples.loads},
        samples.cost_rows(),
        cores=host["usable_cores"],
        gil_enabled=host["gil_enabled"],
    )


def _warn_of_sizes(session: TaskSession, plan: TaskPlan) -> None:
    if len(plan.sizes) > 1 and not plan.sizes_can_be_told_apart:
        session.warn(
            "calls of different sizes look alike to the runtime: the bytes of the arguments do not "
            "change with the size. Declare @task(size=lambda ...: number)"
        )
    if len(plan.sizes) == 1:
        session.warn("one size decides nothing about break-even points: give a ladder with --sizes")
    disturbed, loads = session.samples.disturbed(), session.samples.loads
    if disturbed:
        share = median([one.others_share for key in disturbed for one in loads[key]])
        session.warn(
            f"other programs took {share:.0%} of the cores: {len(disturbed)} of {len(loads)} loads of "
            "lanes say nothing, and what depends on them follows from costs alone. Measure in a calmer "
            "moment, or longer (--budget)"
        )
    reason = session.instrument.gil_reason
    if reason is not None:
        session.warn(f"the share of time under the lock could not be measured: {reason}")


def _lane_rows(session: TaskSession, plan: TaskPlan, machine: Machine) -> list[LaneResult]:
    rows: list[LaneResult] = []
    for (contender, size, concurrency), rounds in sorted(
        session.samples.loads.items(),
        key=lambda item: (
            item[0][0].variant,
            LANE_NAMES.index(item[0][0].lane),
            item[0][1],
            item[0][2],
        ),
    ):
        rate = session.samples.rate((contender, size, concurrency))
        latencies = [value for one in rounds for value in one.latencies_s]
        keeps, lag_s = _keeps_budget(session, plan, machine, contender, size, concurrency)
        rows.append(
            LaneResult(
                variant=contender.variant,
                lane=contender.lane,
                size=size,
                concurrency=concurrency,
                throughput_per_s=rate.value,
                throughput_low_per_s=rate.low,
                throughput_high_per_s=rate.high,
                latency_p50_s=median(latencies),
                latency_p95_s=quantile(latencies, 0.95),
                loop_lag_p99_s=median([one.lag_p99_s for one in rounds]),
                loop_lag_reference_p99_s=session.samples.reference_lag_s(concurrency),
                eligible=keeps,
                reason=None
                if keeps
                else f"delays the loop by {format_seconds(lag_s)}, "
                f"budget {format_seconds(plan.loop_budget_s)}",
                calls=sum(one.calls for one in rounds),
                rounds=len(rounds),
            )
        )
    return rows


def _keeps_budget(  # noqa: PLR0913 - because: the coordinates of one cell
    session: TaskSession,
    plan: TaskPlan,
    machine: Machine,
    contender: Contender,
    size: float,
    concurrency: int,
) -> tuple[bool, float]:
    estimates, _ = estimate_all(plan, size, concurrency, machine, session.options.loop_budget_s)
    for one in estimates:
        if one.contender == contender:
            return one.keeps_budget, one.loop_lag_s
    return False, 0.0


def _saturations(session: TaskSession, plan: TaskPlan) -> list[Saturation]:
    table: dict[tuple[Contender, float], dict[int, float]] = {}
    for (contender, size, concurrency), rounds in session.samples.loads.items():
        rate = median([one.throughput_per_s for one in rounds])
        table.setdefault((contender, size), {})[concurrency] = rate
    found: list[Saturation] = []
    for (contender, size), rates in table.items():
        if len(rates) < 2 or contender.lane == "event_loop":  # noqa: PLR2004 - because: one point is no curve; the loop runs one call at a time by nature
            continue
        fit = fit_scalability(rates, machine_of(session).cores)
        found.append(_saturation(session, plan, contender, size, fit))
    return found


def _saturation(
    session: TaskSession, plan: TaskPlan, contender: Contender, size: float, fit: Scalability
) -> Saturation:
    expected = _expected_contention(session, plan, contender, size)
    return Saturation(
        variant=contender.variant,
        lane=contender.lane,
        size=size,
        concurrency=fit.saturation_concurrency(4 * max(session.concurrencies)),
        contention=fit.contention,
        coherency=fit.coherency,
        rate_per_s=fit.rate_per_s,
        gil_held_share=plan.cost_at(contender.variant, size).gil_held_share,
        expected_contention=expected,
        agrees=None
        if expected is None
        else abs(fit.contention - expected) <= _CONTENTION_TOLERANCE,
    )


def _expected_contention(
    session: TaskSession, plan: TaskPlan, contender: Contender, size: float
) -> float | None:
    """The share of a call's time on its lane during which no other call can make progress.

    On threads that is the time under the lock, the dispatch on the loop included; on processes the
    pickling and dispatch on the loop's side.
    """
    cost = plan.cost_at(contender.variant, size)
    own = session.calibration.lanes[contender.lane]
    if contender.lane == "thread":
        if cost.gil_held_share is None:
            return None
        serial_s = cost.held_s + own.per_call_s
    else:
        serial_s = (cost.pickle_s or 0.0) + own.per_call_s
    return min(1.0, serial_s / (cost.wall_s + (cost.pickle_s or 0.0) + own.dispatch_s))
