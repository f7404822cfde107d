"""A runtime's statistics as families of numbered series: what every metrics format says the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from lanewise.lanes.cluster import ClusterStatistics
from lanewise.lanes.process import WorkerStatistics
from lanewise.model.lane import LANE_NAMES
from lanewise.runtime.loop_lag import LoopStatistics
from lanewise.runtime.statistics import CallCounts, RuntimeStatistics, ShedReason

Labels = Mapping[str, str]
Sample = tuple[Labels, float]

_OUTCOMES = ("done", "failed", "cancelled", "killed")
_REASONS: tuple[ShedReason, ...] = get_args(ShedReason)
_WORKER_EVENTS = ("started", "died", "killed", "retired", "start_failures")


@dataclass(frozen=True, slots=True)
class Family:
    """One measure with a series for each set of labels.

    Attributes:
        name: Words with underscores, the unit last, without any prefix.
        kind: A counter only ever grows.
        about: One line for people.
        unit: ``"s"``, or what is counted, in braces as OpenTelemetry writes it.
        samples: Labels and value of each series.
    """

    name: str
    kind: Literal["counter", "gauge"]
    about: str
    unit: str
    samples: tuple[Sample, ...]


def families(statistics: RuntimeStatistics, tasks: Mapping[str, CallCounts]) -> list[Family]:
    """Return all families, those of which a snapshot says nothing without samples.

    Args:
        statistics: The snapshot.
        tasks: The counts of the tasks that are told, see ``TaskLabels``.
    """
    places = statistics.places
    lanes: dict[str, CallCounts] = {
        name: statistics.lanes.get(name, CallCounts())
        for name in LANE_NAMES
        if name in places or name in statistics.lanes
    }
    return [
        *_of_calls("", "lane", lanes),
        *_of_calls("task_", "task", tasks),
        *_of_lanes(statistics),
        *_of_workers(statistics.workers),
        *_of_cluster(statistics.cluster),
        *_of_loop(statistics.loop),
        _single(
            "gil_enabled",
            "Whether this interpreter holds the GIL: 1 or 0.",
            "1",
            int(statistics.gil_enabled),
        ),
    ]


def _of_calls(prefix: str, label: str, counts: Mapping[str, CallCounts]) -> Iterable[Family]:
    """Return what is told of calls, of each lane or of each task."""

    def family(
        name: str,
        kind: Literal["counter", "gauge"],
        about: str,
        value: Callable[[CallCounts], float],
        unit: str = "{call}",
    ) -> Family:
        rows = tuple(({label: key}, value(row)) for key, row in counts.items())
        return Family(prefix + name, kind, about, unit, rows)

    ended = tuple(
        ({label: key, "outcome": outcome}, getattr(row, outcome))
        for key, row in counts.items()
        for outcome in _OUTCOMES
    )
    return (
        # Not the admitted alone: a call that has waited in vain is taken back out of those.
        family(
            "calls_submitted",
            "counter",
            f"Calls that were made, by {label}; those that were refused included.",
            lambda row: row.admitted + row.shed,
        ),
        Family(
            f"{prefix}calls_ended",
            "counter",
            f"Calls that ended, by {label} and outcome.",
            "{call}",
            ended,
        ),
        family("calls_shed", "counter", f"Calls that were refused, by {label}.", lambda r: r.shed),
        family(
            "calls_abandoned",
            "counter",
            f"Of the cancelled, calls that nothing could stop, by {label}.",
            lambda row: row.abandoned,
        ),
        family("calls_running", "gauge", f"Calls that run now, by {label}.", lambda r: r.running),
        family("calls_waiting", "gauge", f"Calls that wait now, by {label}.", lambda r: r.waiting),
        family(
            "busy_seconds",
            "counter",
            f"Time that calls spent on their lane, by {label}.",
            lambda row: row.busy_s,
            "s",
        ),
        family(
            "wait_seconds",
            "counter",
            f"Time that calls waited for a place, by {label}.",
            lambda row: row.wait_s,
            "s",
        ),
    )


def _of_lanes(statistics: RuntimeStatistics) -> Iterable[Family]:
    places = tuple(({"lane": name}, count) for name, count in statistics.places.items())
    shed = tuple(({"reason": why}, statistics.shed_by_reason.get(why, 0)) for why in _REASONS)
    return (
        Family("places", "gauge", "Calls that a lane runs at once.", "{call}", places),
        Family("shed", "counter", "Calls that were refused, by reason.", "{call}", shed),
        _single(
            "corrections",
            "Tasks and sizes that go elsewhere than was planned.",
            "{correction}",
            len(statistics.corrections),
        ),
    )


def _of_workers(workers: WorkerStatistics | None) -> Iterable[Family]:
    states: tuple[Sample, ...] = ()
    events: tuple[Sample, ...] = ()
    if workers is not None:
        states = tuple(({"state": state}, getattr(workers, state)) for state in ("busy", "idle"))
        events = tuple(({"event": event}, getattr(workers, event)) for event in _WORKER_EVENTS)
    return (
        Family("workers", "gauge", "Worker processes, by what they do.", "{process}", states),
        Family("worker_events", "counter", "What happened to workers.", "{event}", events),
    )


def _of_cluster(cluster: ClusterStatistics | None) -> Iterable[Family]:
    if cluster is None:
        return ()  # most services have none, and need not be told so
    nodes = cluster.nodes
    crossed = (
        ("out", sum(node.bytes_out for node in nodes)),
        ("in", sum(node.bytes_in for node in nodes)),
    )
    rows = tuple(({"direction": name}, value) for name, value in crossed)
    about = "Bytes that crossed to and from the cluster's present nodes."
    return (
        _single("cluster_nodes", "Nodes of the cluster that can be used.", "{node}", len(nodes)),
        _single("cluster_queued", "Calls that no node has yet.", "{call}", cluster.queued),
        Family("cluster_bytes", "gauge", about, "By", rows),
        Family(
            "cluster_nodes_lost",
            "counter",
            "Nodes that went while calls could go there.",
            "{node}",
            (({}, cluster.lost_nodes),),
        ),
    )


def _of_loop(loop: LoopStatistics | None) -> Iterable[Family]:
    stalls: tuple[Sample, ...] = () if loop is None else (({}, loop.stalls),)
    about = "Times in which the event loop ran one piece of code for long."
    return (
        Family("loop_stalls", "counter", about, "{stall}", stalls),
        _single(
            "loop_lag_max_seconds",
            "The largest lag of the event loop so far.",
            "s",
            None if loop is None else loop.max_s,
        ),
        _single(
            "switch_interval_seconds",
            "The interpreter's switch interval.",
            "s",
            None if loop is None else loop.switch_interval_s,
        ),
    )


def _single(name: str, about: str, unit: str, value: float | None) -> Family:
    return Family(name, "gauge", about, unit, () if value is None else (({}, value),))
