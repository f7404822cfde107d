"""Keeps the interpreter's switch interval short while threads run what may hold the lock."""

from __future__ import annotations

import asyncio

from lanewise.runtime.switch_interval import Hold, hold_short

# After the last such call the interval stays short for so long: the next one then costs an addition.
_LINGER_S = 0.1


class Contention:
    """Counts calls in threads that may hold the lock. Owner: the runtime's loop."""

    __slots__ = ("_calls", "_hold", "_timer")

    def __init__(self) -> None:
        self._calls = 0
        self._hold: Hold | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Such a call begins."""
        self._calls += 1
        if self._hold is None:
            self._hold = hold_short()

    def end(self) -> None:
        """Such a call has ended, or is not waited for any more."""
        self._calls -= 1
        if not self._calls and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LINGER_S, self._linger_ends)

    def stop(self) -> None:
        """Give the interval back now. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._hold is not None:
            self._hold.release()
            self._hold = None

    def _linger_ends(self) -> None:
        self._timer = None
        if not self._calls:
            self.stop()
