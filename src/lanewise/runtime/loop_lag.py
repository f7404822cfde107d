"""How late an event loop is: a histogram of its lag, and the stalls that were seen. Pure: no clock."""

from __future__ import annotations

import bisect
from collections import deque
from dataclasses import dataclass, field

# Upper bounds in seconds, two to each doubling from 50 µs on: a percentile is then known to within 40 %,
# and a whole histogram is two dozen numbers. What is later than the last bound counts in one more.
BOUNDS_S: tuple[float, ...] = tuple(round(50e-6 * 2 ** (step / 2), 9) for step in range(34))
# Stalls that are kept; counted are all.
_KEPT_STALLS = 20


@dataclass(frozen=True, slots=True)
class Stall:
    """A time in which the loop did nothing but run one piece of code.

    Attributes:
        at_s: When it began, by the wall clock (``time.time()``).
        duration_s: How long the loop was away.
        where: The user's innermost frame that was seen most, as ``file:line function``; empty where no
            sample could be taken.
        advice: What to do about it, in words.
        stack: The frames of the last sample, outermost first.
        samples: How many samples were taken, and ``where_share`` in which share of them it was ``where``.
    """

    at_s: float
    duration_s: float
    where: str
    advice: str
    stack: tuple[str, ...] = ()
    samples: int = 0
    where_share: float = 0.0


@dataclass(frozen=True, slots=True)
class LoopStatistics:
    """A snapshot of a loop's lag.

    Attributes:
        beats: Heartbeats, each of which saw how late it was.
        histogram: Upper bound in seconds and count of heartbeats up to it, beyond the bound before.
            The last bound is infinite.
        p50_s: Median lag, as the upper bound of its class.
        p99_s: The 99th percentile likewise.
        max_s: The largest lag.
        stalls: Stalls so far; ``last_stalls`` are the newest, oldest first.
        switch_interval_s: The interpreter's switch interval at this moment.
        sum_s: All lags together.
    """

    beats: int
    histogram: tuple[tuple[float, int], ...]
    p50_s: float
    p99_s: float
    max_s: float
    stalls: int
    last_stalls: tuple[Stall, ...]
    switch_interval_s: float
    sum_s: float = 0.0


@dataclass(slots=True)
class LagRecord:
    """Growing counts. Owner: the loop that is watched."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    beats: int = 0
    max_s: float = 0.0
    sum_s: float = 0.0
    stalls: int = 0
    last_stalls: deque[Stall] = field(default_factory=lambda: deque(maxlen=_KEPT_STALLS))

    def beat(self, lag_s: float) -> None:
        """A heartbeat came so late; a clock that jumped back counts as no lag."""
        lag_s = max(lag_s, 0.0)
        self.beats += 1
        self.max_s = max(self.max_s, lag_s)
        self.sum_s += lag_s
        self.counts[bisect.bisect_left(BOUNDS_S, lag_s)] += 1

    def stalled(self, stall: Stall) -> None:
        """The loop was away for long."""
        self.stalls += 1
        self.last_stalls.append(stall)

    def percentile_s(self, share: float) -> float:
        """The bound below which that share of heartbeats lies; 0 before the first."""
        if not self.beats:
            return 0.0
        left = share * self.beats
        for bound_s, count in zip((*BOUNDS_S, self.max_s), self.counts, strict=True):
            left -= count
            if left <= 0:
                return min(bound_s, self.max_s)
        return self.max_s

    def snapshot(self, switch_interval_s: float) -> LoopStatistics:
        """Return an immutable copy."""
        return LoopStatistics(
            beats=self.beats,
            histogram=tuple(zip((*BOUNDS_S, float("inf")), self.counts, strict=True)),
            p50_s=self.percentile_s(0.5),
            p99_s=self.percentile_s(0.99),
            max_s=self.max_s,
            stalls=self.stalls,
            last_stalls=tuple(self.last_stalls),
            switch_interval_s=switch_interval_s,
            sum_s=self.sum_s,
        )
