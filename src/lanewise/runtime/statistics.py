"""Counting what happens to calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lanewise.lanes.process import WorkerStatistics
from lanewise.model.lane import LaneName

Outcome = Literal["done", "failed", "cancelled", "abandoned"]


@dataclass(frozen=True, slots=True)
class LaneStatistics:
    """Counts of one lane. ``admitted`` = done + failed + cancelled + abandoned + running."""

    admitted: int
    running: int
    done: int
    failed: int
    cancelled: int
    abandoned: int
    busy_s: float


@dataclass(frozen=True, slots=True)
class RuntimeStatistics:
    """A snapshot of a runtime. Nothing in it changes afterwards.

    Attributes:
        lanes: Counts of each lane.
        waiting: Calls that wait for room; ``shed`` is how many were refused for want of it.
        routes: How often each task went to which lane and variant, as (task, lane, variant).
        fallbacks: For each task that could not follow its route, why.
        workers: What happened to worker processes; None without a process lane.
    """

    lanes: dict[LaneName, LaneStatistics]
    waiting: int
    shed: int
    routes: dict[tuple[str, LaneName, str], int]
    fallbacks: dict[str, str]
    workers: WorkerStatistics | None = None


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
    admitted: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    abandoned: int = 0
    busy_s: float = 0.0

    def begin(self, calls: int = 1) -> None:
        """Calls were admitted and start on their lane."""
        self.admitted += calls
        self.load.in_flight += calls

    def end(self, outcome: Outcome, busy_s: float, calls: int = 1) -> None:
        """Calls left their lane."""
        self.load.in_flight -= calls
        self.busy_s += busy_s
        if outcome == "done":
            self.done += calls
        else:
            setattr(self, outcome, getattr(self, outcome) + calls)

    @property
    def running(self) -> int:
        """Calls that have begun and not ended."""
        return self.admitted - self.done - self.failed - self.cancelled - self.abandoned


@dataclass(slots=True)
class Tally:
    """All counts of a runtime. Owner: its event loop."""

    tracks: dict[tuple[str, LaneName, str], Track] = field(default_factory=dict)
    loads: dict[str, Load] = field(default_factory=dict)
    fallbacks: dict[str, str] = field(default_factory=dict)

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
            found = self.tracks[key] = Track(self.load(task), lane, variant)
        return found

    def snapshot(
        self, waiting: int, shed: int, workers: WorkerStatistics | None
    ) -> RuntimeStatistics:
        """Return an immutable copy."""
        lanes: dict[LaneName, list[Track]] = {}
        for track in self.tracks.values():
            lanes.setdefault(track.lane, []).append(track)
        return RuntimeStatistics(
            lanes={lane: _summed(tracks) for lane, tracks in lanes.items()},
            waiting=waiting,
            shed=shed,
            routes={key: track.admitted for key, track in self.tracks.items()},
            fallbacks=dict(self.fallbacks),
            workers=workers,
        )


def _summed(tracks: list[Track]) -> LaneStatistics:
    return LaneStatistics(
        admitted=sum(track.admitted for track in tracks),
        running=sum(track.running for track in tracks),
        done=sum(track.done for track in tracks),
        failed=sum(track.failed for track in tracks),
        cancelled=sum(track.cancelled for track in tracks),
        abandoned=sum(track.abandoned for track in tracks),
        busy_s=sum(track.busy_s for track in tracks),
    )
