"""What a program waits for where it is not the lock, in words. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from lanewise.diagnose.places_of_code import charged, roots_of

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
    "sqlalchemy": "the database (sqlalchemy)",
    "redis": "redis",
    "pymongo": "the database (pymongo)",
    "requests": "other services (requests)",
    "urllib3": "other services (urllib3)",
    "httpx": "other services (httpx)",
    "aiohttp": "other services (aiohttp)",
    "urllib": "other services (urllib)",
    "http": "other services (http.client)",
    "socket": "the network",
    "ssl": "the network",
    "subprocess": "other programs",
}
_IDLE = ("selectors.py", "queue.py", "concurrent/futures/thread.py", "asyncio/base_events.py")


class LoadLike(Protocol):
    """As much of a load as words need."""

    @property
    def on_core(self) -> float: ...  # noqa: D102 - because: as in advice.Load
    @property
    def run_queue(self) -> float: ...  # noqa: D102 - because: as in advice.Load


def main_wait(summary: ProcessSummary, load: LoadLike) -> str:
    """Say what most of the time goes to, apart from the lock."""
    shares: dict[str, float] = defaultdict(float)
    record = summary.record
    roots = roots_of(record.frames)
    for one in summary.seconds:
        if one.look < 0 or one.column not in {"io_sleep", "lock_wait"}:
            continue
        look = record.looks[one.look]
        stack = record.stack_of(look)
        if not stack:
            continue
        words = _words(stack, record.calls[look.call], charged(stack, roots))
        shares[words] += one.seconds / record.wall_s
    worst = max(shares, key=shares.__getitem__, default="")
    if load.run_queue > load.on_core and load.run_queue > 0.1:  # noqa: PLR2004 - because: a tenth of a core is felt
        return "you are waiting for a core, which other processes have."
    if not worst or load.on_core > shares[worst]:
        return "it computes without it."
    if worst == "work":
        return "it is idle: its threads wait for something to do."
    return f"you are waiting for {worst}."


def _words(stack: Sequence[Frame], call: str, frame: Frame | None) -> str:
    names = []
    for one in stack:
        path = one.file.replace("\\", "/")
        if found := _PACKAGE.search(path) or _MODULE.search(path):
            names.append(found[1])
    for name in names:
        if name in _KNOWN:
            return _KNOWN[name]
    if stack[0].file.replace("\\", "/").endswith(_IDLE):
        return "work"
    at = f" in {frame.qualname} ({frame.file}:{frame.line})" if frame else ""
    if call == "futex":
        return f"a lock{at}"
    return f"{call}{at}"
