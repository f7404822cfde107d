"""What happened lately, out of counts that grow for ever: the difference of two snapshots."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from lanewise.runtime.statistics import RuntimeStatistics

# Snapshots that come faster than this are not kept: the oldest one decides anyway.
_APART_S = 1.0


@dataclass(frozen=True, slots=True)
class Taken:
    """A snapshot and the moment of ``time.monotonic()`` at which it was taken."""

    at_s: float
    statistics: RuntimeStatistics


class Recent:
    """Keeps enough snapshots to look back over a window. Owner: the runtime's loop.

    Args:
        window_s: How far to look back. Where snapshots are taken more rarely, to the one before.
    """

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._kept: deque[Taken] = deque()

    def since(self, now: Taken) -> Taken | None:
        """Note a snapshot; return the one to compare it with, or None for the first."""
        kept = self._kept
        if kept and _went_back(kept[-1].statistics, now.statistics):
            kept.clear()
        while len(kept) > 1 and kept[1].at_s <= now.at_s - self._window_s:
            kept.popleft()
        before = kept[0] if kept else None
        if not kept or now.at_s - kept[-1].at_s >= _APART_S:
            kept.append(now)
        return before


def _went_back(before: RuntimeStatistics, now: RuntimeStatistics) -> bool:
    """Whether these are counts of another runtime, which has begun anew."""
    earlier = sum(counts.admitted + counts.shed for counts in before.lanes.values())
    later = sum(counts.admitted + counts.shed for counts in now.lanes.values())
    beats_before = 0 if before.loop is None else before.loop.beats
    beats_now = 0 if now.loop is None else now.loop.beats
    return later < earlier or beats_now < beats_before
