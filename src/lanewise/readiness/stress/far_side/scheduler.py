"""Two threads of which one runs at a time, and where one yields to the other.

A schedule says who begins and at which steps a thread is paused for the other's sake. A thread that
cannot go on (a lock is taken, or it waits for something that is not ours) hands over by itself, so
every schedule of correct code comes to its end.
"""

from __future__ import annotations

import _thread
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .steps import Step

_real_lock = _thread.allocate_lock
# A thread that sleeps and has come to no step for so long waits for something that the scheduler
# does not know; the other one goes on meanwhile. Too early costs a schedule its meaning, not its end.
_STUCK_S = 0.5
# For locks that somebody else holds when both wait: threads that the user's code has started.
_OTHERS_S, _OTHERS = 0.1, 10


class Pause(NamedTuple):
    """Where a thread yields: before the n-th time that it comes to a step."""

    thread: int
    of: str
    at: str
    before: str
    time: int = 1


class DeadlockError(Exception):
    """Both threads wait for a lock."""


class Scheduler:
    """Runs two calls, one step at a time.

    Threads: ``point`` and ``acquire`` are called by the two threads it has started; whoever's turn
        it is is the only one to touch the bookkeeping.
    """

    def __init__(self, first: int, pauses: Sequence[Pause]) -> None:
        self.trace: list[tuple[int, Step]] = []
        self.deadlock = False
        self.unclear = False
        # lanewise: ok(FT102: only the thread whose turn it is comes to where pauses are taken off)
        self._pauses = list(pauses)
        self._running = first
        self._turns = [_real_lock(), _real_lock()]
        self._threads: dict[int, int] = {}
        self._native = [0, 0]
        # lanewise: ok(FT101: each thread has its own)
        self._seen: list[Counter[tuple[str, str, str]]] = [Counter(), Counter()]
        self._finished = [False, False]
        self._waiting: list[Any] = [None, None]  # the lock that each waits for
        # lanewise: ok(FT101: whoever's turn it is counts; that it moves is all that is looked at)
        self._progress = 0
        self._done = _real_lock()
        for lock in (*self._turns, self._done):
            lock.acquire()

    def run(
        self,
        calls: Sequence[Callable[[], Any]],
        timeout_s: float,
        begin: Callable[[], None] = lambda: None,
    ) -> bool:
        """Run both to their ends, each after ``begin``; False where they were not there in time."""
        self._begin = begin
        for index, call in enumerate(calls):
            _thread.start_new_thread(self._thread, (index, call))
        self._turns[self._running].release()
        deadline = time.monotonic() + timeout_s
        progress, since = self._progress, time.monotonic()
        while not self._done.acquire(timeout=0.05):
            now = time.monotonic()
            if now > deadline:
                return False
            if self._progress != progress:
                progress, since = self._progress, now
            elif now - since > _STUCK_S:
                if self._sleeps(self._running):
                    self._leave_alone()
                since = now
        return True

    def _thread(self, index: int, call: Callable[[], Any]) -> None:
        self._threads[_thread.get_ident()] = index
        self._native[index] = _thread.get_native_id()
        self._turns[index].acquire()  # its first turn; later ones are waited for in _wait_for_turn
        try:
            self._begin()
            call()
        finally:
            self._finish(index)

    def _finish(self, me: int) -> None:
        self._wait_for_turn(me)  # it may have been left alone and have come to its end meanwhile
        self._finished[me] = True
        self._progress += 1
        other = 1 - me
        if self._finished[other]:
            self._done.release()
        else:
            self._hand_over(other)

    def _hand_over(self, to: int) -> None:
        self._running = to
        with contextlib.suppress(RuntimeError):  # it has not used its last turn: it was left alone
            self._turns[to].release()

    def _wait_for_turn(self, me: int) -> None:
        while self._running != me:
            self._turns[me].acquire()

    def _sleeps(self, index: int) -> bool:
        """Whether a thread waits, and is not just without a core; taken for so where nothing tells."""
        try:
            with open(f"/proc/self/task/{self._native[index]}/stat", encoding="utf-8") as file:  # noqa: PTH123 - because: pathlib's own locks are not to be met here
                return file.read().rpartition(")")[2].split()[0] not in ("R", "T")
        except (OSError, IndexError):
            return True

    def _leave_alone(self) -> None:
        """The running one waits for something unknown: the other's turn, no exact schedule now."""
        other = 1 - self._running
        if not self._finished[other]:
            self.unclear = True
            self._hand_over(other)

    @property
    def reached(self) -> bool:
        """Whether every pause was come to."""
        return not self._pauses

    def is_ours(self) -> bool:
        """Whether the calling thread is one of the two."""
        return _thread.get_ident() in self._threads

    def point(self, step: Step) -> None:
        """Come to a step: go on, or let the other one run first."""
        me = self._threads.get(_thread.get_ident())
        if me is None:
            return
        self._wait_for_turn(me)
        self._progress += 1
        self.trace.append((me, step))
        self._seen[me][step.key] += 1
        if not self._pauses:
            return
        pause = self._pauses[0]
        if pause.thread != me or (pause.of, pause.at, pause.before) != step.key:
            return
        if pause.time == self._seen[me][step.key]:
            del self._pauses[0]
            self.yield_turn()

    def yield_turn(self) -> None:
        """Let the other one run, if it can."""
        me = self._threads[_thread.get_ident()]
        other = 1 - me
        if not self._finished[other]:
            self._hand_over(other)
            self._wait_for_turn(me)

    def acquire(self, lock: Any) -> bool:
        """Take a lock, handing over while it is held.

        Raises:
            DeadlockError: Both threads wait and nobody else comes to release.
        """
        me = self._threads[_thread.get_ident()]
        self._wait_for_turn(me)
        while not lock.acquire(False):
            other = 1 - me
            awaited = self._waiting[other]
            if self._finished[other] or (awaited is not None and awaited.locked()):
                if self._waited_for_others(lock):
                    break
                self.deadlock = True
                raise DeadlockError
            self._waiting[me] = lock
            self._progress += 1
            self.yield_turn()
            self._waiting[me] = None
        return True

    def _waited_for_others(self, lock: Any) -> bool:
        """Give somebody who is not one of the two a while to release it."""
        for _ in range(_OTHERS):
            if lock.acquire(True, _OTHERS_S):
                return True
            self._progress += 1
        return False

    def sleep(self, seconds: float) -> None:
        """Sleep: the other one may run meanwhile, but only where a pause says so."""
        del seconds
        self._progress += 1
