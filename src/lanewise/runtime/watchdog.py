"""The thread that looks at an event loop from outside: it sleeps while beats come, and samples stalls."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lanewise.host.facts import gil_enabled
from lanewise.runtime.core_clock import CollectorClock, CoreClock, CoreTimes
from lanewise.runtime.loop_lag import Stall
from lanewise.runtime.stack_sampler import StackSampler
from lanewise.runtime.stall_report import Late, Seen, StallLog, code_roots, stall_of
from lanewise.runtime.stalls import Look, Runner, thinned, users_frame

_log = logging.getLogger("lanewise")

# Looks begin when a beat is overdue by this share of a stall, so that the shortest one is seen as well.
_BEGIN_SHARE = 0.8
# A thread that was stopped for a look may be quicker than the clock of the one that looks.
_SLACK_S = 0.001
# Looks kept of one stall: beyond it every second one goes and the pause between them doubles, so that a
# breakpoint held for an hour costs nothing and every part of the stall keeps its weight.
_MOST_LOOKS = 64
_LONGEST_PERIOD_S = 60.0
# A look that takes long stops other threads for as long: at most a tenth of the time goes into looks.
_PAUSE_PER_COST = 9
# How often a loop is asked for that does not run at the moment, and one whose beats are far apart.
_PAUSED_S = 0.5
_LONGEST_SLEEP_S = 1.0
# Beside other threads that used so much of a core, one that did not run may have waited for the lock.
_COMPUTING_SHARE = 0.5
# A process that used less of a core than this did not run.
_STOOD_STILL_SHARE = 0.05
_STOP = None


@dataclass(slots=True, eq=False)
class Pulse:
    """What the loop's thread and the watchdog let each other see, without a lock between them.

    Each attribute has one writer and is replaced as a whole. Storing and loading one attribute is atomic
    on every build (the free-threaded interpreter locks the object or retries), and nothing here rests on
    two of them being of the same moment.
    """

    # Writer: the loop's thread. When the next beat is due; infinite while none is expected.
    due_s: float = math.inf
    runner: Runner | None = None
    # Writer: the watchdog. The beat for which the loop was seen not to run at all, which is no stall.
    paused_due_s: float = math.nan


@dataclass(slots=True, eq=False)
class _Episode:
    """One overdue beat. Owner: the watchdog."""

    due_s: float
    period_s: float
    pause_s: float = 0.0
    looks: list[Look] = field(default_factory=list)
    count: int = 0
    last_s: float = -math.inf

    def add(self, look: Look, taken_s: float, cost_s: float) -> None:
        self.count += 1
        self.looks.append(look)
        self.last_s = taken_s
        if len(self.looks) >= _MOST_LOOKS:
            self.looks = thinned(self.looks)
            self.last_s = -math.inf
            self.period_s = min(2 * self.period_s, _LONGEST_PERIOD_S)
        self.pause_s = max(self.period_s, _PAUSE_PER_COST * cost_s)

    def end(self, came_s: float) -> None:
        """The beat came at this time: a later look has not seen what it waited for."""
        if self.looks and self.last_s > came_s + _SLACK_S:
            self.looks.pop()
            self.count -= 1


class Watchdog:
    """Samples a loop's thread while a beat of it is overdue, and says whom the stall is put down to.

    Args:
        loop: The loop. Whoever constructs the watchdog does so on its thread.
        pulse: Where the loop tells when its next beat is due.
        stall_s: How late a beat is that will be told of; looks begin a little sooner.
        sample_every_s: Pause between samples.
        deliver: Takes each stall, on the watchdog's thread.

    Threads: ``start``, ``tell`` and ``stop`` belong to the loop's thread, all else to the watchdog's own.
    What one tells the other goes through a queue, which has its own lock. A forked child has no watchdog.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pulse: Pulse,
        stall_s: float,
        sample_every_s: float,
        deliver: Callable[[Stall], None],
    ) -> None:
        self.collector = CollectorClock()
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._pulse = pulse
        self._begin_s = _BEGIN_SHARE * stall_s
        self._sample_every_s = sample_every_s
        self._deliver = deliver
        self._inbox: queue.SimpleQueue[Late | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="lanewise-loop-watch", daemon=True)
        # owner, of all that follows: the watchdog's thread.
        self._sampler = StackSampler()
        self._roots = code_roots()
        self._log = StallLog()
        self._clock = CoreClock(threading.get_native_id())
        # Taken when all was well for the last time.
        self._well = self._clock.now()

    def start(self) -> None:
        """Begin to watch.

        Raises:
            RuntimeError: The system has no thread left.
        """
        try:
            self._thread.start()
        except RuntimeError:
            self._clock.close()
            raise
        gc.callbacks.append(self.collector)

    def tell(self, late: Late) -> bool:
        """Report a beat that came late; False where nobody is there to take it."""
        if not self._thread.is_alive():
            return False
        self._inbox.put(late)
        return True

    def stop(self, timeout_s: float) -> None:
        """End the thread when it has dealt with what it was told, but wait no longer than that."""
        self._inbox.put(_STOP)
        self._thread.join(timeout_s)
        self._forget_collector()

    def _forget_collector(self) -> None:
        # Both threads do so: the loop's for a forked child, where this one is not. Removing from a list
        # is atomic, and whoever comes second finds it gone.
        with contextlib.suppress(ValueError):
            gc.callbacks.remove(self.collector)

    def _run(self) -> None:
        try:
            self._watch()
        except Exception:  # noqa: BLE001 - because: without it the loop goes on as before
            _log.exception("the event loop is no longer watched")
        finally:
            self._forget_collector()
            self._sampler.close()
            self._clock.close()

    def _watch(self) -> None:
        episode: _Episode | None = None
        self._sampler.prepare()
        while not self._loop.is_closed():
            try:
                message = self._inbox.get(timeout=self._sleep_s(episode))
            except queue.Empty:
                episode = self._look(episode)
                continue
            if message is _STOP:
                return
            self._report(message, episode)
            episode = None

    def _sleep_s(self, episode: _Episode | None) -> float:
        due_s = self._pulse.due_s
        if due_s == self._pulse.paused_due_s:
            return _PAUSED_S
        left_s = due_s + self._begin_s - time.monotonic()
        if left_s > 0:
            return min(left_s, _LONGEST_SLEEP_S)
        return episode.pause_s if episode is not None and episode.due_s == due_s else 0.0

    def _look(self, episode: _Episode | None) -> _Episode | None:
        due_s, now_s = self._pulse.due_s, time.monotonic()
        if now_s < due_s + self._begin_s:
            self._well = self._clock.now()
            return None
        if not self._loop.is_running():
            self._pulse.paused_due_s = due_s
            return None
        if episode is None or episode.due_s != due_s:
            episode = _Episode(due_s, self._sample_every_s)
        look = self._seen_now()
        episode.add(look, self._sampler.taken_s, self._sampler.cost_s)
        return episode

    def _seen_now(self) -> Look:
        stacks = self._sampler.sample()
        loop_stack = stacks.pop(self._loop_thread, ())
        frames = {ident: users_frame(stack, self._roots) for ident, stack in stacks.items()}
        return Look(loop_stack, tuple((ident, one) for ident, one in frames.items() if one))

    def _report(self, late: Late, episode: _Episode | None) -> None:
        if episode is None or episode.due_s != late.due_s:
            episode = _Episode(late.due_s, self._sample_every_s)
        episode.end(late.due_s + late.late_s)
        stall = stall_of(late, self._seen_in(episode), self._roots)
        self._deliver(stall)
        self._log.tell(stall, time.monotonic())
        self._well = self._clock.now()  # the next stall may come before all is well again

    def _seen_in(self, episode: _Episode) -> Seen:
        spent = self._clock.now().since(self._well)
        looks = tuple(episode.looks)
        if not looks:
            # Nothing could be seen while it lasted. Of the loop it is too late to tell, but whoever held
            # the lock so long often stands where it was.
            looks = (Look((), self._seen_now().others),)
        return Seen(
            looks=looks,
            count=episode.count,
            runner=self._pulse.runner,
            busy_share=self._busy_share(spent),
            cpu_s=spent.threads_s,
            ran=spent.process_s >= _STOOD_STILL_SHARE * spent.at_s,
            starved_share=spent.queued_s / spent.at_s if spent.at_s > 0 else 0.0,
        )

    def _busy_share(self, spent: CoreTimes) -> float | None:
        mine_s = spent.threads_s.get(self._loop_thread)
        if mine_s is None:
            return None
        share = (mine_s + spent.queued_s) / spent.at_s
        others_share = (spent.process_s - mine_s) / spent.at_s
        if share < _COMPUTING_SHARE <= others_share and gil_enabled():
            return None
        return share
