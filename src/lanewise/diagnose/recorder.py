"""Look at processes again and again, at moments that do not depend on them."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence

from lanewise.diagnose.looker import Looker

# Looks come at random moments around the rate's period: a program with a period of its own is not
# met in step.
_JITTER = 0.5
# More than this share of a core is not spent on looking; the rate falls where a look takes long.
_MOST_OF_A_CORE = 0.04
_LATE_S = 150e-6
_SMOOTHING = 0.1
_REAL_TIME_PRIORITY = 1
_LONGEST_SLEEP_S = 0.1


class Recorder:
    """Samples processes until told to stop. Owned by the thread that calls ``run``.

    A sampler that shares a core with its target wakes when the target sleeps, and sees only that.
    So it asks for real-time priority where it may (root, or CAP_SYS_NICE), which lets it wake on
    time; where it may not, how often it was late is told with the result.

    Args:
        rate_hz: Looks per second, at most.
        began_ns: When the session began (``time.monotonic_ns()``).
    """

    def __init__(self, rate_hz: float, began_ns: int, *, seed: int | None = None) -> None:
        self._period_s = 1 / rate_hz
        self._began_ns = began_ns
        self._random = random.Random(seed)  # noqa: S311 - because: moments to look at, not secrets
        self._cost_s = 0.0
        self._cores = sorted(os.sched_getaffinity(0))
        self._core: int | None = None
        self._late = self._ticks = 0
        self._before: tuple[int, os.sched_param] | None = None
        self.real_time = False

    @property
    def late_share(self) -> float:
        """Share of the looks that came late: none before the first."""
        return self._late / self._ticks if self._ticks else 0.0

    def now_us(self) -> int:
        """Microseconds since the session began."""
        return (time.monotonic_ns() - self._began_ns) // 1000

    def run(
        self,
        lookers: Callable[[], Sequence[Looker]],
        over: Callable[[], bool],
        duration_s: float | None,
    ) -> None:
        """Sample until it is over.

        Args:
            lookers: Asked before each look, so that processes may come and go; there may be none
                for a while.
            over: Asked before each look.
            duration_s: For how long; None until ``over()``.
        """
        end_s = None if duration_s is None else time.monotonic() + duration_s
        with self._on_time():
            alive = lookers()
            while not over():
                due_s = time.monotonic() + self._pause_s()
                if end_s is not None and due_s >= end_s:
                    _sleep_until(end_s, over)
                    break
                self._move(alive)
                _sleep_until(due_s, over)
                self._tick(alive, due_s)
                alive = lookers()

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[None]:
        """While this is entered, the sampling thread has the cores and the priority that it came with.

        A program that is started meanwhile would have its real-time priority and its one core for good.
        """
        if self._before is None:
            yield
            return
        self._leave()
        try:
            yield
        finally:
            self._take_up()

    def _move(self, alive: Sequence[Looker]) -> None:
        """Go to another core where this one may be the target's, so that most looks are from elsewhere.

        The kernel wakes a thread where it slept, and the two would share a core for the whole session.
        Where nothing of the target runs here it stays: moving has its price too, and what runs
        elsewhere is seen.
        """
        if self._core is not None and not any(looker.shares_core for looker in alive):
            return
        others = [core for core in self._cores if core != self._core]
        if others:
            self._core = self._random.choice(others)
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, {self._core})

    def _tick(self, alive: Sequence[Looker], due_s: float) -> None:
        began_s = time.monotonic()
        self._ticks += 1
        self._late += began_s - due_s > _LATE_S
        cpu_s = time.thread_time()
        for looker in alive:
            looker.look(self.now_us())
        self._cost_s += _SMOOTHING * (time.thread_time() - cpu_s - self._cost_s)

    def _pause_s(self) -> float:
        period_s = max(self._period_s, self._cost_s / _MOST_OF_A_CORE)
        return period_s * self._random.uniform(1 - _JITTER, 1 + _JITTER)

    @contextlib.contextmanager
    def _on_time(self) -> Iterator[None]:
        self._before = os.sched_getscheduler(0), os.sched_getparam(0)
        self._take_up()
        try:
            yield
        finally:
            self._leave()
            self._before = None

    def _take_up(self) -> None:
        """Ask for what lets a thread wake on time."""
        with contextlib.suppress(OSError):
            if self._core is not None:
                os.sched_setaffinity(0, {self._core})
        try:
            policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
            os.sched_setscheduler(0, policy, os.sched_param(_REAL_TIME_PRIORITY))
            self.real_time = True
        except (OSError, AttributeError):
            self.real_time = False

    def _leave(self) -> None:
        """Give it back."""
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, self._cores)
        if self._before is None or not self.real_time:
            return
        policy, parameter = self._before
        try:
            os.sched_setscheduler(0, policy, parameter)
        except PermissionError:
            # Who may ask for real time, but is not root, may not take back what applies to children.
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, policy | os.SCHED_RESET_ON_FORK, parameter)


def _sleep_until(due_s: float, stop: Callable[[], bool]) -> None:
    while (left_s := due_s - time.monotonic()) > 0:
        time.sleep(min(left_s, _LONGEST_SLEEP_S))
        if left_s > _LONGEST_SLEEP_S and stop():
            return
