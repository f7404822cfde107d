"""Measure tasks under two interpreters by turns, each sample between two controls.

Both benches live at once and take turns in random order, so that what the machine does meanwhile meets
both alike.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from lanewise.errors import LanewiseError, MeasureError
from lanewise.measuring.instrument import Instrument
from lanewise.measuring.progress import NoProgress, Progress
from lanewise.model.lane import SHARING_MEMORY, LaneName
from lanewise.readiness.buys.control import CoreControl
from lanewise.readiness.buys.samples import InterpreterYield, Sample, TaskBuys, lane_yield

_RESOLVE_TIMEOUT_S = 60.0
_LANES: tuple[LaneName, ...] = ("thread", "process", "interpreter")
_DEFAULT_BUDGET_S = 30.0
_MOST_CORES = 4
# Calls of at least this length: what a lane adds to each is then little beside it.
_LONG_ENOUGH_S = 0.003
_LARGEST_SIZE = 10**7
# A window holds some calls of each caller, and is long beside what a scheduler does.
_WINDOW_S = (0.08, 0.5)
_CALLS_PER_WINDOW = 6
_ENOUGH_SAMPLES = 9


@dataclass(frozen=True, slots=True)
class BuysOptions:
    """How to measure.

    Attributes:
        python: The other interpreter.
        sizes: The first of it is measured; None looks for calls of some milliseconds.
        callers: How many calls at once; None takes the usable cores, at most four.
        budget_s: Seconds for one task.
        seed: Of the order of samples.
        search_path: Folders in which both find the tasks' modules.
    """

    python: str
    size: float | None = None
    callers: int | None = None
    budget_s: float = _DEFAULT_BUDGET_S
    seed: int = 0
    search_path: tuple[str, ...] = ()


@dataclass(slots=True)
class _Side:
    """One interpreter and its bench. Owner: the session's thread."""

    python: str
    instrument: Instrument
    described: dict[str, dict[str, object]] = field(default_factory=dict)
    unavailable: dict[LaneName, str] = field(default_factory=dict)
    samples: dict[LaneName, list[Sample]] = field(default_factory=dict)
    calls_s: list[float] = field(default_factory=list)


def what_it_buys(
    targets: Sequence[str],
    options: BuysOptions,
    *,
    progress: Progress | None = None,
) -> Iterator[TaskBuys]:
    """Measure each target under this interpreter and under the other one.

    Both import the targets and run their calls, in child processes. What goes wrong with one target is
    told in its ``error``.

    Args:
        targets: ``module:function`` of tasks that declare ``inputs``.
        options: How.
        progress: Told what happens.

    Raises:
        MeasureError: An interpreter cannot be started.

    Cancellation: ``KeyboardInterrupt`` ends both benches and everything that they started.
    """
    progress = progress or NoProgress()
    for target in targets:
        progress.task(target, options.budget_s)
        with ExitStack() as stack:
            # A bench of its own for each task: one that crashes costs itself alone.
            sides = [
                _Side(name or sys.executable, stack.enter_context(_instrument(name, options)))
                for name in (None, options.python)
            ]
            try:
                yield _Comparison(target, sides, options, progress).run()
            except LanewiseError as error:
                yield TaskBuys(target, error=str(error))
        progress.done(target)


def _instrument(python: str | None, options: BuysOptions) -> Instrument:
    return Instrument(python, seed=options.seed, search_path=options.search_path)


class _Comparison:
    """One task. Owner: the session's thread."""

    def __init__(
        self,
        target: str,
        sides: list[_Side],
        options: BuysOptions,
        progress: Progress,
    ) -> None:
        self._target = target
        self._sides = sides
        self._options = options
        self._progress = progress
        self._rng = random.Random(f"{options.seed}/{target}")  # noqa: S311 - because: order, not secrecy
        cores = min(int(side.instrument.host["usable_cores"]) for side in sides)
        self._callers = options.callers or min(cores, _MOST_CORES)
        self._name = target
        if self._callers < 2 or cores < self._callers:  # noqa: PLR2004 - because: beside each other takes two
            raise MeasureError(
                f"{cores} usable core(s) show nothing of calls beside each other: at least two are needed"
            )

    def run(self) -> TaskBuys:
        started = time.monotonic()
        for side in self._sides:
            self._open(side)
        size = self._choose_size()
        with CoreControl(self._callers) as control:
            self._take_samples(size, control, started)
        here, there = (self._yield(side) for side in self._sides)
        return TaskBuys(self._name, size, self._callers, here, there)

    def _take_samples(self, size: float, control: CoreControl, started: float) -> None:
        while (spent_s := time.monotonic() - started) < self._options.budget_s:
            kept = min(self._kept(rows) for side in self._sides for rows in side.samples.values())
            if kept >= _ENOUGH_SAMPLES:
                break
            self._progress.step(f"{kept} of {_ENOUGH_SAMPLES} samples with the cores", spent_s)
            self._round(size, control, started + self._options.budget_s)

    def _open(self, side: _Side) -> None:
        instrument = side.instrument
        reply = instrument.bench.ask(
            "resolve", words=self._target, inputs=None, timeout_s=_RESOLVE_TIMEOUT_S
        )
        (task,) = reply["tasks"]
        self._name = task["name"]
        instrument.refresh()  # the import may have switched the lock on
        for lane in _LANES:
            why = _why_not(task, lane) or instrument.open_lane(lane, self._callers)
            if why is None:
                side.samples[lane] = []
            else:
                side.unavailable[lane] = why
        if not side.samples:
            raise MeasureError(f"no lane can run it: {side.unavailable}")

    def _choose_size(self) -> float:
        """The given one, or the first of 1, 10, 100 … whose calls are long enough on either side."""
        if self._options.size is not None:
            self._prepare(self._options.size)
            return self._options.size
        size, last = 1, None
        while size <= _LARGEST_SIZE:
            try:
                call_s = self._prepare(size)
            except MeasureError:
                if last is not None:
                    return last
            else:
                last = size
                if call_s >= _LONG_ENOUGH_S:
                    break
            size *= 10
        if last is None:
            self._prepare(1)  # raises what is wrong with it
            raise MeasureError(f"{self._target}: no size could be called")
        return last

    def _prepare(self, size: float) -> float:
        """Call once on either side; return the shorter time."""
        times = []
        for side in self._sides:
            known = side.instrument.prepare(self._name, "default", size)
            side.calls_s = [known["second_call_s"]]
            times.append(float(known["second_call_s"]))
            if known["unportable"] is not None:
                for lane in ("process", "interpreter"):
                    side.samples.pop(lane, None)
                    side.unavailable[lane] = known["unportable"]
        return min(times)

    def _kept(self, rows: list[Sample]) -> int:
        return sum(row.counts(self._callers) for row in rows)

    # --- samples --------------------------------------------------------------------------------

    def _round(self, size: float, control: CoreControl, until: float) -> None:
        slots = [(side, lane) for side in self._sides for lane in side.samples]
        self._rng.shuffle(slots)
        before = control.cores()
        for side, lane in slots:
            if time.monotonic() > until:
                return
            alone, together = 0.0, 0.0
            # Without cores there is nothing to sample: look again, which takes less time.
            if Sample(alone, together, before).counts(self._callers):
                alone, together = self._sample(side, lane, size)
            after = control.cores()
            side.samples[lane].append(Sample(alone, together, min(before, after)))
            before = after

    def _sample(self, side: _Side, lane: LaneName, size: float) -> tuple[float, float]:
        window_s = min(_WINDOW_S[1], max(_WINDOW_S[0], _CALLS_PER_WINDOW * side.calls_s[0]))

        def load(callers: int) -> float:
            return side.instrument.load_round(
                self._name, "default", size, lane, callers, window_s
            ).throughput_per_s

        if self._rng.random() < 0.5:  # noqa: PLR2004 - because: either order as often as the other
            alone = load(1)
            return alone, load(self._callers)
        together = load(self._callers)
        return load(1), together

    def _yield(self, side: _Side) -> InterpreterYield:
        host = side.instrument.host
        return InterpreterYield(
            python=side.python,
            version=host["python_version"],
            free_threaded=host["free_threaded_build"],
            gil_enabled=host["gil_enabled"],
            lanes=tuple(
                lane_yield(lane, rows, self._callers) for lane, rows in side.samples.items()
            ),
            unavailable={str(lane): why for lane, why in side.unavailable.items()},
            call_s=side.calls_s[0] if side.calls_s else None,
        )


def _why_not(task: dict[str, object], lane: LaneName) -> str | None:
    pinned = task["lane"]
    if pinned is not None and lane != pinned:
        return f"it is pinned to {pinned}"
    if task["isolation"] == "required" and lane in SHARING_MEMORY:
        return 'it declares isolation="required"'
    return None
