"""What a piece of code leaves running: threads of this process, and processes below it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from dataclasses import dataclass
from pathlib import Path

# Started once by multiprocessing for the whole interpreter, which ends them; their own children are
# workers, and are not excused.
_SHARED_HELPERS = ("multiprocessing.forkserver", "multiprocessing.resource_tracker")


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Threads and processes at one moment, or the difference between two moments.

    Processes are told from the system's process table where there is one (Linux), children of
    children included; elsewhere from what multiprocessing knows. The helper processes that
    multiprocessing itself shares between all pools are not counted.
    """

    threads: frozenset[tuple[int | None, str]]
    processes: frozenset[tuple[int, str]]

    @classmethod
    def now(cls) -> Leftovers:
        """Look."""
        threads = frozenset((thread.ident, thread.name) for thread in threading.enumerate())
        return cls(threads, _processes())

    def since(self, before: Leftovers) -> Leftovers:
        """Return what has come since an earlier look."""
        return Leftovers(self.threads - before.threads, self.processes - before.processes)

    def __bool__(self) -> bool:
        return bool(self.threads or self.processes)

    def __str__(self) -> str:
        parts = [f"thread {name}" for _, name in sorted(self.threads, key=str)]
        parts += [f"process {pid} ({command})" for pid, command in sorted(self.processes)]
        return ", ".join(parts) or "nothing"


def _processes() -> frozenset[tuple[int, str]]:
    parents = _parents()
    if not parents:
        children = multiprocessing.active_children()
        return frozenset((child.pid or 0, child.name) for child in children)
    found: set[tuple[int, str]] = set()
    for pid in parents:
        line = _ancestors(pid, parents)
        if os.getpid() not in line:
            continue
        command = _command(pid)
        shared = parents[pid] == os.getpid() and any(name in command for name in _SHARED_HELPERS)
        if not shared:
            found.add((pid, command))
    return frozenset(found)


def _parents() -> dict[int, int]:
    """The parent of every process; empty where the system has no process table to read."""
    table: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it ended meanwhile
        # The command stands in parentheses and may contain any character; the parent comes second
        # after it.
        table[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    return table


def _ancestors(pid: int, parents: dict[int, int]) -> set[int]:
    line: set[int] = set()
    while pid in parents and parents[pid] not in line:
        pid = parents[pid]
        line.add(pid)
    return line


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return words.replace(b"\0", b" ").decode(errors="replace").strip()
