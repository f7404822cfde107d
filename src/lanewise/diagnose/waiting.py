"""What a program waits for where it is not the lock, in words. Pure.

A thread that waits because it has nothing to do, or for another thread of the program to end, tells
nothing about what the program waits for; it counts only where nothing else waits. Of what stands on a
stack the most specific name is told: a driver rather than the socket that it reads from.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from lanewise.diagnose.places_of_code import charged, roots_of
from lanewise.runtime.stalls import Roots, origin

if TYPE_CHECKING:
    from lanewise.diagnose.session import Frame
    from lanewise.diagnose.summary import ProcessSummary

_PACKAGE = re.compile(r"(?:site|dist)-packages[/\\]([A-Za-z0-9_]+)")
_MODULE = re.compile(r"python3\.\d+t?[/\\]([A-Za-z0-9_]+)")
# What the standard library and others are about, where a reader wants the thing and not the module.
_KNOWN = {
    "sqlite3": "the database (sqlite3)",
    "psycopg": "the database (psycopg)",
    "psycopg2": "the database (psycopg2)",
    "asyncpg": "the database (asyncpg)",
    "pymysql": "the database (pymysql)",
    "MySQLdb": "the database (MySQLdb)",
    "mysql": "the database (mysql)",
    "pymongo": "the database (pymongo)",
    "pg8000": "the database (pg8000)",
    "oracledb": "the database (oracledb)",
    "cassandra": "the database (cassandra)",
    "redis": "redis",
    "kafka": "kafka",
    "pika": "rabbitmq (pika)",
    "sqlalchemy": "the database (sqlalchemy)",
    "requests": "other services (requests)",
    "httpx": "other services (httpx)",
    "aiohttp": "other services (aiohttp)",
    "botocore": "other services (botocore)",
    "grpc": "other services (grpc)",
    "urllib3": "other services (urllib3)",
    "urllib": "other services (urllib)",
    "http": "other services (http.client)",
    "subprocess": "other programs",
    "ssl": "the network",
    "socket": "the network",
}
# The further down this list, the less it says: urllib3 below requests, sockets below all.
_RANK = {name: at for at, name in enumerate(_KNOWN)}
# These alone do not say who is waited for.
_SOCKETS = {"socket", "ssl", "http"}
_LOOP_FILES = ("asyncio/base_events.py", "asyncio/runners.py")
# Threads that wait for work: in a pool, a queue, a selector, or for requests.
_IDLE_FILES = (
    "selectors.py", "queue.py", "concurrent/futures/thread.py", "concurrent/futures/process.py",
    "multiprocessing/pool.py", "multiprocessing/connection.py", "multiprocessing/queues.py",
    "socketserver.py", "http/server.py", "anyio/_backends/_asyncio.py", "gunicorn/arbiter.py",
    "gunicorn/workers/sync.py", "gunicorn/workers/gthread.py", "kombu/asynchronous/hub.py",
    "billiard/pool.py",
)  # fmt: skip
# Waits for other threads of the program: what those do is what it waits for.
_JOINS = {
    "join", "_wait_for_tstate_lock", "result", "as_completed", "_shutdown",
}  # fmt: skip
_JOIN_FILES = ("threading.py", "concurrent/futures/_base.py", "concurrent/futures/thread.py")
# How far from the innermost frame such a wait is looked for.
_INNERMOST = 4
_LEAST_QUEUED = 0.1
_LEAST_WAITED = 0.1
# A program that computes for half of the time is not idle, however many threads stand by.
_MUCH = 0.5
_IDLE = "it is idle: its threads wait for something to do."


class LoadLike(Protocol):
    """As much of a load as words need."""

    @property
    def on_core(self) -> float: ...  # noqa: D102 - because: as in advice.Load
    @property
    def run_queue(self) -> float: ...  # noqa: D102 - because: as in advice.Load


def main_wait(summary: ProcessSummary, load: LoadLike) -> str:
    """Say what most of the time goes to, apart from the lock."""
    shares = _waits(summary)
    worst = max((one for one in shares if one), key=shares.__getitem__, default="")
    if load.run_queue > load.on_core and load.run_queue > _LEAST_QUEUED:
        return "you are waiting for a core, which other processes have."
    waited, idle = shares[worst] if worst else 0.0, shares.get("", 0.0)
    if load.on_core > waited:
        computes = load.on_core >= _MUCH or load.on_core > idle
        return "it computes without it." if computes else _IDLE
    if not worst or (waited < _LEAST_WAITED and idle > waited):
        return _IDLE
    return f"you are waiting for {worst}."


def _waits(summary: ProcessSummary) -> dict[str, float]:
    """Shares of the time, by what was waited for; under no name what only waited for work."""
    shares: dict[str, float] = defaultdict(float)
    record = summary.record
    roots = roots_of(record.frames)
    known: dict[tuple[int, int], str | None] = {}
    for one in summary.seconds:
        if one.look < 0 or one.column not in {"io_sleep", "lock_wait"}:
            continue
        look = record.looks[one.look]
        if (look.stack, look.call) not in known:
            stack = record.stack_of(look)
            words = _words(stack, record.calls[look.call], roots) if stack else None
            known[look.stack, look.call] = words
        found = known[look.stack, look.call]
        if found is not None:
            shares[found] += one.seconds / record.wall_s
    return shares


def _words(stack: Sequence[Frame], call: str, roots: Roots) -> str:
    frame = charged(stack, roots)
    # What calls the user's function, as a server does, is not what that one waits for.
    users = frame is not None and origin(frame.file, roots) == "user"
    called = stack[: stack.index(frame)] if frame is not None and users else stack
    if _waits_for_work(called[:_INNERMOST]):
        return ""
    names = {
        found[1]
        for one in called
        if (path := one.file.replace("\\", "/"))
        and (found := _PACKAGE.search(path) or _MODULE.search(path))
    }
    known = min(names & _KNOWN.keys(), key=_RANK.__getitem__, default=None)
    if known is not None:
        return _KNOWN[known]
    at = f" in {frame.qualname} ({frame.file}:{frame.line})" if frame else ""
    if call == "futex":
        return f"a lock{at}"
    return f"{call}{at}"


def _waits_for_work(inner: Sequence[Frame]) -> bool:
    """Whether a thread has nothing to do, or waits for other threads of the program."""
    files = [frame.file.replace("\\", "/") for frame in inner]
    if files and files[0].endswith(_LOOP_FILES):
        return True
    for frame, file in zip(inner, files, strict=True):
        if frame.name in _JOINS and file.endswith(_JOIN_FILES):
            return True
    # A driver that waits in a selector waits for its server, and subprocess for the other program.
    named = {found[1] for file in files if (found := _PACKAGE.search(file) or _MODULE.search(file))}
    drives = named & (_KNOWN.keys() - _SOCKETS)
    return not drives and any(file.endswith(_IDLE_FILES) for file in files)
