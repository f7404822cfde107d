"""Counting what happens to calls, as it happens."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from lanewise.model.lane import LaneName
from lanewise.runtime.statistics import CallCounts, ShedReason, summed

Outcome = Literal["done", "failed", "cancelled", "killed", "abandoned"]

# Routes that are counted each for itself. A service that makes ever new functions stays small.
_MAX_TRACKS = 4_096
OTHERS = "(others)"


@dataclass(slots=True, eq=False)
class Load:
    """Calls of one task in flight, on whatever lane."""

    task: str
    in_flight: int = 0


@dataclass(slots=True, eq=False)
class Track:
    """Growing counts of one task on one lane and variant. Owner: the runtime's event loop.

    One object for each, found once for a call, so that counting costs a few additions.
    """

    load: Load
    lane: LaneName
    variant: str
    reason: str = ""
    expected_s: float | None = None
    waiting: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    killed: int = 0
    abandoned: int = 0
    shed: int = 0
    busy_s: float = 0.0
    wait_s: float = 0.0

    def begin(self, calls: int = 1) -> None:
        """Calls start on their lane."""
        self.running += calls
        self.load.in_flight += calls

    def end(self, outcome: Outcome, busy_s: float, calls: int = 1) -> None:
        """Calls left their lane."""
        self.load.in_flight -= calls
        self.running -= calls
        self.busy_s += busy_s
        if outcome == "done":
            self.done += calls
        elif outcome == "abandoned":
            self.cancelled += calls
            self.abandoned += calls
        else:
            setattr(self, outcome, getattr(self, outcome) + calls)

    @property
    def admitted(self) -> int:
        """Calls that were let in and not shed afterwards."""
        ended = self.done + self.failed + self.cancelled + self.killed
        return ended + self.running + self.waiting

    def counts(self) -> CallCounts:
        """Return an immutable copy."""
        return CallCounts(
            admitted=self.admitted,
            running=self.running,
            waiting=self.waiting,
            done=self.done,
            failed=self.failed,
            cancelled=self.cancelled,
            killed=self.killed,
            abandoned=self.abandoned,
            shed=self.shed,
            busy_s=self.busy_s,
            wait_s=self.wait_s,
        )


@dataclass(slots=True)
class Tally:
    """All counts of a runtime. Owner: its event loop."""

    tracks: dict[tuple[str, LaneName, str], Track] = field(default_factory=dict)
    loads: dict[str, Load] = field(default_factory=dict)
    fallbacks: dict[str, str] = field(default_factory=dict)
    shed: Counter[ShedReason] = field(default_factory=Counter)
    _folded: dict[LaneName, CallCounts] = field(default_factory=dict)

    def load(self, task: str) -> Load:
        """Return how much of a task is in flight."""
        found = self.loads.get(task)
        if found is None:
            found = self.loads[task] = Load(task)
        return found

    def track(self, task: str, lane: LaneName, variant: str) -> Track:
        """Return the counts of one route."""
        key = (task, lane, variant)
        found = self.tracks.get(key)
        if found is None:
            if len(self.tracks) >= _MAX_TRACKS:
                self._fold()
            found = self.tracks[key] = Track(self.load(task), lane, variant)
        return found

    def fell_back(self, task: str, why: str) -> bool:
        """Note why a task cannot follow its route; return whether that is news."""
        if task in self.fallbacks:
            return False
        if len(self.fallbacks) >= _MAX_TRACKS:
            self.fallbacks.clear()
        self.fallbacks[task] = why
        return True

    def per_call(self) -> dict[tuple[str, LaneName], CallCounts]:
        """Return the counts of each task on each lane."""
        found: dict[tuple[str, LaneName], list[CallCounts]] = {}
        for (task, lane, _), track in self.tracks.items():
            found.setdefault((task, lane), []).append(track.counts())
        for lane, counts in self._folded.items():
            found.setdefault((OTHERS, lane), []).append(counts)
        return {key: summed(rows) for key, rows in found.items()}

    def _fold(self) -> None:
        """Count together what has nothing in flight; the newest quarter stays, it may be in use."""
        idle = [key for key, one in self.tracks.items() if not one.running and not one.waiting]
        for key in idle[: -_MAX_TRACKS // 4]:
            track = self.tracks.pop(key)
            before = self._folded.get(track.lane, CallCounts())
            self._folded[track.lane] = summed([before, track.counts()])
        tasks = {task for task, _, _ in self.tracks}
        self.loads = {task: load for task, load in self.loads.items() if task in tasks}
