"""Two sessions side by side: what got better, what got worse, and what the noise does not tell. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lanewise.diagnose.states import COLUMNS, Column
from lanewise.diagnose.summary import FunctionTime, ProcessSummary

# Differences below two standard errors, and below this, are not told.
_SURE = 2.0
_LEAST = 0.01
_LEAST_LAG = 0.25

_WAITS: tuple[Column, ...] = ("gil_wait", "run_queue")

Sense = Literal["better", "worse", "other", "same"]
_BAD = {
    "python_gil": False,
    "native_gil": False,
    "gil_wait": True,
    "run_queue": True,
    "lock_wait": True,
}


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of both sessions.

    Attributes:
        what: In words: a process's figure, or a function with its column.
        before, after: None where one session has no such thing.
        error: Standard error of the difference, 0 where none is known.
        sense: ``same`` where the noise does not support a difference.
    """

    what: str
    before: float | None
    after: float | None
    error: float
    sense: Sense


def compare_sessions(
    before: Sequence[ProcessSummary], after: Sequence[ProcessSummary]
) -> list[Change]:
    """Compare the process of each session that computed most, and then every function that either has.

    Of a server that is followed, the first is the one that only starts the others.
    """
    if not before or not after:
        return []
    old, new = _busiest(before), _busiest(after)
    return [*_of_process(old, new), *_of_functions(old, new)]


def _busiest(summaries: Sequence[ProcessSummary]) -> ProcessSummary:
    return max(summaries, key=_computed_s)


def _computed_s(summary: ProcessSummary) -> float:
    return sum(
        thread.alive_s * (1 - thread.shares["io_sleep"] - thread.shares["lock_wait"])
        for thread in summary.threads
    )


def _of_process(old: ProcessSummary, new: ProcessSummary) -> Iterator[Change]:
    error = math.hypot(old.gil_held_error, new.gil_held_error)
    yield Change(
        "GIL held",
        old.gil_held_share,
        new.gil_held_share,
        error,
        _sense(old.gil_held_share, new.gil_held_share, error, bad=False),
    )
    for column in _WAITS:
        was, now = (_share_of(one, column) for one in (old, new))
        spread = math.hypot(was[1], now[1])
        sense = _sense(was[0], now[0], spread, bad=True)
        yield Change(column, was[0], now[0], spread, sense)
    if old.loops or new.loops:
        yield _lag_change(old.lag_p99_s, new.lag_p99_s)
        before, after = _stalled(old), _stalled(new)
        yield Change("loop stalled", before, after, 0.0, _sense_of(before, after, 0.0, bad=True))


def _share_of(summary: ProcessSummary, column: Column) -> tuple[float, float]:
    """Over all threads, with its standard error."""
    weights = [thread.alive_s / summary.record.wall_s for thread in summary.threads]
    pairs = list(zip(weights, summary.threads, strict=True))
    return (
        sum(weight * thread.shares[column] for weight, thread in pairs),
        math.hypot(*(weight * thread.errors[column] for weight, thread in pairs)),
    )


def _stalled(summary: ProcessSummary) -> float | None:
    return max((loop.stalled_share for loop in summary.loops), default=None)


def _lag_change(before: float | None, after: float | None) -> Change:
    what = "loop lag p99 (s)"
    if before is None or after is None:
        return Change(what, before, after, 0.0, "other")
    if abs(after - before) <= _LEAST_LAG * max(before, after) or max(before, after) < 1e-3:  # noqa: PLR2004 - because: below the loop's own granularity
        return Change(what, before, after, 0.0, "same")
    return Change(what, before, after, 0.0, "worse" if after > before else "better")


def _of_functions(old: ProcessSummary, new: ProcessSummary) -> Iterator[Change]:
    was, now = ({_name(one): one for one in side.functions} for side in (old, new))
    changes = []
    for name in {**was, **now}:
        for column in COLUMNS:
            if column == "io_sleep":
                continue
            a, b = (side.get(name) for side in (was, now))
            x, y = (one.shares[column] if one else 0.0 for one in (a, b))
            error = math.hypot(*(one.errors[column] if one else 0.0 for one in (a, b)))
            sense = _sense(x, y, error, bad=_BAD.get(column, False))
            if sense != "same":
                changes.append(Change(f"{name} {column}", x, y, error, sense))
    yield from sorted(changes, key=lambda one: -abs((one.after or 0) - (one.before or 0)))


def _name(function: FunctionTime) -> str:
    # Not the line: it moves with every edit.
    return f"{function.frame.qualname} ({function.frame.file})"


def _sense_of(before: float | None, after: float | None, error: float, *, bad: bool) -> Sense:
    if before is None or after is None:
        return "other"
    return _sense(before, after, error, bad=bad)


def _sense(before: float, after: float, error: float, *, bad: bool) -> Sense:
    difference = after - before
    if abs(difference) <= max(_SURE * error, _LEAST):
        return "same"
    if not bad:
        return "other"
    return "worse" if difference > 0 else "better"
