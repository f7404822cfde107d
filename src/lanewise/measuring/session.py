"""Measure a list of targets under one interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lanewise.errors import LaneUnavailableError, LanewiseError, MeasureError
from lanewise.measuring.instrument import Instrument
from lanewise.measuring.options import MeasureOptions
from lanewise.measuring.prepare import prepare_all
from lanewise.measuring.progress import NoProgress, Progress
from lanewise.measuring.refine import (
    break_evens_of,
    find_gil_releases,
    refine_break_evens,
    settle_undecided,
)
from lanewise.measuring.result import measurement_of, plan_of
from lanewise.measuring.task_session import TaskSession
from lanewise.model.facts import Calibration
from lanewise.model.lane import LaneName
from lanewise.model.measurement import BreakEven, GilRelease, TaskMeasurement
from lanewise.plan.task_plan import TaskPlan

_RESOLVE_TIMEOUT_S = 60.0


@dataclass(slots=True)
class SessionResult:
    """What one interpreter yielded. ``interrupted`` when the user stopped it early."""

    host: dict[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None
    gil_sampler: dict[str, Any] = field(default_factory=dict)
    tasks: list[TaskMeasurement] = field(default_factory=list)
    plans: list[TaskPlan] = field(default_factory=list)
    interrupted: bool = False

    def host_dict(self) -> dict[str, Any]:
        """The host with what measuring found out about it, for JSON."""
        calibration = None if self.calibration is None else self.calibration.as_dict()
        return {**self.host, "gil_sampler": self.gil_sampler, "calibration": calibration}


def measure(
    targets: Sequence[str],
    options: MeasureOptions,
    *,
    python: str | None = None,
    progress: Progress | None = None,
) -> SessionResult:
    """Measure every task that ``targets`` name, each within the budget.

    Args:
        targets: ``module:function``, or ``module`` for all of its tasks that declare ``inputs``.
        options: What to measure.
        python: Another interpreter to measure under; it needs the target's packages, not lanewise.
        progress: Told what happens.

    Raises:
        MeasureError: A target cannot be resolved, or the bench cannot be started. What is wrong with
            a single task is reported in its ``error`` instead.

    Cancellation: ``KeyboardInterrupt`` ends the measurement; what was measured is returned with
    ``interrupted`` set. The bench and its workers are gone when this returns.
    """
    result = SessionResult()
    with Instrument(python, seed=options.seed) as instrument:
        result.host = instrument.host
        result.gil_sampler = _sampler_facts(instrument)
        try:
            _measure_targets(instrument, targets, options, progress or NoProgress(), result)
        except KeyboardInterrupt:
            result.interrupted = True
    return result


def _sampler_facts(instrument: Instrument) -> dict[str, Any]:
    reason = instrument.gil_reason
    source = "the interpreter's own lock word, read by another process"
    return {"available": reason is None, "source": source, "reason": reason}


def _measure_targets(
    instrument: Instrument,
    targets: Sequence[str],
    options: MeasureOptions,
    progress: Progress,
    result: SessionResult,
) -> None:
    described = _resolve(instrument, targets, options)
    flipped = instrument.refresh()
    result.host, result.gil_sampler = instrument.host, _sampler_facts(instrument)
    concurrencies = options.concurrencies_for(instrument.host["usable_cores"])
    result.calibration = open_and_calibrate(instrument, options.lanes, threads=max(concurrencies))
    for task in described:
        # Lanes and cases of the task before are gone with its bench: one task cannot slow another.
        if task is not described[0]:
            _reopen(instrument, targets, options, max(concurrencies))
        session = TaskSession(
            instrument,
            task,
            options,
            result.calibration,
            progress,
            lambda: _reopen(instrument, targets, options, max(concurrencies)),
        )
        if flipped:
            session.warn(
                "importing the targets turned the GIL of this free-threaded build back on: an "
                "extension does not declare that it can do without (python -v names it)"
            )
        progress.task(session.name, options.budget_s)
        _measure_task(session, result)
        progress.done(session.name)
        if result.interrupted:
            return


def _resolve(
    instrument: Instrument, targets: Sequence[str], options: MeasureOptions
) -> list[dict[str, Any]]:
    tasks: dict[str, dict[str, Any]] = {}
    for words in targets:
        reply = instrument.bench.ask(
            "resolve", words=words, inputs=options.inputs, timeout_s=_RESOLVE_TIMEOUT_S
        )
        for task in reply["tasks"]:
            tasks.setdefault(task["name"], task)
    return list(tasks.values())


def _reopen(
    instrument: Instrument, targets: Sequence[str], options: MeasureOptions, threads: int
) -> None:
    instrument.restart()
    _resolve(instrument, targets, options)
    instrument.refresh()
    for lane, workers in _wanted_workers(instrument, options.lanes, threads).items():
        instrument.open_lane(lane, workers)


def _wanted_workers(
    instrument: Instrument, lanes: Sequence[LaneName], threads: int
) -> dict[LaneName, int]:
    cores = instrument.host["usable_cores"]
    workers: dict[LaneName, int] = {
        "event_loop": 1,
        "thread": threads,
        "process": cores,
        "interpreter": cores,
    }
    return {lane: workers[lane] for lane in lanes}


def open_and_calibrate(
    instrument: Instrument, lanes: Sequence[LaneName], *, threads: int
) -> Calibration:
    """Open the lanes and measure what each adds to a call that does nothing.

    Raises:
        MeasureError: None can be opened.
    """
    unavailable: dict[LaneName, str] = {}
    for lane, workers in _wanted_workers(instrument, lanes, threads).items():
        reason = instrument.open_lane(lane, workers)
        if reason is not None:
            unavailable[lane] = reason
    if not instrument.workers:
        reasons = "; ".join(f"{lane}: {why}" for lane, why in unavailable.items())
        raise MeasureError(f"no lane can be opened here: {reasons}")
    return instrument.calibrate(unavailable)


def _measure_task(session: TaskSession, result: SessionResult) -> None:
    releases: list[GilRelease] = []
    try:
        prepare_all(session)
        session.measure_costs()
        releases = find_gil_releases(session)
        if not session.lanes():
            raise LaneUnavailableError(_no_lane(session))
        session.measure_loads()
        refine_break_evens(session)
        settle_undecided(session)
    except KeyboardInterrupt:
        result.interrupted = True
    except LanewiseError as error:
        if not session.samples.costs or isinstance(error, LaneUnavailableError):
            result.tasks.append(_failed(session, str(error)))
            return
        session.warn(f"stopped early: {error}")
    if not session.samples.costs:
        return
    printed = session.instrument.bench.output_bytes
    if printed:
        session.warn(f"prints while it runs ({printed} bytes, discarded): printing was timed too")
    break_even: list[BreakEven] = []
    try:
        break_even = break_evens_of(session) if session.samples.loads else []
    except KeyboardInterrupt:
        result.interrupted = True
    result.tasks.append(measurement_of(session, releases, break_even))
    result.plans.append(plan_of(session))


def _no_lane(session: TaskSession) -> str:
    """Why none of the opened lanes may run the task."""
    described = session.described
    why = [
        f"it is pinned to {described['lane']}" if described["lane"] else "",
        'it declares isolation="required"' if described["isolation"] == "required" else "",
        f"it cannot cross to a process: {session.unportable}" if session.unportable else "",
    ]
    opened = ", ".join(session.instrument.workers)
    return f"none of the lanes measured here ({opened}) may run it: {'; '.join(filter(None, why))}"


def _failed(session: TaskSession, error: str) -> TaskMeasurement:
    return TaskMeasurement(
        name=session.name,
        target=session.described["target"],
        size_unit=session.described["size_unit"],
        variants=tuple(session.variants),
        warnings=tuple(session.warnings),
        error=error,
        elapsed_s=session.spent_s,
    )
