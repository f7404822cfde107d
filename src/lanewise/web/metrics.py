"""A runtime's statistics in the Prometheus text format, 0.0.4."""

from __future__ import annotations

import functools
import math
import platform
from collections.abc import Iterator

from lanewise.host.facts import library_version
from lanewise.runtime.loop_lag import LoopStatistics
from lanewise.runtime.statistics import RuntimeStatistics
from lanewise.web.families import Family, Labels, families
from lanewise.web.task_labels import TaskLabels

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "lanewise_"


def metrics_text(statistics: RuntimeStatistics, *, labels: TaskLabels | None = None) -> str:
    """Return a snapshot as metrics for Prometheus.

    Every lane has its lines; of the tasks, the hundred with most calls do, and all others are one more,
    ``(others)``. Counters only grow. The event loop's lag is a histogram.

    Args:
        statistics: From ``runtime.statistics()``.
        labels: Which tasks have lines of their own. Whoever exports again and again keeps one of these,
            so that no task moves between two scrapes; :func:`lanewise.web.dashboard` does.

    Threads: may be called from any.
    """
    tasks = (labels or TaskLabels()).of(statistics)
    lines: list[str] = []
    for family in families(statistics, tasks):
        if family.samples:
            lines += _family(family)
    if statistics.loop is not None:
        lines += _lag(statistics.loop)
    facts = {"version": library_version(), "python": platform.python_version()}
    lines += _head("info", "gauge", "Versions of lanewise and Python.")
    lines.append(f"{_PREFIX}info{_labelled(facts)} 1")
    return "\n".join(lines) + "\n"


def _family(family: Family) -> Iterator[str]:
    name = family.name + ("_total" if family.kind == "counter" else "")
    yield from _head(name, family.kind, family.about)
    start = _PREFIX + name
    for labels, value in family.samples:
        yield f"{start}{_labelled(labels)} {_number(value)}"


def _lag(loop: LoopStatistics) -> Iterator[str]:
    name = "loop_lag_seconds"
    yield from _head(name, "histogram", "How late the event loop was, at regular moments.")
    seen = 0
    for bound_s, count in loop.histogram:
        seen += count
        yield f"{_PREFIX}{name}_bucket{_labelled({'le': _number(bound_s)})} {seen}"
    yield f"{_PREFIX}{name}_sum {_number(loop.sum_s)}"
    # Of the buckets, and not of the beats, which could have been counted at another moment.
    yield f"{_PREFIX}{name}_count {seen}"


def _head(name: str, kind: str, about: str) -> tuple[str, str]:
    told = about.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {_PREFIX}{name} {told}", f"# TYPE {_PREFIX}{name} {kind}"


def _labelled(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join([_label(name, value) for name, value in labels.items()]) + "}"


# Of a hundred tasks there are a thousand series, and the loop waits while they are written.
@functools.lru_cache(maxsize=1024)
def _label(name: str, value: str) -> str:
    # What cannot be encoded would make the whole answer fail.
    sound = value.encode("utf-8", "replace").decode("utf-8")
    escaped = sound.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{name}="{escaped}"'


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(value)
