"""Counting what happens to calls."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

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
    """

    lanes: dict[LaneName, LaneStatistics]
    waiting: int
    shed: int
    routes: dict[tuple[str, LaneName, str], int]
    fallbacks: dict[str, str]


@dataclass(slots=True)
class Tally:
    """The growing counts. Owner: the runtime's event loop."""

    admitted: Counter[LaneName] = field(default_factory=Counter)
    outcomes: Counter[tuple[LaneName, Outcome]] = field(default_factory=Counter)
    running: Counter[LaneName] = field(default_factory=Counter)
    in_flight: Counter[str] = field(default_factory=Counter)
    busy_s: dict[LaneName, float] = field(default_factory=dict)
    routes: Counter[tuple[str, LaneName, str]] = field(default_factory=Counter)
    fallbacks: dict[str, str] = field(default_factory=dict)
    waiting: int = 0
    shed: int = 0

    def begin(self, task: str, lane: LaneName, variant: str, calls: int = 1) -> None:
        """Calls were admitted and start on their lane."""
        self.admitted[lane] += calls
        self.running[lane] += calls
        self.in_flight[task] += calls
        self.routes[task, lane, variant] += calls

    def end(
        self, task: str, lane: LaneName, outcome: Outcome, busy_s: float, calls: int = 1
    ) -> None:
        """Calls left their lane."""
        self.running[lane] -= calls
        self.outcomes[lane, outcome] += calls
        self.busy_s[lane] = self.busy_s.get(lane, 0.0) + busy_s
        self.in_flight[task] -= calls
        if not self.in_flight[task]:
            del self.in_flight[task]  # tasks come and go; the table must not grow for ever

    def snapshot(self) -> RuntimeStatistics:
        """Return an immutable copy."""
        return RuntimeStatistics(
            lanes={lane: self._lane(lane) for lane in self.admitted},
            waiting=self.waiting,
            shed=self.shed,
            routes=dict(self.routes),
            fallbacks=dict(self.fallbacks),
        )

    def _lane(self, lane: LaneName) -> LaneStatistics:
        return LaneStatistics(
            admitted=self.admitted[lane],
            running=self.running[lane],
            done=self.outcomes[lane, "done"],
            failed=self.outcomes[lane, "failed"],
            cancelled=self.outcomes[lane, "cancelled"],
            abandoned=self.outcomes[lane, "abandoned"],
            busy_s=self.busy_s.get(lane, 0.0),
        )
