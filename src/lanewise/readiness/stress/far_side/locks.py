"""Locks that tell the scheduler that they would wait.

Put in place of the real ones before the user's modules are imported, so that locks made at import
are of this kind. Threads that no scheduler knows use them like any other lock.
"""

from __future__ import annotations

import _thread
import sys
import threading
import time
from types import TracebackType
from typing import Any

from .scheduler import Scheduler

_real_lock = _thread.allocate_lock
_real_sleep = time.sleep

# owner: the process that runs one schedule sets it once, before its two threads start.
_current: list[Scheduler] = []


def use(scheduler: Scheduler) -> None:
    """Have locks ask this scheduler."""
    _current[:] = [scheduler]


def _scheduler() -> Scheduler | None:
    return _current[0] if _current and _current[0].is_ours() else None


class CooperativeLock:
    """``threading.Lock``, for two threads of which one runs at a time."""

    def __init__(self) -> None:
        self._lock = _real_lock()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - because: as the real one
        """Take it; a thread of the scheduler's lets the other one run until it can be had."""
        scheduler = _scheduler()
        if scheduler is None or not blocking:
            return self._lock.acquire(blocking, timeout)
        return scheduler.acquire(self._lock)

    def release(self) -> None:
        """Let it go."""
        self._lock.release()

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self._lock.locked()

    acquire_lock, release_lock, locked_lock = acquire, release, locked

    def _at_fork_reinit(self) -> None:
        self._lock = _real_lock()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _sleep(seconds: float) -> None:
    scheduler = _scheduler()
    if scheduler is None:
        _real_sleep(seconds)
    else:
        scheduler.sleep(seconds)


def install() -> None:
    """Put them in the places of the real ones: ``threading``, ``_thread``, ``time.sleep``.

    What the standard library has bound already (``from _thread import RLock``) stays as it is; a
    thread that waits there is noticed by its silence.
    """
    modules: list[Any] = [threading, _thread]
    for module in modules:
        module.allocate_lock = CooperativeLock
        module.Lock = CooperativeLock
    places: Any = threading
    places._allocate_lock = CooperativeLock  # noqa: SLF001 - because: what Condition, Event and RLock are made of
    places._CRLock = None  # noqa: SLF001 - because: RLock() then makes the Python one, which is made of the above
    if sys.version_info >= (3, 14):
        places.RLock = places._RLock  # noqa: SLF001 - because: as above
    clock: Any = time
    clock.sleep = _sleep
