"""What happened to the workers of a lane."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class CrewCounts:
    """What happened to workers since the lane was opened."""

    started: int = 0
    died: int = 0
    killed: int = 0
    retired: int = 0
    start_failures: int = 0


@dataclass(frozen=True, slots=True)
class WorkerStatistics:
    """A snapshot of the worker processes. Nothing in it changes afterwards.

    Attributes:
        busy: Workers that have calls; ``idle`` those that have none, the spare one included.
        queued: Calls that no worker has.
        started: Workers that became ready, since the lane was opened.
        died: Workers that ended with a call, or without being told to; ``killed`` of them by lanewise,
            for a timeout, a cancellation or their size.
        retired: Workers that were told to leave: idle for long, used up, or grown.
        start_failures: Workers that could not be started.
    """

    busy: int
    idle: int
    queued: int
    started: int
    died: int
    killed: int
    retired: int
    start_failures: int
