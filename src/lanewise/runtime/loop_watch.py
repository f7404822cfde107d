"""How late an event loop is, measured on itself, and what made it late, seen by a thread beside it.

Every beat is a callback that knows when it was due. How much later it came is how long anything else
would have waited that became ready at that moment: this is the loop's lag. A beat that is overdue by a
stall's length makes the :class:`~lanewise.runtime.watchdog.Watchdog` look at what the loop's thread does.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import math
import queue
import sys
import time
from collections.abc import Callable
from types import CodeType

from lanewise.runtime.loop_lag import LagRecord, LoopStatistics, Stall
from lanewise.runtime.stall_report import Late
from lanewise.runtime.stalls import Runner
from lanewise.runtime.watchdog import Pulse, Watchdog

_log = logging.getLogger("lanewise")

# Timers of asyncio and uvloop go by whole milliseconds, rounded up: that much is no lag.
_GRANULARITY_S = 0.001
# After this time half of a lag is forgotten.
_HALF_LIFE_S = 0.2
# Beats that fell due in one stall and are counted with it.
_MOST_MISSED = 1000
# A thread that is writing to a slow log is not waited for: it is a daemon, and ends by itself.
_STOP_TIMEOUT_S = 2.0


class LoopWatch:
    """Measures a loop's lag and finds out what stalls it. Can be started again after it was stopped.

    Args:
        heartbeat_s: Time between beats, each of which costs the loop a few microseconds.
        stall_s: A beat that comes so late is a stall.
        sample_every_s: How often the loop's thread is looked at while a beat is overdue by ``stall_s``.
        on_stall: Called on the loop with each stall, when it is over. What it raises is logged.

    Attributes:
        record: Counts since construction. Beats that fell due in a stall count with their own lag, which
            is what others would have waited that came then.

    Durations of stalls count from the first beat that was missed: short by up to ``heartbeat_s``. While
    the loop does not run (between two ``run_until_complete``) there is no lag and no stall, unless it was
    away for less than ``stall_s``. A watch whose loop was closed before it was stopped ends by itself.

    Raises:
        ValueError: A time is not positive.

    Threads: everything belongs to the loop's thread, except ``lag_s``, which any thread may read. What
    goes to and from the watchdog's thread are single attributes (see ``Pulse``) and queues, which have
    locks of their own.
    """

    def __init__(
        self,
        *,
        heartbeat_s: float = 0.02,
        stall_s: float = 0.1,
        sample_every_s: float = 0.02,
        on_stall: Callable[[Stall], None] | None = None,
    ) -> None:
        if min(heartbeat_s, stall_s, sample_every_s) <= 0:
            raise ValueError(
                f"heartbeat_s={heartbeat_s}, stall_s={stall_s} and sample_every_s={sample_every_s} must "
                "be greater than 0"
            )
        self.record = LagRecord()
        self._heartbeat_s = heartbeat_s
        self._stall_s = stall_s
        self._sample_every_s = sample_every_s
        self._on_stall = on_stall
        self._decay = 0.5 ** (heartbeat_s / _HALF_LIFE_S)
        self._recent_s = 0.0
        self._pulse = Pulse()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watchdog: Watchdog | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._runner_code: CodeType | None = None
        self._collected_s = 0.0
        # What the watchdog found and the loop has not taken yet.
        self._stalls: queue.SimpleQueue[Stall] = queue.SimpleQueue()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to watch a loop; call it on the thread that runs it.

        Raises:
            RuntimeError: It is started already, the loop is closed, or the system has no thread left.
        """
        if self._watchdog is not None:
            raise RuntimeError("this watch is started already: stop it, or use another one")
        # Of its own, so that nobody's context variables are kept alive.
        context = contextvars.Context()
        now_s = time.monotonic()
        handle = loop.call_later(self._heartbeat_s, self._beat, context=context)
        watchdog = Watchdog(loop, self._pulse, self._stall_s, self._sample_every_s, self._found)
        self._runner_code, self._pulse.runner = None, None
        self._pulse.due_s = now_s + self._heartbeat_s
        try:
            watchdog.start()
        except RuntimeError:
            handle.cancel()
            self._pulse.due_s = math.inf
            raise
        self._loop, self._handle, self._watchdog, self._context = loop, handle, watchdog, context
        self._collected_s = 0.0

    def stop(self) -> None:
        """End the beats and the thread; stalls up to now are in the record. Idempotent."""
        loop, watchdog = self._loop, self._watchdog
        if loop is None or watchdog is None:
            return
        late_s = time.monotonic() - self._pulse.due_s
        # Else a stall that lasted until now would go unseen: its beat does not come any more.
        if late_s >= self._stall_s and loop.is_running() and not self._paused:
            self._was_away(watchdog, late_s)
        self._pulse.due_s = math.inf
        if self._handle is not None:
            self._handle.cancel()
        watchdog.stop(_STOP_TIMEOUT_S)
        self._loop = self._watchdog = self._handle = None
        self._recent_s = 0.0
        self._take()

    @property
    def lag_s(self) -> float:
        """The largest lag of late, which fades; more while a beat is overdue. 0 when not started.

        Threads: any thread may read it.
        """
        overdue_s = time.monotonic() - self._pulse.due_s - _GRANULARITY_S
        return max(self._recent_s, overdue_s, 0.0)

    @property
    def _paused(self) -> bool:
        """Whether the beat that is due was missed because nobody ran the loop."""
        return self._pulse.paused_due_s == self._pulse.due_s

    def statistics(self) -> LoopStatistics:
        """Return an immutable snapshot of everything so far."""
        self._take()
        return self.record.snapshot(sys.getswitchinterval())

    def _beat(self) -> None:
        loop, watchdog, pulse = self._loop, self._watchdog, self._pulse
        if loop is None or watchdog is None:
            return
        due_s, now_s = pulse.due_s, time.monotonic()
        # The frame below is the loop's own: by it the watchdog tells what lies above.
        code = sys._getframe(1).f_code  # noqa: SLF001 - because: documented, in spite of its name
        if code is not self._runner_code:
            self._runner_code, pulse.runner = code, Runner(code.co_filename, code.co_name)
        if not self._paused:
            self._count(now_s - due_s)
            if now_s - due_s >= self._stall_s:
                self._was_away(watchdog, now_s - due_s)
        self._collected_s = watchdog.collector.total_s
        # The next point of the grid: beats that were missed are not made up for.
        steps = max(1, math.floor((now_s - due_s) / self._heartbeat_s) + 1)
        pulse.due_s = due_s = min(due_s + steps * self._heartbeat_s, now_s + self._heartbeat_s)
        self._handle = loop.call_later(due_s - now_s, self._beat, context=self._context)

    def _count(self, late_s: float) -> None:
        lag_s = max(late_s - _GRANULARITY_S, 0.0)
        self._recent_s = max(lag_s, self._recent_s * self._decay)
        self.record.beat(lag_s)
        for missed in range(1, min(int(lag_s / self._heartbeat_s), _MOST_MISSED) + 1):
            self.record.beat(lag_s - missed * self._heartbeat_s)

    def _was_away(self, watchdog: Watchdog, late_s: float) -> None:
        gc_s = watchdog.collector.total_s - self._collected_s
        late = Late(self._pulse.due_s, late_s, time.time() - late_s, gc_s)
        if not watchdog.tell(late):
            # A forked child, or a thread that failed: nobody saw why.
            self._stalls.put(Stall(late.at_s, late_s, "", "nobody watched this loop"))
            self._take()

    def _found(self, stall: Stall) -> None:
        """Take a stall from the watchdog, on its thread."""
        self._stalls.put(stall)
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # closed: whoever asks for statistics takes it
                loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        """Enter in the record what the watchdog found."""
        while True:
            try:
                stall = self._stalls.get_nowait()
            except queue.Empty:
                return
            self.record.stalled(stall)
            if self._on_stall is not None:
                self._tell(self._on_stall, stall)

    def _tell(self, on_stall: Callable[[Stall], None], stall: Stall) -> None:
        try:
            on_stall(stall)
        except Exception:  # noqa: BLE001 - because: it is the user's, and told in the log
            _log.exception("on_stall=%r failed", on_stall)
