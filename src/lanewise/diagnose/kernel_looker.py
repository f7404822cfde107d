"""Looks through the kernel's eyes, and the lock's word where its place is known: for any version."""

from __future__ import annotations

from lanewise.diagnose.elf import executable_of
from lanewise.diagnose.kernel_view import STOPPED, ThreadIds, Waiting, thread_ids
from lanewise.diagnose.learned import LearnedLock
from lanewise.diagnose.memory import ProcessMemory
from lanewise.diagnose.places import Places
from lanewise.diagnose.py_spy import PySpy, StackTimeline
from lanewise.diagnose.session import Frame, ProcessRecord
from lanewise.diagnose.states import Facts, Look, state_of
from lanewise.diagnose.target import exists
from lanewise.diagnose.watched import Watched, WatchedThreads

_LOOKS_PER_LISTING = 20


class KernelLooker:
    """Looks without reading frames; those come from py-spy, where it is installed.

    Args:
        record: What is added to.
        memory: Of the target; None where it may not be read.
        lock: Its place; None where it is not known, and then nobody is seen to hold it.
        spy: Takes the stacks, or None.
    """

    def __init__(
        self,
        record: ProcessRecord,
        memory: ProcessMemory | None,
        lock: LearnedLock | None,
        spy: PySpy | None,
    ) -> None:
        self.record = record
        self._memory, self._lock, self._spy = memory, lock, spy
        self._threads = WatchedThreads(record)
        self._places = Places(record)
        self._ids = ThreadIds(record.pid)
        self._looks = 0
        self._native_ids: list[int] = []
        self._executable = _program_of(record.pid)
        self._finished = self._stopped = False
        self.shares_core = self.ended = self.replaced = False

    def look(self, now_us: int) -> bool:
        """Look at every thread once; False when the process has ended."""
        if self._looks % _LOOKS_PER_LISTING == 0:
            if self._over(now_us):
                return False
            self._threads.refresh(now_us)
            self._native_ids = thread_ids(self.record.pid)
        if not self._looks:
            self.record.start_us = now_us  # finding out how to look took its time
        self._looks += 1
        self.shares_core = False
        self._stopped = self._threads.stopped()
        for native_id in self._native_ids:
            watched = self._threads.find(native_id, now_us, python=False)
            if watched is None:
                continue
            try:
                self._look_at(watched, now_us)
            except OSError:  # it ended between two readings
                continue
        self.record.end_us = now_us
        return True

    def finish(self, now_us: int) -> None:
        """Note the last counters, give looks their stacks, and release everything. Idempotent."""
        if self._finished:
            return
        self._finished = True
        self._threads.finish(now_us)
        if self._memory is not None:
            self._memory.close()
        if self._spy is not None:
            found = self._spy.finish()
            if isinstance(found, str):
                self.record.weaknesses.append(found)
            else:
                self._join(found)

    def _over(self, now_us: int) -> bool:
        """Whether the process has ended or became another program; its files are released then."""
        # In this order: a process that ends just now loses its memory after it is marked as ending.
        another = self._became_another()
        if not exists(self.record.pid):
            self._threads.finish(now_us)
        elif another:
            self.replaced = True
            self._threads.close()
        else:
            return False
        self.ended = True
        return True

    def _became_another(self) -> bool:
        executable = _program_of(self.record.pid)
        if executable and executable != self._executable:
            return True
        if self._memory is None or self._lock is None:
            return False
        try:
            return not self._memory.read(self._lock.locked, 8)
        except OSError:
            return True

    def _look_at(self, watched: Watched, now_us: int) -> None:
        times = watched.kernel.times()
        asleep_still = watched.asleep and times.turns == watched.times.turns
        self._threads.note(watched, times, now_us)
        looks = self.record.looks
        if asleep_still and not watched.waits_for_gil:
            look = looks[watched.last]
            looks[watched.last] = look._replace(end_us=now_us, moments=look.moments + 1)
            return
        waiting = STOPPED if self._stopped else watched.kernel.waiting()
        holder = 0 if self._stopped else self._holder()
        native_id = watched.kernel.native_id
        if holder == native_id and not waiting.runnable:
            holder = self._holder()  # it may have fallen asleep between two readings
        on_core = watched.kernel.on_core() if waiting.runnable else 0
        self.shares_core |= on_core < 0
        holds = holder == native_id or (self._lock is None and waiting.runnable)
        waits = self._waits_for_gil(waiting)
        self.record.threads[watched.index].python |= holds or waits
        state = state_of(Facts(waiting.call, waits, holds, calls_c=False, stuck=False))
        watched.asleep = not waiting.runnable and not holds
        watched.waits_for_gil = waits
        watched.last = len(looks)
        looks.append(
            Look(
                start_us=now_us,
                end_us=now_us,
                moments=1,
                thread=watched.index,
                state=state,
                runnable=waiting.runnable,
                on_core=on_core,
                holds=holds and self._lock is not None,
                collecting=False,
                stack=-1,
                call=self._places.call(waiting.call),
                run_ns=times.run_ns - watched.begin.run_ns,
                queued_ns=times.queued_ns - watched.begin.queued_ns,
                holder=self._threads.number_of(holder) if state == "gil_wait" else -1,
                turn_us=0,
            )
        )

    def _holder(self) -> int:
        if self._memory is None or self._lock is None:
            return 0
        return self._ids.ours(self._lock.holder(self._memory))

    def _waits_for_gil(self, waiting: Waiting) -> bool:
        return (
            self._lock is not None
            and waiting.call == "futex"
            and self._lock.covers(waiting.address)
        )

    def _join(self, found: StackTimeline) -> None:
        """Give each look the stack of its thread at its moment."""
        record = self.record
        for thread in record.threads:
            thread.name = found.names.get(thread.native_id, thread.name)
            thread.python |= thread.native_id in found.names
        numbers: dict[Frame, int] = {}
        for at, look in enumerate(record.looks):
            # Of a thread that slept from one moment to another, the middle is the surest.
            middle_us = (look.start_us + look.end_us) // 2
            places = found.at(record.threads[look.thread].native_id, middle_us)
            if not places:
                continue
            stack = tuple(
                numbers.setdefault(frame, len(numbers))
                for frame in (
                    Frame(file, line, _simple(name), name, 0) for file, line, name in places
                )
            )
            record.looks[at] = look._replace(stack=self._places.frames_of(stack))
        record.frames += list(numbers)


def _program_of(pid: int) -> str:
    """The program that a process runs, an upgrade of which replaces nothing in it."""
    return executable_of(pid).removesuffix(" (deleted)")


def _simple(qualname: str) -> str:
    return qualname.rpartition(".")[2]
