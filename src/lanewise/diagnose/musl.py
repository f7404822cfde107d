"""Who waits for a lock under musl, the C library of Alpine: on a word of their own, not of the lock's.

A waiter of a condition variable sleeps on ``barrier`` of a node on its own stack (``struct waiter`` of
``pthread_cond_timedwait``); the nodes are a list, whose first and last the condition points at.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from lanewise.diagnose.memory import ProcessMemory

_BARRIER_AT = 20
_ALIGNMENT = 8
_MOST_WAITERS = 4096


def uses_musl(pid: int) -> bool:
    """Whether a process runs with musl."""
    try:
        return b"/ld-musl-" in Path(f"/proc/{pid}/maps").read_bytes()
    except OSError:
        return False


def is_waiter_of(memory: ProcessMemory, start: int, end: int, address: int) -> bool:
    """Whether the futex at an address is that of a waiter of a condition variable in a span of memory.

    From a waiter the list leads back to its first, whose node the condition knows.
    """
    node = address - _BARRIER_AT
    with contextlib.suppress(OSError):
        known = set(memory.words(start, (end - start) // 8))
        for _ in range(_MOST_WAITERS):
            if node <= 0 or node % _ALIGNMENT:
                return False
            if node in known:
                return True
            node = memory.word(node)
    return False
