"""What a call takes of its lane, and what its end means for that."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from typing import Any

from lanewise.model.lane import GoesOn, LaneName, was_abandoned, was_killed
from lanewise.runtime.admission import Door
from lanewise.runtime.tally import Outcome, Track
from lanewise.runtime.waiting_room import WHOLE

# Calls in a process that take less than this are sent several at once, and so share a place: many of
# the first kind, two of the second, which hides the way there and back.
_SHORT_S = 0.000_2
_MIDDLING_S = 0.020


def parts_of(lane: LaneName, expected_s: float | None) -> int:
    """How much of a place a call takes."""
    if lane != "process" or expected_s is None or expected_s >= _MIDDLING_S:
        return WHOLE
    return 1 if expected_s < _SHORT_S else WHOLE // 2


def by_clock(deadline: float | None, now_s: float) -> float | None:
    """Return a moment of ``time.monotonic()`` as one of the clock that shows ``now_s``."""
    return None if deadline is None else now_s + deadline - time.monotonic()


async def counted(track: Track, running: Coroutine[Any, Any, Any], calls: int) -> Any:
    """Await what so many calls are, and count how they end."""
    track.begin(calls)
    started = time.perf_counter()
    outcome: Outcome = "failed"
    try:
        result = await running
        outcome = "done"
        return result
    except asyncio.CancelledError as cancelled:
        outcome = how_cancelled(cancelled)
        raise
    finally:
        track.end(outcome, time.perf_counter() - started, calls)


def vacate_when_over(door: Door, parts: int, work_s: float, running: GoesOn) -> None:
    """An abandoned call keeps its place: what runs there still does."""
    loop = asyncio.get_running_loop()

    def over(_: object) -> None:  # in whatever thread ran it
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits
            loop.call_soon_threadsafe(door.vacate, parts, work_s, None)

    running.add_done_callback(over)


def how_cancelled(cancelled: BaseException) -> Outcome:
    """Say what became of the call whose caller was cancelled."""
    if was_abandoned(cancelled):
        return "abandoned"
    return "killed" if was_killed(cancelled) else "cancelled"
