"""What one call costs beside its time: cores, run queue, and how much of it holds the lock.

The share under the lock is sampled by a thread that sleeps a moment and then wants the lock, again and
again. Where the call holds it, that thread waits until it is given up: at the switch interval, which is
short meanwhile, or later where C code keeps it. Of a call that lets go it notices nothing. Such samples
are taken at moments that do not depend on the call, so their mean estimates the share of its time.

Where there is no lock nothing waits, which says nothing of what the call would do with one: then no share
is told.
"""

from __future__ import annotations

import contextvars
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

# The call's time, cores, run queue, share under the lock, number of samples.
FACTS = struct.Struct("=ddddI")

# While a call is watched: long against the time that a switch takes, short against the call.
_INTERVAL_S = 0.0005
_PAUSE_S = 0.0001
# Sleeps before the call begins: what one takes beyond what was asked for, where nothing is in its way.
_ALONE = 5


class Probe:
    """Watches one call. Owner: the worker's main thread, but for what :meth:`_watch` says of itself."""

    def __init__(self) -> None:
        self._ended_s = 0.0  # written once by the owner, read by the watching thread: one float
        self._ready = threading.Lock()
        # owner: the watching thread; read by the main thread after it was joined.
        self._waits = 0.0
        self._samples = 0
        self._excess_s = 0.0
        self._queued_s = 0.0
        self.facts = b""

    def run(
        self,
        context: contextvars.Context,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Run the call; afterwards ``facts`` holds what was seen of it, unless it raised."""
        interval_s = sys.getswitchinterval()
        watcher = threading.Thread(target=self._watch, name="lanewise-probe", daemon=True)
        self._ready.acquire()
        watcher.start()
        self._ready.acquire()  # released when it has seen how long its sleeps take
        sys.setswitchinterval(_INTERVAL_S)
        clock = _cpu_clock(watcher)
        queued_s, before, began = run_queue_s(), _cpu_s(clock), time.perf_counter()
        try:
            result = context.run(function, *args, **kwargs)
        finally:
            ended = time.perf_counter()
            after = _cpu_s(clock)  # before the watching thread is let go: its clock ends with it
            self._ended_s = ended
            queued_s = run_queue_s() - queued_s
            sys.setswitchinterval(interval_s)
            watcher.join()
        if not _gil_enabled():
            self._samples = 0
        share = min(1.0, max(0.0, self._waits / self._samples)) if self._samples else -1.0
        own_s, all_s, watching_s = (end - begin for begin, end in zip(before, after, strict=True))
        cpu_s = max(0.0, own_s, all_s - watching_s)  # and what threads of its own computed
        wall_s = self._ended_s - began
        self.facts = FACTS.pack(wall_s, cpu_s, max(0.0, queued_s), share, self._samples)
        return result

    def _watch(self) -> None:
        self._queued_s = run_queue_s()
        # The median, for some may meet something else. And no more than can be, or nothing would be left
        # of the interval to have a share of.
        alone = sorted([self._late_s() for _ in range(_ALONE)])
        self._excess_s = min(max(0.0, alone[_ALONE // 2]), _INTERVAL_S / 2)
        self._ready.release()
        while not self._ended_s:
            late_s = self._late_s() - self._excess_s
            if self._ended_s and late_s <= 0:
                break  # it ended while this slept, which says nothing of it
            self._waits += min(1.0, max(0.0, late_s) / (_INTERVAL_S - self._excess_s))
            self._samples += 1

    def _late_s(self) -> float:
        """Sleep; return for how long more than that something was in the way, a core apart."""
        began = time.perf_counter()
        time.sleep(_PAUSE_S)
        now_s = time.perf_counter()
        late_s = min(now_s, self._ended_s or now_s) - began - _PAUSE_S
        queued_s = run_queue_s()
        late_s -= queued_s - self._queued_s
        self._queued_s = queued_s
        return late_s


def _gil_enabled() -> bool:
    ask = getattr(sys, "_is_gil_enabled", None)
    return True if ask is None else bool(ask())


def _cpu_clock(thread: threading.Thread) -> Callable[[], float]:
    """Return what tells the time that another thread was on a core.

    Read by the thread that runs the call, at the very moments at which the call begins and ends: what the
    watching thread uses before and after would else be taken from a short call, and leave nothing of it.
    """
    if thread.ident is None or not hasattr(time, "pthread_getcpuclockid"):
        return lambda: 0.0
    clock = time.pthread_getcpuclockid(thread.ident)
    return lambda: time.clock_gettime(clock)


def _cpu_s(clock: Callable[[], float]) -> tuple[float, float, float]:
    """The time on cores of this thread, of all, and of the watching one."""
    return time.thread_time(), time.process_time(), clock()


def run_queue_s() -> float:
    """How long this thread has been ready and without a core; 0 where nothing tells."""
    try:
        with open("/proc/thread-self/schedstat", "rb") as file:  # noqa: PTH123 - because: pathlib is not worth its import here
            return int(file.read().split()[1]) * 1e-9
    except (OSError, ValueError, IndexError):
        return 0.0
