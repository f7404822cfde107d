"""A shorter switch interval of the interpreter while somebody needs it: counted, and put back afterwards.

A thread that computes in pure Python gives the lock up only when another has waited for one switch
interval, 5 ms by default. Beside one such thread a call that spends 200 µs without the lock keeps 4 % of
its rate at 5 ms, 16 % at 1 ms and 42 % at 0.2 ms, at almost no cost to the computing thread; and each
wake-up of an event loop waits for as long. The interval belongs to the whole interpreter, so whoever
wants it short says so here, and the last one to leave restores what was found.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from lanewise.host.facts import gil_enabled

# Half of the default loop budget: a loop that wakes beside a computing thread is still within it. Shorter
# ones gain little more, and cost the computing threads when there are several.
SHORT_S = 0.0005
# The interpreter keeps whole microseconds and cuts off what is beyond: without this, what is read as
# 0.00069999… and set again would lose a microsecond each time.
_HALF_MICROSECOND_S = 0.5e-6


class Hold:
    """One wish for a short interval; see :func:`hold_short`.

    Threads: may be released by any thread.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        # owner: _PROCESS.lock.
        self._held = True

    def release(self) -> None:
        """Give it up; the last one restores the interval. Idempotent. Takes about a microsecond."""
        with _PROCESS.lock:
            held, self._held = self._held, False
            if held:
                _PROCESS.left()


class _Process:
    """Who holds the interval short. Owner of everything here: its lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._holders = 0
        # What was there before, and what is read back after our own setting; None while nothing is set.
        self._before_s: float | None = None
        self._set_s = 0.0

    def came(self) -> None:
        self._holders += 1
        if self._holders > 1 or not gil_enabled():
            return
        before_s = sys.getswitchinterval()
        if before_s <= SHORT_S + _HALF_MICROSECOND_S:
            return
        sys.setswitchinterval(SHORT_S + _HALF_MICROSECOND_S)
        self._before_s, self._set_s = before_s, sys.getswitchinterval()

    def left(self) -> None:
        self._holders -= 1
        if self._holders or self._before_s is None:
            return
        before_s, self._before_s = self._before_s, None
        # Another value than ours was set by the user meanwhile, who knows why.
        if sys.getswitchinterval() == self._set_s:
            sys.setswitchinterval(before_s + _HALF_MICROSECOND_S)


_PROCESS = _Process()


def hold_short() -> Hold:
    """Keep the interpreter's switch interval short until the returned hold is released.

    Nothing happens where the interval is as short already, or where this interpreter runs without its
    lock. An interval that the user sets meanwhile is left alone, then and afterwards.

    Threads: any thread, any number of holds; one lock guards the count and the setting. Takes about a
    microsecond.
    """
    hold = Hold()
    with _PROCESS.lock:
        _PROCESS.came()
    return hold


class SwitchInterval:
    """One owner's calls that want the interval short: only the first and the last of them touch it.

    Threads: its owner, such as the loop of a runtime; several owners in several threads are counted
    by :func:`hold_short`.

    Args:
        linger: Has something called a little later. The interval then stays short for that long after
            the last call, since where calls follow one another each would else pay for setting it and
            putting it back. None puts it back at once.
    """

    __slots__ = ("_calls", "_hold", "_linger", "_lingers")

    def __init__(self, linger: Callable[[Callable[[], None]], object] | None = None) -> None:
        self._calls = 0
        self._hold: Hold | None = None
        self._linger = linger
        self._lingers = False

    def enter(self) -> None:
        """A call begins. Takes about 0.1 µs while another one is in."""
        self._calls += 1
        if self._hold is None:
            self._hold = hold_short()

    def leave(self) -> None:
        """A call that entered ends; one that outlives :meth:`release` changes nothing."""
        self._calls = max(0, self._calls - 1)
        if self._calls or self._lingers:
            return
        if self._linger is None:
            self.release()
        else:
            self._lingers = True
            self._linger(self._after)

    def _after(self) -> None:
        self._lingers = False
        if not self._calls:
            self.release()

    def release(self) -> None:
        """Give the interval up, however many calls are in. Idempotent."""
        self._calls = 0
        if self._hold is not None:
            hold, self._hold = self._hold, None
            hold.release()
