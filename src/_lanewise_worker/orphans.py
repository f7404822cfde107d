"""The descendants of a process: who they are, and how they are ended."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def become_subreaper() -> bool:
    """Have orphans among this process's descendants become its children; False where that cannot be."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        import ctypes  # noqa: PLC0415 - because: loaded once in the launcher, whose forks find it loaded

        done: int = ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return False
    return done == 0


def children(pid: int | None = None) -> list[int]:
    """Return the children of a process, by default of this one. Empty where nothing tells."""
    directory = f"/proc/{pid or os.getpid()}/task"
    found: list[int] = []
    try:
        for thread in os.listdir(directory):  # noqa: PTH208 - because: pathlib is not worth its import here
            with open(f"{directory}/{thread}/children", encoding="ascii") as file:  # noqa: PTH123 - because: as above
                found += map(int, file.read().split())
    except OSError:
        return found
    return found


def kill_tree(pid: int) -> None:
    """Kill a process and its descendants, the parents first so that they start no more."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGSTOP)
    below = children(pid)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    for child in below:
        kill_tree(child)


def thread_count() -> int:
    """Return how many threads this process has, those that no Python code knows included."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - because: pathlib is not worth its import here
    except OSError:
        return threading.active_count()
