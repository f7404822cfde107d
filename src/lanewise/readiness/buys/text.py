"""What another interpreter buys, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lanewise.model.units import format_count, format_seconds
from lanewise.readiness.buys.samples import InterpreterYield, LaneYield, TaskBuys


def render_buys(tasks: Iterable[TaskBuys]) -> str:
    """Return one block of lines for each task."""
    return "\n".join(line for task in tasks for line in _lines(task))


def _lines(task: TaskBuys) -> Iterator[str]:
    yield task.task
    for one in (task.here, task.there):
        if one is not None and task.error is None:
            yield f"  {_interpreter(one)}"
            yield from (f"    {_lane(lane, task.callers)}" for lane in one.lanes)
            yield from (f"    {lane}: {why}" for lane, why in one.unavailable.items())
    yield f"  {task.verdict}"


def _interpreter(one: InterpreterYield) -> str:
    lock = "lock on" if one.gil_enabled else "lock off"
    build = "free-threaded, " if one.free_threaded else ""
    call = "" if one.call_s is None else f", {format_seconds(one.call_s)} a call"
    return f"{one.python}: {one.version} ({build}{lock}){call}"


def _lane(lane: LaneYield, callers: int) -> str:
    counted = f"{lane.kept} of {lane.taken} samples with {callers} cores"
    if lane.together_per_s is None or lane.alone_per_s is None or lane.scaling is None:
        return f"{lane.lane}: too busy to say ({counted})"
    return (
        f"{lane.lane}: {format_count(round(lane.alone_per_s, 1))} calls/s alone, "
        f"{format_count(round(lane.together_per_s, 1))} with {callers} callers, "
        f"{lane.scaling:.2f} times ({counted})"
    )
