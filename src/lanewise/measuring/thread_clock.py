"""Where a thread's elapsed time went: on a core, in the run queue, or blocked.

``/proc/self/task/TID/schedstat`` gives nanoseconds on a core and nanoseconds in the run queue since
the thread began (Documentation/scheduler/sched-stats.rst). What remains of the elapsed time was
spent blocked. Where the file is missing (macOS, Windows, kernels without CONFIG_SCHED_INFO) the run
queue is unknown, which is reported as None and not as 0.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ThreadTimes:
    """Elapsed, process CPU, thread CPU and run-queue time in seconds; None where unknown."""

    wall_s: float
    process_cpu_s: float
    thread_cpu_s: float
    run_queue_s: float | None

    def since(self, start: ThreadTimes) -> ThreadTimes:
        """Return the times that passed since ``start``."""
        queued = (
            None
            if self.run_queue_s is None or start.run_queue_s is None
            else self.run_queue_s - start.run_queue_s
        )
        return ThreadTimes(
            self.wall_s - start.wall_s,
            self.process_cpu_s - start.process_cpu_s,
            self.thread_cpu_s - start.thread_cpu_s,
            queued,
        )

    def plus(self, more: ThreadTimes) -> ThreadTimes:
        """Return the sum of two spans."""
        queued = (
            None
            if self.run_queue_s is None or more.run_queue_s is None
            else self.run_queue_s + more.run_queue_s
        )
        return ThreadTimes(
            self.wall_s + more.wall_s,
            self.process_cpu_s + more.process_cpu_s,
            self.thread_cpu_s + more.thread_cpu_s,
            queued,
        )

    @property
    def blocked_s(self) -> float | None:
        """Elapsed time that was neither on a core nor in the run queue."""
        if self.run_queue_s is None:
            return None
        return max(0.0, self.wall_s - self.thread_cpu_s - self.run_queue_s)


class ThreadClock:
    """Reads the times of the thread that made it; call it from that thread only."""

    def __init__(self) -> None:
        path = f"/proc/self/task/{threading.get_native_id()}/schedstat"
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError:
            self._file = -1

    def now(self) -> ThreadTimes:
        """Return the times up to now. Costs some microseconds."""
        return ThreadTimes(
            time.perf_counter(), time.process_time(), time.thread_time(), self._run_queue_s()
        )

    def _run_queue_s(self) -> float | None:
        if self._file < 0:
            return None
        try:
            return int(os.pread(self._file, 128, 0).split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return None

    def close(self) -> None:
        """Release the descriptor. Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
