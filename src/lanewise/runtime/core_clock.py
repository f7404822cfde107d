"""How long threads were on a core, and the garbage collector was at work."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED of the Linux ABI.
_CPU_OF_ONE_THREAD = 4 | 2


@dataclass(frozen=True, slots=True)
class CoreTimes:
    """Times up to one moment, or between two.

    Attributes:
        at_s: The moment (``time.monotonic()``), or the elapsed time.
        process_s: CPU time of the process.
        threads_s: CPU time of its threads by their identity, as far as the system tells (Linux).
        queued_s: How long the thread that is watched was ready to run and had no core, as far as known.
    """

    at_s: float
    process_s: float
    threads_s: Mapping[int, float]
    queued_s: float

    def since(self, before: CoreTimes) -> CoreTimes:
        """Return what was spent between the two."""
        threads_s = {
            ident: spent_s - before.threads_s.get(ident, 0.0)
            for ident, spent_s in self.threads_s.items()
        }
        return CoreTimes(
            self.at_s - before.at_s,
            self.process_s - before.process_s,
            threads_s,
            self.queued_s - before.queued_s,
        )


class CoreClock:
    """Reads the CPU time of all threads, and the run-queue time of one.

    Args:
        native_id: That thread's, as the system counts threads.

    Threads: owned by the one that reads. Close it after use.
    """

    def __init__(self, native_id: int) -> None:
        self._file = -1
        with contextlib.suppress(OSError):  # no such file on other systems
            self._file = os.open(f"/proc/self/task/{native_id}/schedstat", os.O_RDONLY)

    def now(self) -> CoreTimes:
        """Return the times up to now. Takes about a microsecond a thread."""
        return CoreTimes(time.monotonic(), time.process_time(), _cpu_times_s(), self._queued_s())

    def _queued_s(self) -> float:
        if self._file < 0:
            return 0.0
        try:
            return int(os.pread(self._file, 128, 0).split()[1]) / 1e9
        except (OSError, ValueError, IndexError):  # the thread has ended
            return 0.0

    def close(self) -> None:
        """Release the descriptor. Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _cpu_times_s() -> dict[int, float]:
    found: dict[int, float] = {}
    if sys.platform != "linux":
        return found
    for thread in threading.enumerate():
        if thread.ident is not None and thread.native_id is not None:
            # The kernel's name of a thread's clock, made from its number: pthread_getcpuclockid() would
            # look into the memory of a thread that may have ended meanwhile, and files of /proc give the
            # lock up at each step.
            with contextlib.suppress(OSError):
                found[thread.ident] = time.clock_gettime(
                    (~thread.native_id << 3) | _CPU_OF_ONE_THREAD
                )
    return found


class CollectorClock:
    """How long the garbage collector has run so far; one of ``gc.callbacks``.

    Threads: called by whichever thread collects. The interpreter lets one collection run at a time,
    callbacks included, so there is one writer at a time; ``total_s`` may be read by any thread.
    """

    __slots__ = ("_began_s", "total_s")

    def __init__(self) -> None:
        self.total_s = 0.0
        self._began_s: float | None = None

    def __call__(self, phase: str, _info: Mapping[str, Any]) -> None:
        """A collection starts or stops."""
        if phase == "start":
            self._began_s = time.monotonic()
        elif self._began_s is not None:
            self.total_s += time.monotonic() - self._began_s
            self._began_s = None
