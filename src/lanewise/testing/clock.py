"""A clock that goes only when told to."""

from __future__ import annotations

import threading


class FakeClock:
    """Give it to a ``Runtime(clock=...)`` to say how time goes by while calls wait.

    ::

        clock = FakeClock()
        async with Runtime(clock=clock, queue_timeout_s=1.0) as rt:
            ...
            clock.advance(0.5)

    Threads: any; a lock guards the time.
    """

    def __init__(self, now_s: float = 1_000.0) -> None:
        self._lock = threading.Lock()
        self._now_s = now_s

    def __call__(self) -> float:
        """Tell the time."""
        with self._lock:
            return self._now_s

    def advance(self, seconds: float) -> None:
        """Let time pass; a negative number sets the clock back, as no honest one is."""
        with self._lock:
            self._now_s += seconds
