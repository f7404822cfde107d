"""The threads of one process that are being watched, and the kernel's files about them."""

from __future__ import annotations

from dataclasses import dataclass

from lanewise.diagnose.kernel_view import KernelThread, SchedulerTimes, thread_ids, thread_name
from lanewise.diagnose.session import ProcessRecord, ThreadRecord


@dataclass(slots=True)
class Watched:
    """A thread that is being watched.

    Attributes:
        index: Of its record.
        begin, times: The kernel's counters when it was first and last looked at.
        last: Position of its last look among the record's, -1 before the first.
        asleep: At that look; it has not run since then while ``times.turns`` stays the same.
        waits_for_gil: At that look.
    """

    index: int
    kernel: KernelThread
    begin: SchedulerTimes
    times: SchedulerTimes
    last: int = -1
    asleep: bool = False
    waits_for_gil: bool = False


class WatchedThreads:
    """Owner of the open files about each thread. Owned by the looker; close it after use."""

    def __init__(self, record: ProcessRecord) -> None:
        self._record = record
        self._program = thread_name(record.pid, record.pid)
        self._known: dict[int, Watched] = {}

    def find(self, native_id: int, now_us: int, *, python: bool = True) -> Watched | None:
        """Return a thread, watched from now on where it is new; None when it has ended."""
        watched = self._known.get(native_id)
        if watched is not None:
            self._record.threads[watched.index].python |= python
            return watched
        try:
            kernel = KernelThread(self._record.pid, native_id)
            times = kernel.times()
        except OSError:
            return None
        watched = Watched(len(self._record.threads), kernel, times, times)
        self._known[native_id] = watched
        self._record.threads.append(
            ThreadRecord(native_id, self._name(native_id), python, now_us, now_us)
        )
        return watched

    def note(self, watched: Watched, times: SchedulerTimes, now_us: int) -> None:
        """Keep a thread's counters as of now."""
        record, begin = self._record.threads[watched.index], watched.begin
        record.last_us = now_us
        record.run_ns = times.run_ns - begin.run_ns
        record.queued_ns = times.queued_ns - begin.queued_ns
        watched.times = times

    def refresh(self, now_us: int) -> None:
        """Take up new threads, note the counters of all, and forget those that have ended."""
        alive = thread_ids(self._record.pid)
        for native_id in alive:
            self.find(native_id, now_us, python=False)
        for native_id in self._known.keys() - set(alive):
            self.forget(native_id)
        for native_id, watched in list(self._known.items()):
            try:
                self.note(watched, watched.kernel.times(), now_us)
            except OSError:
                self.forget(native_id)

    def finish(self, now_us: int) -> None:
        """Note the last counters and release all files; the session ends where they do.

        Shares are of the time that the counters are of: ended at the last look, it would be too short.
        """
        self.refresh(now_us)
        self.close()
        ends = [thread.last_us for thread in self._record.threads]
        self._record.end_us = max([self._record.end_us, *ends])

    def forget(self, native_id: int) -> None:
        """Stop watching a thread that has ended."""
        watched = self._known.pop(native_id, None)
        if watched is not None:
            watched.kernel.close()

    def number_of(self, native_id: int) -> int:
        """The number of a thread's record, -1 where it is not known."""
        watched = self._known.get(native_id)
        return -1 if watched is None else watched.index

    def close(self) -> None:
        """Release all files. Idempotent."""
        for native_id in list(self._known):
            self.forget(native_id)

    def _name(self, native_id: int) -> str:
        if native_id == self._record.pid:
            return "MainThread"
        name = thread_name(self._record.pid, native_id)
        # Before 3.14 Python does not tell the kernel, and every thread has the program's name.
        return "" if name == self._program else name
