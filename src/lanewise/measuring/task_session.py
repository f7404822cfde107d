"""Measure one task within its budget: costs, lanes, and the sizes at which the winner changes.

The budget is spent in this order: trying every variant at every size once, costs alone, loads of
every lane in random order, then the places where it matters: sizes between two winners, and cells
that the noise left undecided. Whatever is there when time runs out, or when the user stops it, is a
result.
"""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Callable
from typing import Any

from lanewise.errors import MeasureError
from lanewise.measuring.bench_client import BenchDiedError
from lanewise.measuring.instrument import Instrument
from lanewise.measuring.options import MeasureOptions
from lanewise.measuring.progress import Progress
from lanewise.measuring.samples import BUSY_SHARE, Samples
from lanewise.measuring.schedule import Comparison, Rounds, next_comparison
from lanewise.model.facts import Calibration
from lanewise.model.lane import SHARING_MEMORY, LaneName
from lanewise.model.measurement import Contender, VariantStatus

# Shares of the budget: up to here costs, up to here the rounds of all lanes; the rest refines.
COSTS_UNTIL = 0.28
_LOADS_UNTIL = 0.72
_COST_WINDOW_S = (0.04, 0.15)
_LOAD_WINDOW_S = (0.03, 0.4)
_COST_ROUNDS = 3
_MAX_EXTRA_COST_ROUNDS = 3
# A call this many times as long as the loop budget breaks it on the loop: that need not be tried.
_KNOWN_UNFIT = 5.0
# A window should see this many calls of each caller, as far as the longest window allows.
_CALLS_PER_WINDOW = 5
# Below this share of unlocked samples a call counts as never giving the lock up.
NEVER_RELEASES = 0.995

Cell = tuple[Contender, float, int]


class TaskSession:
    """One task's measurement. Owner: the session's thread.

    Args:
        described: What the bench said of the task.
        calibration: Of the lanes that are open in the instrument.
    """

    def __init__(  # noqa: PLR0913 - because: its collaborators, each once
        self,
        instrument: Instrument,
        described: dict[str, Any],
        options: MeasureOptions,
        calibration: Calibration,
        progress: Progress,
        reopen: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.instrument = instrument
        self.described = described
        self.options = options
        self.calibration = calibration
        self.name: str = described["name"]
        self.samples = Samples()
        self.warnings: list[str] = []
        self.variants: list[VariantStatus] = []
        self.unportable: str | None = None
        self.concurrencies = options.concurrencies_for(instrument.host["usable_cores"])
        self.rng = random.Random(f"{options.seed}/{self.name}")  # noqa: S311 - because: order, not secrecy
        self._progress = progress
        self._reopen = reopen
        self._clock = clock
        self._started = clock()
        self.failing: set[Contender] = set()

    # --- time -----------------------------------------------------------------------------------

    @property
    def spent_s(self) -> float:
        """Seconds since the task began."""
        return self._clock() - self._started

    def time_left_s(self, until: float = 1.0) -> float:
        """Seconds until a share of the budget is spent."""
        return self.options.budget_s * until - self.spent_s

    def tell(self, text: str) -> None:
        """Say what is being measured."""
        self._progress.step(text, self.spent_s)

    def warn(self, text: str) -> None:
        """Note something that the reader should know, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    # --- trying every variant and size once -----------------------------------------------------

    def prepare(self, variant: str, size: float) -> dict[str, Any]:
        """Make one case, once; a bench that died is replaced.

        Raises:
            MeasureError: Inputs or call raised, or the call never came back.
        """
        if (variant, size) in self.samples.prepared:
            return self.samples.prepared[variant, size]
        self.tell(f"trying {variant} at size {size:g}")
        try:
            known = self.instrument.prepare(self.name, variant, size)
        except BenchDiedError:
            self._reopen()
            raise
        self.samples.prepared[variant, size] = known
        self._note(known)
        return known

    def _note(self, known: dict[str, Any]) -> None:
        if known["unportable"] is not None and self.unportable is None:
            self.unportable = known["unportable"]
            self.warn(f"not measured on the process lane: {self.unportable}")
        if known["mutates"] and known["args_bytes"] is not None:
            self.warn(
                "changes its arguments: every call was given fresh ones. On lanes that share memory "
                'callers see the change, elsewhere they do not; @task(isolation="required") says so'
            )
        if known["threads_left"]:
            threads = (
                "a thread" if known["threads_left"] == 1 else f"{known['threads_left']} threads"
            )
            self.warn(f"leaves {threads} behind after a call: such work is measured with the call")

    # --- costs alone ----------------------------------------------------------------------------

    def measure_costs(self) -> None:
        """Time every case alone, in rounds of random order."""
        cases = list(self.samples.prepared)
        for at in range(_COST_ROUNDS + _MAX_EXTRA_COST_ROUNDS):
            wanted = cases if at < _COST_ROUNDS else [key for key in cases if self._was_busy(key)]
            self.rng.shuffle(wanted)
            for variant, size in wanted:
                if at > 0 and self.time_left_s(COSTS_UNTIL) <= 0:
                    return
                self.tell(f"cost of {variant} at size {size:g}")
                self.cost(variant, size)

    def _was_busy(self, key: tuple[str, float]) -> bool:
        return all(one.busy_share > BUSY_SHARE for one in self.samples.costs.get(key, []))

    def cost(self, variant: str, size: float, *, window_s: float | None = None) -> None:
        """Add one round of calls alone."""
        cases = max(1, len(self.samples.prepared))
        share_s = self.options.budget_s * COSTS_UNTIL / cases / _COST_ROUNDS / 2
        window_s = window_s or min(_COST_WINDOW_S[1], max(_COST_WINDOW_S[0], share_s))
        made = self.instrument.cost_round(self.name, variant, size, window_s)
        self.samples.costs.setdefault((variant, size), []).append(made)

    # --- loads ----------------------------------------------------------------------------------

    def lanes(self) -> list[LaneName]:
        """The lanes that take part for this task."""
        pinned = self.described["lane"]
        return [
            lane
            for lane in self.options.lanes
            if lane in self.instrument.workers
            and (lane in SHARING_MEMORY or self.unportable is None)
            and (pinned is None or lane == pinned)
            and (self.described["isolation"] != "required" or lane not in SHARING_MEMORY)
        ]

    def cells(self) -> list[Cell]:
        """Every combination to load."""
        return [
            (Contender(lane, variant), size, concurrency)
            for variant, size in self.samples.costs
            for lane in self.lanes()
            for concurrency in self.concurrencies
            if Contender(lane, variant) not in self.failing
        ]

    def measure_loads(self) -> None:
        """Load the lanes of every comparison, and again while their share of the time lasts."""
        compared: dict[Comparison, list[Cell]] = {}
        for cell in self._affordable(self.cells()):
            compared.setdefault(cell[1:], []).append(cell)
        known = {one: Rounds(sum(map(self.cell_s, some))) for one, some in compared.items()}
        for at in itertools.count():
            chosen = next_comparison(known, self.time_left_s(), self.time_left_s(_LOADS_UNTIL))
            if chosen is None:
                break
            if at % len(known) == 0:
                self.measure_references()
            cells = compared[chosen]
            self.rng.shuffle(cells)
            for cell in cells:
                self.load(cell)
            known[chosen].made += 1
            calm = [self.samples.calm_rounds(cell) for cell in cells if cell[0] not in self.failing]
            known[chosen].calm = min(calm, default=known[chosen].made)
        if any(not rounds.made for rounds in known.values()):
            self.warn("time ran out before every lane was loaded once")

    def measure_references(self) -> None:
        """See what busy cores alone do to the loop, at each concurrency."""
        for concurrency in self.concurrencies:
            lag_s = self.instrument.reference_lag_s(concurrency, 0.08)
            self.samples.reference_lags_s.setdefault(concurrency, []).append(lag_s)

    def window_s(self, cell: Cell) -> float:
        """How long to load a cell: enough calls of each caller, within the longest window."""
        contender, size, concurrency = cell
        wall_s = self.wall_s(contender.variant, size)
        wanted = _CALLS_PER_WINDOW * wall_s * max(1, concurrency / self.calibrated_cores)
        return min(_LOAD_WINDOW_S[1], max(_LOAD_WINDOW_S[0] * 2, wanted))

    @property
    def calibrated_cores(self) -> int:
        """The cores that the lanes can use."""
        cores: int = self.instrument.host["usable_cores"]
        return cores

    def wall_s(self, variant: str, size: float) -> float:
        """The best present guess of a call's length."""
        rounds = self.samples.costs.get((variant, size))
        if rounds:
            return min(one.wall_s for one in rounds)
        second_s: float = self.samples.prepared[variant, size]["second_call_s"]
        return second_s

    def _affordable(self, cells: list[Cell]) -> list[Cell]:
        """Drop what can be done without where the time does not suffice for all.

        First, long calls on the event loop: its lane runs one after the other, which the lane model knows
        as well as any measurement. Then the concurrencies in the middle.
        """
        room_s = max(0.0, self.time_left_s(_LOADS_UNTIL))
        if sum(map(self.cell_s, cells)) <= room_s:
            return cells
        cells = [cell for cell in cells if not self._is_known_unfit(cell)]
        outer = {self.concurrencies[0], self.concurrencies[-1]}
        fewer = [cell for cell in cells if cell[2] in outer]
        if sum(map(self.cell_s, cells)) <= room_s or len(fewer) == len(cells):
            return cells
        self.warn("the budget allows only the lowest and the highest concurrency")
        return fewer

    def _is_known_unfit(self, cell: Cell) -> bool:
        contender, size, _ = cell
        limit_s = _KNOWN_UNFIT * self.options.loop_budget_s
        return contender.lane == "event_loop" and self.wall_s(contender.variant, size) > limit_s

    def cell_s(self, cell: Cell) -> float:
        """About how long loading a cell takes, its warm-up included."""
        contender, size, concurrency = cell
        # On the loop calls run one after another, elsewhere as many at once as there are cores.
        at_once = 1 if contender.lane == "event_loop" else self.calibrated_cores
        overrun_s = self.wall_s(contender.variant, size) * math.ceil(concurrency / at_once)
        return self.window_s(cell) + 2 * overrun_s

    def load(self, cell: Cell) -> None:
        """Add one round of one cell."""
        contender, size, concurrency = cell
        if contender in self.failing:
            return
        self.tell(f"{contender} at size {size:g}, {concurrency} callers")
        try:
            made = self.instrument.load_round(
                self.name, contender.variant, size, contender.lane, concurrency, self.window_s(cell)
            )
        except BenchDiedError:
            raise
        except MeasureError as error:
            # It ran alone but fails there: in a worker, or beside others of its kind.
            self.failing.add(contender)
            self.warn(f"{contender} fails at size {size:g} with {concurrency} callers: {error}")
            return
        if made.calls:
            self.samples.loads.setdefault(cell, []).append(made)
