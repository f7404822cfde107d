"""What a runtime tells of itself: immutable snapshots."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Literal

from lanewise.lanes.cluster import ClusterStatistics
from lanewise.lanes.process import WorkerStatistics
from lanewise.model.lane import LaneName
from lanewise.runtime.loop_lag import LoopStatistics

ShedReason = Literal["full", "displaced", "predicted_wait", "queue_timeout", "deadline"]


@dataclass(frozen=True, slots=True)
class CallCounts:
    """What became of calls: ``admitted = done + failed + cancelled + killed + running + waiting``.

    Attributes:
        admitted: Calls that were let in and not shed afterwards.
        running: Calls that have begun on their lane and not ended.
        waiting: Calls that wait for a place on their lane.
        done: Calls that returned.
        failed: Calls that raised, those whose worker died included.
        cancelled: Calls whose caller left, or whose time was over: they were taken back, or left alone.
        killed: Calls that were stopped for the same reasons by killing the process that ran them.
        abandoned: Of the cancelled, those that nothing could stop where they ran.
        shed: Calls that were refused, before or after they had waited. Not among the admitted.
        busy_s: Seconds that calls spent on their lane.
        wait_s: Seconds that they waited for a place there.
    """

    admitted: int = 0
    running: int = 0
    waiting: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    killed: int = 0
    abandoned: int = 0
    shed: int = 0
    busy_s: float = 0.0
    wait_s: float = 0.0


def summed(counts: Iterable[CallCounts]) -> CallCounts:
    """Add counts up."""
    rows = list(counts)
    return CallCounts(*(sum(getattr(row, one.name) for row in rows) for one in fields(CallCounts)))


@dataclass(frozen=True, slots=True)
class Correction:
    """Where what was seen leads calls elsewhere than the plan, or the first guess, had them go.

    Attributes:
        task: Which calls.
        size_class: Of which sizes, in words.
        planned: Lane and variant that were to be taken, as ``lane/variant``.
        now: Those that are taken.
        reason: Why, in words.
    """

    task: str
    size_class: str
    planned: str
    now: str
    reason: str


@dataclass(frozen=True, slots=True)
class RuntimeStatistics:
    """A snapshot of a runtime. Nothing in it changes afterwards.

    Attributes:
        lanes: Counts of each lane.
        tasks: Counts of each task. Of tasks that have not been called for long, when there are many, all
            together under ``"(others)"``.
        calls: Counts of each task on each lane.
        waiting: Calls that wait for a place on any lane.
        shed: How many were refused; ``shed_by_reason`` tells why.
        routes: How often each task went to which lane and variant, as (task, lane, variant).
        reasons: Why the last call of each of these went there, in words.
        fallbacks: For each task that could not follow its route, why.
        corrections: Where calls go elsewhere than was planned.
        places: How many calls each lane runs at once.
        workers: What happened to worker processes; None without a process lane.
        loop: How late the event loop was; None where nothing watches it.
        gil_enabled: Whether this interpreter holds the GIL at this moment.
        contended: Tasks whose calls slow each other down in threads that run without the lock (FT201),
            with how many times as long they take there as with objects of their own.
        cluster: The nodes of the cluster lane; None without one.
    """

    lanes: dict[LaneName, CallCounts]
    waiting: int
    shed: int
    routes: dict[tuple[str, LaneName, str], int]
    fallbacks: dict[str, str]
    workers: WorkerStatistics | None = None
    tasks: dict[str, CallCounts] = field(default_factory=dict)
    calls: dict[tuple[str, LaneName], CallCounts] = field(default_factory=dict)
    shed_by_reason: dict[ShedReason, int] = field(default_factory=dict)
    reasons: dict[tuple[str, LaneName, str], str] = field(default_factory=dict)
    corrections: tuple[Correction, ...] = ()
    places: dict[LaneName, int] = field(default_factory=dict)
    loop: LoopStatistics | None = None
    gil_enabled: bool = True
    contended: dict[str, float] = field(default_factory=dict)
    cluster: ClusterStatistics | None = None
