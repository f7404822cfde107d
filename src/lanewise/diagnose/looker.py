"""One look at all threads of a process: what each does, where, and who keeps it waiting."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

from lanewise.diagnose.code_table import Unreadable
from lanewise.diagnose.interpreter import NO_STACK, PythonThread, RemoteInterpreter, Stack
from lanewise.diagnose.kernel_view import STOPPED, ThreadIds, Waiting
from lanewise.diagnose.places import Places
from lanewise.diagnose.session import ProcessRecord
from lanewise.diagnose.states import Facts, Look, state_of
from lanewise.diagnose.target import exists
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
_NO_METER = (
    "the kernel does not let us read performance counters (perf_event_paranoid, or a filter): native "
    "code with the GIL that no call shows (`a @ b` of arrays) counts as bytecode"
)
_NO_LOCK = (
    "this interpreter runs without a GIL: all that computes is shown as native_free, and bytecode is not "
    "told from native code"
)
# Being stopped for less than this share of the looks is not told.
_MUCH_STOPPED = 0.02
# Threads that C libraries started are looked for every so many looks.
_LOOKS_PER_LISTING = 50


class Looker(Protocol):
    """Adds looks at one process to its record. Owned by the thread that samples."""

    record: ProcessRecord
    # Whether at the last look one of its threads may have been kept from the sampler's own core.
    shares_core: bool
    # Whether the process has ended, or (then both) became another program: there is nothing to look at.
    ended: bool
    replaced: bool

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
        self._looks = self._stopped_looks = 0
        self._finished = self._several = self._stopped = False
        self.shares_core = self.ended = self.replaced = False

    def look(self, now_us: int) -> bool:
        """Look at every thread once; False when the process has ended."""
        threads = self._states()
        if self._looks % _LOOKS_PER_LISTING == 0 or not threads:
            if self._over(now_us):
                return False
            self._threads.refresh(now_us)
            self._read_facts()
        if not self._looks:
            self.record.start_us = now_us  # finding out how to look took its time
        self._looks += 1
        self.shares_core = False
        self._stopped = self._threads.stopped()
        self._stopped_looks += self._stopped
        self._several |= len({thread.collecting_at for thread in threads}) > 1
        by_state = {thread.state: self._ids.ours(thread.native_id) for thread in threads}
        by_thread: dict[int, list[PythonThread]] = defaultdict(list)
        for thread in threads:
            if thread.native_id:  # none yet while it is being made
                by_thread[by_state[thread.state]].append(thread)
        for native_id, mine in by_thread.items():
            watched = self._threads.find(native_id, now_us)
            if watched is None:
                continue
            try:
                thread = self._present(mine, watched)
                own = {one.state for one in mine}
                self._look_at(thread, own, watched, by_state, now_us)
            except OSError:  # it ended between two readings
                continue
        self.record.end_us = now_us
        return True

    def finish(self, now_us: int) -> None:
        """Note the last counters and release everything. Idempotent."""
        if self._finished:
            return
        self._finished = True
        if not self.ended:
            self._read_facts()
        self._threads.finish(now_us)
        self._interpreter.close()
        self.record.weaknesses += self._weaknesses()

    def _weaknesses(self) -> list[str]:
        found = []
        if not self.record.gil_enabled:
            found.append(_NO_LOCK)
        if self._several:
            found.append(_SEVERAL_INTERPRETERS)
        if not self._threads.metered:
            found.append(_NO_METER)
        if self._stopped_looks > _MUCH_STOPPED * self._looks:
            share = self._stopped_looks / self._looks
            found.append(
                f"it was stopped, by a signal or a debugger, at {share:.0%} of the looks: that counts as "
                "io_sleep"
            )
        return found

    def _states(self) -> list[PythonThread]:
        """All states of threads; none where they change just now, or there is nothing to read."""
        try:
            return self._interpreter.threads()
        except OSError:
            return []

    def _over(self, now_us: int) -> bool:
        """Whether the process has ended or became another program; then everything is released."""
        # In this order: a process that ends just now loses its memory after it is marked as ending.
        there = self._interpreter.there()
        if not exists(self.record.pid):
            self._threads.finish(now_us)
        elif not there:
            # The kernel's counters go on, but they are the other program's.
            self.replaced = True
            self._threads.close()
        else:
            return False
        self.ended = True
        self._interpreter.close()
        return True

    def _read_facts(self) -> None:
        """What a program may set at any time, and an extension module that it imports too."""
        with contextlib.suppress(OSError, IndexError):
            self.record.gil_enabled = self._interpreter.gil_enabled()
            self.record.switch_interval_s = self._interpreter.switch_interval_s()

    def _present(self, mine: Sequence[PythonThread], watched: Watched) -> PythonThread:
        """Of a thread that several interpreters know, the state that it runs or waits with.

        The others are where it came from, and stay as it left them.
        """
        if len(mine) == 1:
            return mine[0]
        # Up to 3.11 the one lock goes along from state to state, and names the one that took it.
        own = {one.state for one in mine}
        likely = [one for one in mine if self._interpreter.holder(one.lock) in own]
        if not likely:
            waiting = watched.kernel.waiting()
            likely = [one for one in mine if self._waits_for_gil(one, waiting)] or list(mine)
        # The newest interpreter comes first, and was entered from an older one.
        return next((one for one in likely if self._interpreter.has_frames(one)), likely[0])

    def _look_at(
        self,
        thread: PythonThread,
        own: set[int],
        watched: Watched,
        by_state: dict[int, int],
        now_us: int,
    ) -> None:
        times = watched.kernel.times()
        slept = watched.asleep and times.turns == watched.times.turns
        if slept and not self._woken(watched):
            self._still_asleep(thread, watched, by_state, now_us)
            self._threads.note(watched, times, now_us)
            return
        waiting, holder = (STOPPED, 0) if self._stopped else self._settled(thread, own, watched)
        on_core = watched.kernel.on_core() if waiting.runnable else 0
        self.shares_core |= on_core < 0
        holds = holder in own
        stack = self._stack(thread)
        waits_for_gil = self._waits_for_gil(thread, waiting)
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
                collecting=self._may_collect(waiting, holds=holds)
                and self._interpreter.collecting(thread),
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

    def _waits_for_gil(self, thread: PythonThread, waiting: Waiting) -> bool:
        return waiting.call == "futex" and self._interpreter.waits(thread, waiting.address)

    def _may_collect(self, waiting: Waiting, *, holds: bool) -> bool:
        """Whether a collection may be this thread's: where there is no lock, all others stand still."""
        return holds or (not self.record.gil_enabled and waiting.runnable)

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

    def _settled(
        self, thread: PythonThread, own: set[int], watched: Watched
    ) -> tuple[Waiting, int]:
        """What a thread waits in, and the lock's holder, as far as the two fit together."""
        for _ in range(_READING_TRIES):
            waiting = watched.kernel.waiting()
            holder = self._interpreter.holder(thread.lock)
            if waiting.runnable or holder not in own:
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
