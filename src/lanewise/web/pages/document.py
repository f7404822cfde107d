"""A runtime's statistics as JSON, of bounded size."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

from lanewise.lanes.cluster import ClusterStatistics
from lanewise.runtime.loop_lag import LoopStatistics, Stall
from lanewise.runtime.statistics import CallCounts, RuntimeStatistics
from lanewise.web.facts import process_facts

VERSION = 1
"""Of the document; it grows when a key changes its meaning or goes, and not when one is added."""

# What the page can show, and what the loop can write in well below a millisecond.
_MOST_TASKS = 100
_MOST_ROUTES = 100
_MOST_WORDS = 50
_MOST_NODES = 100
_MOST_FRAMES = 20
_LONGEST_TEXT = 300
_COUNTS = tuple(one.name for one in fields(CallCounts))


def statistics_document(statistics: RuntimeStatistics) -> dict[str, Any]:
    """Return a snapshot as what JSON can say. The largest of each kind; ``left_out`` counts the rest."""
    places: Mapping[str, int] = {str(lane): count for lane, count in statistics.places.items()}
    tasks = _largest(statistics.tasks, _MOST_TASKS)
    routes = sorted(statistics.routes.items(), key=lambda row: -row[1])[:_MOST_ROUTES]
    corrections = statistics.corrections[-_MOST_WORDS:]
    fallbacks = list(statistics.fallbacks.items())[:_MOST_WORDS]
    return {
        "version": VERSION,
        "at_s": time.time(),
        # For rates: never set back, and of no meaning beyond differences.
        "clock_s": time.monotonic(),
        "process": {**process_facts(), "gil_enabled": statistics.gil_enabled},
        "waiting": statistics.waiting,
        "shed": statistics.shed,
        "shed_by_reason": dict(statistics.shed_by_reason),
        "lanes": [
            {"lane": lane, "places": places.get(lane), **_plain(counts)}
            for lane, counts in _lanes(statistics).items()
        ],
        "workers": None if statistics.workers is None else asdict(statistics.workers),
        "cluster": None if statistics.cluster is None else _cluster(statistics.cluster),
        "loop": None if statistics.loop is None else _loop(statistics.loop),
        "routes": [
            {
                "task": _cut(key[0]),
                "lane": key[1],
                "variant": _cut(key[2]),
                "calls": calls,
                "reason": _cut(statistics.reasons.get(key, "")),
            }
            for key, calls in routes
        ],
        "corrections": [
            {name: _cut(value) for name, value in asdict(one).items()} for one in corrections
        ],
        "fallbacks": [{"task": _cut(task), "reason": _cut(why)} for task, why in fallbacks],
        "tasks": [{"task": _cut(task), **_plain(counts)} for task, counts in tasks],
        "left_out": {
            "tasks": len(statistics.tasks) - len(tasks),
            "routes": len(statistics.routes) - len(routes),
            "corrections": len(statistics.corrections) - len(corrections),
            "fallbacks": len(statistics.fallbacks) - len(fallbacks),
        },
    }


def written(document: Mapping[str, Any]) -> bytes:
    """Return a document as JSON: ASCII, so that no name in it can be wrongly encoded."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")


def _lanes(statistics: RuntimeStatistics) -> dict[str, CallCounts]:
    found: dict[str, CallCounts] = {lane: CallCounts() for lane in statistics.places}
    return {**found, **{str(lane): counts for lane, counts in statistics.lanes.items()}}


def _plain(counts: CallCounts) -> dict[str, float]:
    # asdict() would take ten times as long, and there are a hundred tasks.
    return {name: getattr(counts, name) for name in _COUNTS}


def _largest(tasks: Mapping[str, CallCounts], most: int) -> list[tuple[str, CallCounts]]:
    ordered = sorted(tasks.items(), key=lambda row: (-(row[1].admitted + row[1].shed), row[0]))
    return ordered[:most]


def _loop(loop: LoopStatistics) -> dict[str, Any]:
    return {
        "beats": loop.beats,
        # None is beyond all bounds, which JSON has no number for.
        "histogram": [
            [bound_s if math.isfinite(bound_s) else None, count]
            for bound_s, count in loop.histogram
        ],
        "p50_s": loop.p50_s,
        "p99_s": loop.p99_s,
        "max_s": loop.max_s,
        "sum_s": loop.sum_s,
        "stalls": loop.stalls,
        "last_stalls": [_stall(stall) for stall in loop.last_stalls],
        "switch_interval_s": loop.switch_interval_s,
    }


def _cluster(cluster: ClusterStatistics) -> dict[str, Any]:
    return {
        "nodes": [
            {**asdict(node), "name": _cut(node.name)} for node in cluster.nodes[:_MOST_NODES]
        ],
        "nodes_left_out": max(0, len(cluster.nodes) - _MOST_NODES),
        "queued": cluster.queued,
        "lost_nodes": cluster.lost_nodes,
        "lost_calls": cluster.lost_calls,
        "unavailable": None if cluster.unavailable is None else _cut(cluster.unavailable),
    }


def _stall(stall: Stall) -> dict[str, Any]:
    return {
        **asdict(stall),
        "where": _cut(stall.where),
        "advice": _cut(stall.advice),
        "stack": _cut_all(stall.stack[-_MOST_FRAMES:]),
    }


def _cut_all(texts: Iterable[str]) -> list[str]:
    return [_cut(text) for text in texts]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"
