"""One look at all threads of a process: what each does, where, and who keeps it waiting."""

from __future__ import annotations

from typing import Protocol

from lanewise.diagnose.code_table import Unreadable
from lanewise.diagnose.interpreter import NO_STACK, PythonThread, RemoteInterpreter, Stack
from lanewise.diagnose.kernel_view import ThreadIds, Waiting
from lanewise.diagnose.places import Places
from lanewise.diagnose.session import ProcessRecord
from lanewise.diagnose.states import Facts, Look, state_of
from lanewise.diagnose.watched import Watched, WatchedThreads

_READING_TRIES = 3
# How often an instruction is read again before it counts as standing still: a few µs apart, after a
# walk of the stack that takes 50 to 100 µs. A loop of bytecode is at one place again by chance in
# one of 8 to 20 readings.
_REREADINGS = 3
_SEVERAL_INTERPRETERS = (
    "sub-interpreters live in this process: the held share adds up over all their locks, and a fork of "
    "this process would crash"
)
# Threads that C libraries started are looked for every so many looks.
_LOOKS_PER_LISTING = 50


class Looker(Protocol):
    """Adds looks at one process to its record. Owned by the thread that samples."""

    record: ProcessRecord
    # Whether at the last look one of its threads may have been kept from the sampler's own core.
    shares_core: bool

    def look(self, now_us: int) -> bool:
        """Look at every thread once; False when the process has ended."""

    def finish(self, now_us: int) -> None:
        """Note the last counters and release everything. Idempotent."""


class InterpreterLooker:
    """Looks through the offsets that the interpreter publishes, from 3.13 on.

    Of each thread the order of reading is: the kernel's counters, what it sleeps in, the lock's
    holder, its stack. The thread runs on meanwhile, so what does not fit together (a holder that
    sleeps) is read again.

    Args:
        record: What is added to.
        interpreter: The target's.
        began_ns: When the session began (``time.monotonic_ns()``).
    """

    def __init__(
        self, record: ProcessRecord, interpreter: RemoteInterpreter, began_ns: int
    ) -> None:
        self.record = record
        self._began_ns = began_ns
        self._interpreter = interpreter
        self._threads = WatchedThreads(record)
        self._places = Places(record)
        self._callbacks = {0: 0}
        self._ids = ThreadIds(record.pid)
        self._looks = 0
        self._finished = self._several = self.shares_core = False

    def look(self, now_us: int) -> bool:
        """Look at every thread once; False when the process has ended."""
        try:
            threads = self._interpreter.threads()
        except OSError:
            threads = []
        if self._looks % _LOOKS_PER_LISTING == 0 or not threads:
            self._threads.refresh(now_us)
            if self._threads.number_of(self.record.pid) < 0:
                return False
        if not self._looks:
            self.record.start_us = now_us  # finding out how to look took its time
        self._looks += 1
        self.shares_core = False
        self._several |= len({thread.collecting_at for thread in threads}) > 1
        by_state = {thread.state: self._ids.ours(thread.native_id) for thread in threads}
        for thread in threads:
            watched = self._threads.find(by_state[thread.state], now_us)
            if watched is None:
                continue
            try:
                self._look_at(thread, watched, by_state, now_us)
            except OSError:  # it ended between two readings
                continue
        self.record.end_us = now_us
        return True

    def finish(self, now_us: int) -> None:
        """Note the last counters and release everything. Idempotent."""
        if self._finished:
            return
        self._finished = True
        if self._several:
            self.record.weaknesses.append(_SEVERAL_INTERPRETERS)
        self._threads.finish(now_us)
        self._interpreter.close()

    def _look_at(
        self, thread: PythonThread, watched: Watched, by_state: dict[int, int], now_us: int
    ) -> None:
        times = watched.kernel.times()
        slept = watched.asleep and times.turns == watched.times.turns
        if slept and not self._woken(watched):
            self._still_asleep(thread, watched, by_state, now_us)
            self._threads.note(watched, times, now_us)
            return
        waiting, holder = self._settled(thread, watched)
        on_core = watched.kernel.on_core() if waiting.runnable else 0
        self.shares_core |= on_core < 0
        holds = holder == thread.state
        stack = self._stack(thread)
        waits_for_gil = waiting.call == "futex" and thread.lock.covers(waiting.address)
        moving = holds and stack is not None and self._moving(thread, stack)
        facts = Facts(
            call=waiting.call,
            waits_for_gil=waits_for_gil,
            holds=holds,
            calls_c=stack is not None and stack.calls_c,
            stuck=not moving and on_core == 1,
        )
        state = state_of(facts)
        self._threads.note(watched, times, now_us)
        watched.asleep = not waiting.runnable and not holds
        watched.waits_for_gil = waits_for_gil
        watched.last = len(self.record.looks)
        if stack is None:
            self.record.torn += 1
        self.record.looks.append(
            Look(
                start_us=now_us,
                end_us=now_us,
                moments=1,
                thread=watched.index,
                state=state,
                runnable=waiting.runnable,
                on_core=1 if moving else on_core,
                holds=holds,
                collecting=holds and self._interpreter.collecting(thread),
                stack=-1 if stack is None else self._places.stack(stack),
                call=self._places.call(waiting.call),
                run_ns=times.run_ns - watched.begin.run_ns,
                queued_ns=times.queued_ns - watched.begin.queued_ns,
                holder=self._number(by_state, holder) if state == "gil_wait" else -1,
                turn_us=0 if stack is None else self._turn_us(stack),
                ready=0 if stack is None else stack.ready,
                callback=0 if stack is None else self._callback(stack.callback),
            )
        )

    def _woken(self, watched: Watched) -> bool:
        """Whether a thread that waited for events has some, and has not been given a core yet.

        It is asked for loops alone: that is a delay of everything that the loop serves.
        """
        call = self.record.calls[self.record.looks[watched.last].call]
        return call == "epoll" and watched.kernel.waiting().runnable

    def _still_asleep(
        self, thread: PythonThread, watched: Watched, by_state: dict[int, int], now_us: int
    ) -> None:
        """Count another moment of a thread that has not run since it was last looked at."""
        looks = self.record.looks
        look = looks[watched.last]
        holder = look.holder
        if watched.waits_for_gil:
            found = self._interpreter.holder(thread.lock)
            holder = self._number(by_state, 0 if found == thread.state else found)
        if holder == look.holder:
            looks[watched.last] = look._replace(end_us=now_us, moments=look.moments + 1)
        else:
            watched.last = len(looks)
            looks.append(look._replace(start_us=now_us, end_us=now_us, moments=1, holder=holder))

    def _settled(self, thread: PythonThread, watched: Watched) -> tuple[Waiting, int]:
        """What a thread waits in, and the lock's holder, as far as the two fit together."""
        for _ in range(_READING_TRIES):
            waiting = watched.kernel.waiting()
            holder = self._interpreter.holder(thread.lock)
            if waiting.runnable or holder != thread.state:
                return waiting, holder
            # It sleeps and holds the lock: either it does, or it fell asleep between two readings.
            again = watched.kernel.waiting()
            if again == waiting and self._interpreter.holder(thread.lock) == holder:
                return waiting, holder
        return waiting, holder

    def _stack(self, thread: PythonThread) -> Stack | None:
        for _ in range(_READING_TRIES):
            try:
                return self._interpreter.stack(thread)
            except Unreadable:
                continue
        return None

    def _moving(self, thread: PythonThread, stack: Stack) -> bool:
        return stack is not NO_STACK and any(
            self._interpreter.moved(thread, stack.leaf) for _ in range(_REREADINGS)
        )

    def _callback(self, address: int) -> int:
        """A short number for where a callback's outermost frame lies; every look is kept with it."""
        return self._callbacks.setdefault(address, len(self._callbacks))

    def _turn_us(self, stack: Stack) -> int:
        """When the loop's turn began, since the session did; 0 for none."""
        if not stack.turn_s:
            return 0
        # One that began before the session is counted from there.
        return max(round(stack.turn_s * 1e6 - self._began_ns / 1000), 1)

    def _number(self, by_state: dict[int, int], holder: int) -> int:
        return self._threads.number_of(by_state.get(holder, 0))
