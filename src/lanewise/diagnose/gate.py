"""Conditions under which CI fails: ``loop_lag_p99_ms>20``, ``gil_held:app.views.export>0.1``. Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lanewise.diagnose.loops import LoopTime
from lanewise.diagnose.places_of_code import means
from lanewise.diagnose.states import COLUMNS, Column
from lanewise.diagnose.summary import ProcessSummary
from lanewise.errors import DiagnoseError

_CONDITION = re.compile(r"^\s*([a-z_0-9]+)(?::([\w.:<>]+?))?\s*(>=|<=|>|<)\s*([0-9.eE+-]+)\s*$")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_LOOP_S: dict[str, Callable[[LoopTime], float]] = {
    "loop_lag_p50": lambda loop: loop.lag_p50_s,
    "loop_lag_p99": lambda loop: loop.lag_p99_s,
    "loop_lag_max": lambda loop: loop.lag_max_s,
}
_UNITS = {"_s": 1.0, "_ms": 1e3, "_us": 1e6}
_OF_FUNCTIONS = ("gil_held", *COLUMNS)
# What cannot be told of a process whose lock was not seen.
_OF_THE_LOCK = {"gil_held", "python_gil", "native_gil", "native_free", "gil_wait"}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, as it was written and in parts."""

    text: str
    metric: str
    function: str | None
    comparison: str
    limit: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a condition was compared with.

    Attributes:
        value: None where there was nothing to compare: no loop, or no such function, which is never a
            failure.
        unseen: Why it could not be told, where the GIL or the stacks of some process were not seen; that
            is a failure, for nobody would notice that the condition is not checked.
    """

    condition: Condition
    value: float | None
    failed: bool
    unseen: str = ""


def parse_condition(text: str) -> Condition:
    """Read a condition.

    Raises:
        DiagnoseError: It is none, or of something that is not measured.
    """
    found = _CONDITION.match(text)
    if found is None:
        raise DiagnoseError(
            f"{text!r} is no condition: write METRIC>NUMBER or METRIC:FUNCTION>NUMBER, such as "
            "'loop_lag_p99_ms>20' or 'gil_held:app.views.export>0.1'"
        )
    metric, function, comparison, number = found.groups()
    known = [*(name + unit for name in _LOOP_S for unit in _UNITS), "loop_stalled", *_OF_FUNCTIONS]
    if metric not in known or (function and metric not in _OF_FUNCTIONS):
        raise DiagnoseError(f"{metric!r} is not measured; there are: {', '.join(known)}")
    try:
        return Condition(text.strip(), metric, function, comparison, float(number))
    except ValueError as error:
        raise DiagnoseError(f"{number!r} in {text!r} is not a number") from error


def check(conditions: Sequence[Condition], summaries: Sequence[ProcessSummary]) -> list[Verdict]:
    """Compare each condition with the worst process."""
    verdicts = []
    for condition in conditions:
        values = [value for one in summaries if (value := _value(condition, one)) is not None]
        worst = (max if condition.comparison.startswith(">") else min)(values, default=None)
        failed = worst is not None and _COMPARE[condition.comparison](worst, condition.limit)
        unseen = "" if failed else _unseen(condition, summaries)
        verdicts.append(Verdict(condition, worst, failed or bool(unseen), unseen))
    return verdicts


def _unseen(condition: Condition, summaries: Sequence[ProcessSummary]) -> str:
    """Why a condition could not be checked in some process; empty where it was."""
    of_stacks = condition.function is not None or condition.metric.startswith("loop_")
    for record in (one.record for one in summaries):
        if condition.metric in _OF_THE_LOCK and not record.gil_known:
            return f"the GIL of process {record.pid} could not be seen"
        if of_stacks and record.looks and not record.stacks:
            return f"the functions and loops of process {record.pid} could not be seen"
    return ""


def _value(condition: Condition, summary: ProcessSummary) -> float | None:
    if condition.metric in _OF_THE_LOCK and not summary.record.gil_known:
        return None
    for name, value_of in _LOOP_S.items():
        for unit, factor in _UNITS.items():
            if condition.metric == name + unit:
                return max((value_of(loop) * factor for loop in summary.loops), default=None)
    if condition.metric == "loop_stalled":
        return max((loop.stalled_share for loop in summary.loops), default=None)
    if condition.function is None:
        return _of_process(condition.metric, summary)
    values = [
        sum(one.total[column] for column in _columns(condition.metric))
        for one in summary.everywhere
        if means(condition.function, one.frame)
    ]
    return sum(values) if values else None


def _columns(metric: str) -> tuple[Column, ...]:
    if metric == "gil_held":
        return ("python_gil", "native_gil")
    return tuple(column for column in COLUMNS if column == metric)


def _of_process(metric: str, summary: ProcessSummary) -> float:
    if metric == "gil_held":
        return summary.gil_held_share
    return sum(
        thread.shares[column] * thread.alive_s / summary.record.wall_s
        for thread in summary.threads
        for column in _columns(metric)
    )
