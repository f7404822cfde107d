"""The rows, who competes in which of them, and the targets."""

import importlib
from dataclasses import dataclass

# Module and class of each contestant. Imported in its own process only: nobody pays for another's
# imports, and one that cannot be imported is missing from the rows and nothing else.
CONTESTANTS = {
    "lanewise": ("ours", "Lanewise"),
    "lanewise+uvloop": ("ours", "LanewiseUvloop"),
    "lanewise.Executor": ("ours", "LanewiseExecutor"),
    "ppe": ("standard", "StandardExecutor"),
    "ppe+uvloop": ("standard", "StandardExecutorUvloop"),
    "mp.Pool": ("standard", "StandardPool"),
    "anyio": ("peers", "AnyioProcess"),
    "anyio+uvloop": ("peers", "AnyioProcessUvloop"),
    "loky": ("peers", "Loky"),
    "pebble": ("peers", "Pebble"),
    "aiomultiprocess": ("peers", "Aiomultiprocess"),
    "trio-parallel": ("trio_peers", "TrioParallel"),
    "mpire": ("blocking_peers", "Mpire"),
    "joblib": ("blocking_peers", "Joblib"),
    "ray": ("ray_peers", "Ray"),
    "ping-pong": ("limits", "PingPong"),
    "ideal": ("limits", "Ideal"),
    "memcpy": ("limits", "Memcpy"),
}

# Distributions whose versions stand in the results.
PEERS = (
    "lanewise",
    "numpy",
    "uvloop",
    "anyio",
    "trio",
    "loky",
    "pebble",
    "mpire",
    "joblib",
    "aiomultiprocess",
    "trio-parallel",
    "ray",
)


@dataclass(frozen=True)
class Row:
    """One question.

    ``unit`` is ``"s"`` (less is better) or ``"calls/s"`` (more is better). ``relative`` names the
    second figure of a row that has one.
    """

    number: int
    title: str
    unit: str
    contestants: tuple[str, ...]
    relative: str = ""


ROWS = (
    Row(
        1,
        "no-op calls one after another, time per call",
        "s",
        (
            *("lanewise", "lanewise+uvloop", "lanewise.Executor", "ppe", "ppe+uvloop"),
            *("anyio", "anyio+uvloop", "ping-pong", "loky", "pebble", "mpire", "joblib"),
            *("aiomultiprocess", "trio-parallel", "ray"),
        ),
    ),
    Row(
        2,
        "no-op calls, 64 in flight, 2 workers",
        "calls/s",
        (
            *("lanewise", "lanewise+uvloop", "lanewise.Executor", "ppe", "ppe+uvloop"),
            *("anyio", "anyio+uvloop", "loky", "pebble", "mpire"),
            *("aiomultiprocess", "trio-parallel", "ray"),
        ),
    ),
    Row(
        3,
        "map over calls of 10 µs",
        "calls/s",
        ("lanewise", "lanewise.Executor", "ideal", "ppe", "mp.Pool", "mpire", "joblib"),
        "of the ideal",
    ),
    Row(
        4,
        "a large array as argument, time per call",
        "s",
        ("lanewise", "ppe", "loky", "joblib", "ray", "memcpy"),
    ),
    Row(
        5,
        "a large array as result, time per call",
        "s",
        ("lanewise", "ppe", "loky", "ray"),
    ),
    Row(
        6,
        "a call on a shared large array, time per call",
        "s",
        ("lanewise", "joblib", "ray"),
        "of a no-op",
    ),
    Row(
        7,
        "the parent's CPU time per call, 64 workers that sleep",
        "s",
        ("lanewise", "ppe"),
        "of that with 2",
    ),
    Row(
        8,
        "kill a running call of the only worker and run the next, cancel() to result",
        "s",
        ("lanewise", "anyio", "pebble", "trio-parallel"),
    ),
)


@dataclass(frozen=True)
class Target:
    """What lanewise is to reach.

    ``kind``: ``"faster"`` (times faster than ``against``, or more), ``"slower"`` (times slower, or
    less), ``"share"`` (of its throughput, or more), ``"relative"`` (the row's second figure, or less).
    """

    row: int
    against: str
    kind: str
    least: float
    aim: float


TARGETS = (
    Target(1, "ppe", "faster", 5, 10),
    Target(1, "anyio", "faster", 1.5, 3),
    Target(1, "ping-pong", "slower", 3, 1.7),
    Target(2, "ppe", "faster", 10, 30),
    Target(3, "ideal", "share", 0.7, 0.9),
    Target(4, "ppe", "faster", 8, 20),
    Target(4, "memcpy", "slower", 2, 1.3),
    Target(5, "ppe", "faster", 8, 15),
    Target(6, "a no-op", "relative", 1.5, 1.1),
    Target(7, "2 workers", "relative", 1.5, 1.1),
    Target(8, "anyio", "faster", 3, 10),
)


def reference_of(name):
    """Return the lanewise that a contestant is compared with: the one on the same kind of loop."""
    return "lanewise+uvloop" if name.endswith("+uvloop") else "lanewise"


def make(name, row, sizes):
    """Import a contestant and make it."""
    module, kind = CONTESTANTS[name]
    imported = importlib.import_module(f"lane_contestants.{module}")
    return getattr(imported, kind)(row, sizes)


def is_restless(name):
    """Whether a contestant keeps the processor busy while nobody calls it; imports no library."""
    module, kind = CONTESTANTS[name]
    return getattr(importlib.import_module(f"lane_contestants.{module}"), kind).restless
