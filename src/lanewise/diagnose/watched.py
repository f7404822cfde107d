"""The threads of one process that are being watched, and the kernel's files about them."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from lanewise.diagnose.kernel_view import KernelThread, SchedulerTimes, thread_ids, thread_name
from lanewise.diagnose.session import ProcessRecord, ThreadRecord
from lanewise.diagnose.target import cpu_seconds_of

_AT_BIRTH = SchedulerTimes(0, 0, 0)
# The kernel tells when a thread began in steps of so long.
_TICK_US = 10_000
# Less than this of what a process computed is within the steps in which the kernel counts it.
_MUCH_UNSEEN_S = 0.05
_MUCH_UNSEEN = 0.05


@dataclass(slots=True)
class Watched:
    """A thread that is being watched.

    Attributes:
        index: Of its record.
        begin, times: The kernel's counters when it was first and last looked at; zeros first where
            it began during the session.
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
    """Owner of the open files about each thread. Owned by the looker; close it after use.

    Attributes:
        metered: Whether performance counters of threads can be read.
    """

    def __init__(self, record: ProcessRecord) -> None:
        self._record = record
        self._program = thread_name(record.pid, record.pid)
        self._known: dict[int, Watched] = {}
        self._listed_us: int | None = None
        self._computed_before_s = self._unseen_s = 0.0
        self._left_out: set[int] = set()
        self._closed = False
        self.metered = False

    def find(self, native_id: int, now_us: int, *, python: bool = True) -> Watched | None:
        """Return a thread, watched from now on where it is new; None when it has ended."""
        watched = self._known.get(native_id)
        if watched is not None:
            self._record.threads[watched.index].python |= python
            return watched
        try:
            kernel = KernelThread(self._record.pid, native_id)
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                self._left_out.add(native_id)
            return None
        try:
            times = kernel.times()
            first_us = self._born_us(kernel, times, now_us)
        except OSError:
            kernel.close()
            return None
        begin = times if first_us is None else _AT_BIRTH
        watched = Watched(len(self._record.threads), kernel, begin, times)
        self._known[native_id] = watched
        self._left_out.discard(native_id)
        self.metered |= kernel.has_meter
        self._record.threads.append(
            ThreadRecord(
                native_id,
                self._name(native_id),
                python,
                now_us if first_us is None else first_us,
                now_us,
            )
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
        if alive:  # else it has ended, or that cannot be told now
            for native_id in alive:
                self.find(native_id, now_us, python=False)
            for native_id in self._known.keys() - set(alive):
                self.forget(native_id)
        for native_id, watched in list(self._known.items()):
            try:
                self.note(watched, watched.kernel.times(), now_us)
            except OSError:
                self.forget(native_id)
        self._compare_with_the_whole()
        if alive:
            self._listed_us = now_us

    def finish(self, now_us: int) -> None:
        """Note the last counters and release all files; the session ends where they do. Idempotent.

        Shares are of the time that the counters are of: ended at the last look, it would be too short.
        """
        if self._closed:
            return
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

    def stopped(self) -> bool:
        """Whether a signal or a debugger keeps the process from going on: all of its threads."""
        first = self._known.get(self._record.pid)
        return first is not None and first.kernel.stopped()

    def close(self) -> None:
        """Release all files, and say what was not seen. Idempotent."""
        if self._closed:
            return
        self._closed = True
        for native_id in list(self._known):
            self.forget(native_id)
        self._record.weaknesses += self._weaknesses()

    def _born_us(self, kernel: KernelThread, times: SchedulerTimes, now_us: int) -> int | None:
        """When a new thread began, since the session did; None of one that was there before that."""
        if self._listed_us is None:
            return None
        began_us = now_us - kernel.age_us()
        if began_us < self._listed_us - _TICK_US:
            return None
        used_us = (times.run_ns + times.queued_ns) // 1000
        return max(self._listed_us, min(began_us, now_us - used_us))

    def _compare_with_the_whole(self) -> None:
        """What the process computed, by the kernel's own count, and none of its threads was seen at."""
        computed_s = cpu_seconds_of(self._record.pid)
        if self._listed_us is None:
            self._computed_before_s = computed_s
        elif computed_s:
            seen_s = sum(thread.run_ns for thread in self._record.threads) / 1e9
            self._unseen_s = computed_s - self._computed_before_s - seen_s

    def _weaknesses(self) -> list[str]:
        found = []
        seen_s = sum(thread.run_ns for thread in self._record.threads) / 1e9
        if self._unseen_s > max(_MUCH_UNSEEN_S, _MUCH_UNSEEN * (seen_s + self._unseen_s)):
            found.append(
                f"{self._unseen_s / (seen_s + self._unseen_s):.0%} of what it computed was computed by "
                "threads that came and went between two looks, and is in no share"
            )
        if self._left_out:
            found.append(
                f"{len(self._left_out)} threads were left out, for too many files would have been open "
                "(ulimit -n)"
            )
        return found

    def _name(self, native_id: int) -> str:
        if native_id == self._record.pid:
            return "MainThread"
        name = thread_name(self._record.pid, native_id)
        # Before 3.14 Python does not tell the kernel, and every thread has the program's name.
        return "" if name == self._program else name
