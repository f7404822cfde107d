"""Calls into the project serialised, and handed over at their ends: the control of every failure.

With it, each call of a guarded function from outside of them happens alone. Between such calls the
threads are mixed on purpose. A test that fails even so takes it that nobody else is there (it
compares a global before and after): what it fails of says nothing about the code. A test that
passes so, and fails when calls overlap, fails of the overlap.

Built on profile functions, which see every call and return of Python code in every thread on every
build. A call that waits in the standard library for another thread (``Thread.join``,
``Future.result``, ``Queue.get``) lets others in meanwhile, as a monitor does; one that holds a lock
of the project's and waits for its turn is let through after a while, and the breach is counted:
such a control proves nothing.
"""

from __future__ import annotations

import _thread
import random
import sys
import threading
import time
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

# A call into the project that takes longer is rare in tests, and what is passed on by mistake is
# counted.
_PATIENCE_S = 5.0
_WAITING_FUNCTIONS = frozenset(
    {"wait", "join", "_wait_for_tstate_lock", "result", "get", "put", "shutdown", "exception"}
)
_WAITING_CALLS = frozenset({"acquire", "join", "get"})
_WAITS_S = (0.0, 0.0, 0.0, 0.00005, 0.0002, 0.001)
_MANY = 100  # hand-overs with a wait; a test that makes a million calls must come to its end, too
_OPTIMIZED = (
    0x1  # CO_OPTIMIZED: functions; neither modules nor class bodies, which run under import locks
)


class _Thread(threading.local):
    """One thread's own state."""

    def __init__(self) -> None:
        self.depth = 0
        self.holds = False
        self.waits = False
        self.handed_over = 0
        self.rng = random.Random(_thread.get_ident())  # noqa: S311 - because: waits, not secrets


class OneAtATime:
    """Guards functions of the project.

    Args:
        is_guarded: Which functions happen alone.
        is_test: Whose lines are places to hand over, too.

    Threads: what threads share here is the lock, a cache whose entries are as good as each other,
        and a list that is only appended to.
    """

    def __init__(
        self, is_guarded: Callable[[CodeType], bool], is_test: Callable[[CodeType], bool]
    ) -> None:
        self.breaches: list[str] = []
        self._is_guarded = is_guarded
        self._is_test = is_test
        self._known: dict[CodeType, bool] = {}
        self._lock = threading.Lock()
        self._mine = _Thread()
        self._inner: Any = None

    def install(self) -> None:
        """Guard all threads that are started from now on, and this one."""
        self._inner = threading.gettrace()  # of Delays, where instructions are traced
        threading.setprofile(self._profile)
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        sys.setprofile(self._profile)

    def _guards(self, code: CodeType) -> bool:
        found = self._known.get(code)
        if found is None:
            found = bool(code.co_flags & _OPTIMIZED) and self._is_guarded(code)
            self._known[code] = found
        return found

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        mine = self._mine
        if event == "call":
            if self._guards(frame.f_code):
                self._called(mine)
        elif not mine.depth:
            return
        elif event == "return":
            self._returned(mine, frame)
        elif event == "c_call" and _waits(frame, argument) and not self._guards(frame.f_code):
            mine.waits = True
            self._leave(mine)

    def _called(self, mine: _Thread) -> None:
        if mine.depth == 0:
            self._hand_over(mine)
            self._enter(mine)
        elif mine.waits:  # the standard library calls back
            self._enter(mine)
        mine.waits = False
        mine.depth += 1

    def _returned(self, mine: _Thread, frame: FrameType) -> None:
        if self._guards(frame.f_code):
            mine.depth -= 1
            if mine.depth == 0:
                self._leave(mine)
                self._hand_over(mine)
        elif mine.waits and frame.f_back is not None and self._guards(frame.f_back.f_code):
            # Not before: what waited may hold locks of the standard library's until it returns, and
            # whoever has its turn may want them.
            mine.waits = False
            self._enter(mine)

    def _enter(self, mine: _Thread) -> None:
        if mine.holds:
            return
        mine.holds = self._lock.acquire(timeout=_PATIENCE_S)
        if not mine.holds:
            self.breaches.append(threading.current_thread().name)

    def _leave(self, mine: _Thread) -> None:
        if mine.holds:
            mine.holds = False
            self._lock.release()

    def _hand_over(self, mine: _Thread) -> None:
        mine.handed_over += 1
        if mine.handed_over < _MANY or mine.rng.random() * mine.handed_over < _MANY:
            time.sleep(mine.rng.choice(_WAITS_S))

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if self._is_test(frame.f_code):
            return self._line
        return None if self._inner is None else self._inner(frame, event, argument)

    def _line(self, _frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line" and not self._mine.holds:
            self._hand_over(self._mine)
        return self._line


def _waits(frame: FrameType, function: Any) -> bool:
    """Whether the standard library, on the project's behalf, may wait for another thread there."""
    return (
        getattr(function, "__name__", "") in _WAITING_CALLS
        and type(getattr(function, "__self__", None)).__module__ in ("_thread", "_queue")
        and frame.f_code.co_name in _WAITING_FUNCTIONS
    )
