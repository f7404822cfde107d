"""Whether a service should be sent requests now, and if not, why. Pure: no clock, no loop."""

from __future__ import annotations

from dataclasses import dataclass

from lanewise.model.lane import LaneName
from lanewise.runtime.loop_lag import LoopStatistics
from lanewise.runtime.statistics import CallCounts, RuntimeStatistics
from lanewise.web.recent import Taken

# Fewer heartbeats than this say nothing of a share of them.
_LEAST_BEATS = 5
_LATE_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on a service is not ready.

    Attributes:
        loop_lag_s: More than a tenth of recent heartbeats of the loop were later than this.
        wait_s: Calls that got a place recently had waited longer than this on average, or calls wait on a
            lane and none has ended there for this long.
    """

    loop_lag_s: float
    wait_s: float


def reasons_against(now: Taken, before: Taken | None, limits: Limits) -> list[str]:
    """Return why the service is not ready, in words; an empty list where it is.

    Args:
        now: The newest snapshot.
        before: The one to compare it with; None looks back to the beginning.
        limits: From when on it is not.
    """
    earlier = None if before is None else before.statistics
    found = [
        _of_loop(now.statistics.loop, None if earlier is None else earlier.loop, limits.loop_lag_s),
        _of_workers(now.statistics, earlier),
    ]
    if earlier is not None and before is not None:
        elapsed_s = now.at_s - before.at_s
        for lane, counts in now.statistics.lanes.items():
            then = earlier.lanes.get(lane, CallCounts())
            found.append(_of_lane(lane, counts, then, elapsed_s, limits.wait_s))
    return [reason for reason in found if reason is not None]


def _of_loop(
    now: LoopStatistics | None, before: LoopStatistics | None, limit_s: float
) -> str | None:
    if now is None:
        return None
    earlier = {} if before is None else dict(before.histogram)
    lately = [(bound_s, count - earlier.get(bound_s, 0)) for bound_s, count in now.histogram]
    beats = sum(count for _, count in lately)
    # A class counts as late when all of it is.
    lowest_s = 0.0
    late = 0
    for bound_s, count in lately:
        if lowest_s >= limit_s:
            late += count
        lowest_s = bound_s
    if beats < _LEAST_BEATS or late <= _LATE_SHARE * beats:
        return None
    return f"the event loop was later than {limit_s:g} s at {late / beats:.0%} of recent moments"


def _of_workers(now: RuntimeStatistics, before: RuntimeStatistics | None) -> str | None:
    workers = now.workers
    earlier = None if before is None else before.workers
    if workers is None or workers.busy or workers.idle:
        return None
    started = workers.started - (0 if earlier is None else earlier.started)
    failed = workers.start_failures - (0 if earlier is None else earlier.start_failures)
    never = workers.start_failures > 0 and not workers.started
    if not never and (started or not failed):
        return None
    return f"worker processes cannot be started: {workers.start_failures} attempts have failed"


def _of_lane(
    lane: LaneName, now: CallCounts, before: CallCounts, elapsed_s: float, limit_s: float
) -> str | None:
    """Say why a lane lets its callers wait too long, or None."""
    if now.waiting and before.waiting and elapsed_s >= limit_s and _ended(now) == _ended(before):
        calls = "call waits" if now.waiting == 1 else "calls wait"
        return (
            f"{now.waiting} {calls} for the {lane} lane, and none has ended for {elapsed_s:.0f} s"
        )
    served = _begun(now) - _begun(before)
    waited_s = now.wait_s - before.wait_s
    if not now.waiting or served <= 0 or waited_s <= limit_s * served:
        return None
    return f"calls wait {waited_s / served:.1f} s for the {lane} lane, more than {limit_s:g} s"


def _ended(counts: CallCounts) -> int:
    return counts.done + counts.failed + counts.cancelled + counts.killed


def _begun(counts: CallCounts) -> int:
    return _ended(counts) + counts.running
