"""Snapshots with plain values, of which each test changes what it is about."""

from __future__ import annotations

from typing import Any

from lanewise.lanes.process import WorkerStatistics
from lanewise.runtime.loop_lag import LagRecord, LoopStatistics, Stall
from lanewise.runtime.statistics import CallCounts, Correction, RuntimeStatistics
from lanewise.web.recent import Taken


def counts(**changes: Any) -> CallCounts:
    values: dict[str, Any] = {"admitted": 10, "done": 8, "failed": 1, "running": 1, "shed": 2}
    return CallCounts(**{**values, **changes})


def loop(*lags_s: float, stalls: tuple[Stall, ...] = ()) -> LoopStatistics:
    record = LagRecord()
    for lag_s in lags_s:
        record.beat(lag_s)
    for stall in stalls:
        record.stalled(stall)
    return record.snapshot(0.005)


def workers(**changes: int) -> WorkerStatistics:
    values = {
        "busy": 1,
        "idle": 1,
        "queued": 0,
        "started": 3,
        "died": 1,
        "killed": 1,
        "retired": 0,
        "start_failures": 0,
    }
    return WorkerStatistics(**{**values, **changes})


def statistics(**changes: Any) -> RuntimeStatistics:
    values: dict[str, Any] = {
        "lanes": {"thread": counts(), "process": counts(killed=1, busy_s=1.5, wait_s=0.25)},
        "waiting": 0,
        "shed": 4,
        "shed_by_reason": {"full": 3, "deadline": 1},
        "routes": {("app:match", "process", "default"): 10},
        "reasons": {("app:match", "process", "default"): "it carries most"},
        "fallbacks": {},
        "tasks": {"app:match": counts()},
        "places": {"event_loop": 1, "thread": 8, "process": 2},
        "workers": workers(),
        "loop": loop(0.0001, 0.02),
    }
    return RuntimeStatistics(**{**values, **changes})


def full() -> RuntimeStatistics:
    """Something of everything, names that nobody would choose included."""
    evil = '<img src=x onerror=alert(1)>\n"\\ä\udc80'
    stall = Stall(1.0, 0.2, f"{evil}:3 f", f"do {evil}", (evil, "b"), 3, 1.0)
    return statistics(
        tasks={evil: counts(), "(others)": counts()},
        routes={(evil, "thread", evil): 3},
        reasons={(evil, "thread", evil): evil},
        fallbacks={evil: evil},
        corrections=(Correction(evil, evil, "thread/default", "process/default", evil),),
        loop=loop(0.3, stalls=(stall,)),
    )


def taken(at_s: float, **changes: Any) -> Taken:
    return Taken(at_s, statistics(**changes))
