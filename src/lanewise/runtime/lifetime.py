"""What an entered runtime holds, and how it begins and ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lanewise.model.lane import PRIORITIES, Lane, LaneName, OnCancel, Priority
from lanewise.runtime.admission import Door

# Opened where nothing else is said.
LANES: tuple[LaneName, ...] = ("event_loop", "thread", "process")
# What can be opened. Interpreters only where they are asked for: they cannot be stopped, and what crashes
# in one takes the service with it.
_OPENABLE: tuple[LaneName, ...] = (*LANES, "interpreter", "cluster")


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What one call may override."""

    lane: LaneName | None = None
    timeout_s: float | None = None
    on_cancel: OnCancel | None = None
    priority: Priority | None = None


async def close_all(
    lanes: Mapping[LaneName, Lane], grace_s: float | None, doors: Iterable[Door] = ()
) -> None:
    """Close every lane, all at once: what is in flight ends, or is killed when its time is over.

    Those who wait at a lane's door get their turn within the same time; then they are sent home.
    """
    until_s = None if grace_s is None else time.monotonic() + grace_s
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await asyncio.gather(*(door.drained() for door in doors))
    except asyncio.CancelledError:
        until_s = time.monotonic()
        raise
    finally:
        for door in doors:
            door.end()
        left_s = None if until_s is None else max(0.0, until_s - time.monotonic())
        await _close_lanes(lanes, left_s)


async def _close_lanes(lanes: Mapping[LaneName, Lane], grace_s: float | None) -> None:
    closing = [asyncio.ensure_future(lane.close(grace_s)) for lane in lanes.values()]
    try:
        await asyncio.gather(*closing, return_exceptions=True)
    except asyncio.CancelledError:
        # Each lane hurries when it is cancelled, and still leaves nothing behind.
        await asyncio.gather(*closing, return_exceptions=True)
        raise
    for closed in closing:
        closed.result()


def known_lanes(
    lanes: Iterable[LaneName] | None, cluster: str | None = None
) -> tuple[LaneName, ...]:
    """Return the lanes to open, those that are opened without being asked for with None.

    Raises:
        ValueError: One of them is unknown, or there is none.
    """
    wanted = LANES if lanes is None else tuple(lanes)
    if cluster is not None and "cluster" not in wanted:
        wanted = (*wanted, "cluster")
    elif cluster is None and "cluster" in wanted:
        raise ValueError(
            f"lanes={wanted!r}: say which cluster, with Runtime(cluster='local') for a private Ray on "
            "this machine, 'auto', 'host:port' or 'ray://host:port'"
        )
    unknown = [lane for lane in wanted if lane not in _OPENABLE]
    if unknown or not wanted:
        raise ValueError(
            f"lanes={wanted!r}: choose among {', '.join(_OPENABLE)}"
            + (f"; there is no {unknown[0]!r} here" if unknown else "")
        )
    return wanted


def at_least_one(name: str, value: int | None, default: int) -> int:
    """Return a count of workers, the default for None.

    Raises:
        ValueError: It is below 1.
    """
    if value is None:
        return default
    if value < 1:
        raise ValueError(f"{name}={value} must be at least 1, or None")
    return value


def positive(name: str, value: int | None) -> int | None:
    """Return a limit.

    Raises:
        ValueError: It is below 1.
    """
    if value is not None and value < 1:
        raise ValueError(f"{name}={value} must be at least 1, or None for no limit")
    return value


def on_cancel_named(value: OnCancel) -> OnCancel:
    """Return what is to happen on cancellation.

    Raises:
        ValueError: There is no such choice.
    """
    if value not in ("stop", "kill", "abandon"):
        raise ValueError(f"on_cancel={value!r} must be 'stop', 'kill' or 'abandon'")
    return value


def priority_named(value: Priority) -> Priority:
    """Return a class of calls.

    Raises:
        ValueError: There is none of that name.
    """
    if value not in PRIORITIES:
        raise ValueError(f"priority={value!r} must be one of {', '.join(PRIORITIES)}")
    return value
