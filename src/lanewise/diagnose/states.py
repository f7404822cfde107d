"""The seven columns, and which of them one look at one thread belongs to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Column = Literal[
    "python_gil", "native_gil", "native_free", "gil_wait", "run_queue", "lock_wait", "io_sleep"
]
COLUMNS: tuple[Column, ...] = (
    "python_gil",
    "native_gil",
    "native_free",
    "gil_wait",
    "run_queue",
    "lock_wait",
    "io_sleep",
)
# What a thread that runs does.
COMPUTING: tuple[Column, ...] = ("python_gil", "native_gil", "native_free")
MEANING: dict[Column, str] = {
    "python_gil": "computing in bytecode, with the GIL",
    "native_gil": "in native code, with the GIL",
    "native_free": "in native code, without the GIL",
    "gil_wait": "waiting for the GIL",
    "run_queue": "waiting for a core",
    "lock_wait": "waiting for another lock",
    "io_sleep": "in I/O or asleep",
}
Shares = dict[Column, float]


def no_shares() -> Shares:
    """Return all columns at 0."""
    return dict.fromkeys(COLUMNS, 0.0)


def held(shares: Mapping[Column, float]) -> float:
    """The share under the lock while computing."""
    return shares["python_gil"] + shares["native_gil"]


class Look(NamedTuple):
    """One thread at one moment, or at several between which it did not run.

    Attributes:
        start_us, end_us: First and last moment, since the session began.
        moments: How many.
        thread, stack, call: Positions in the session's lists; ``stack`` -1 where it could not be
            read.
        state: What it did; never ``run_queue``, which the kernel's counters tell.
        runnable: Ran, or could have run.
        on_core: 1 when it surely was on a core, 0 when it surely was not, -1 when that is not
            known.
        holds: Held the lock.
        collecting: The garbage was being collected, by this thread.
        run_ns, queued_ns: The kernel's counters of the thread.
        holder: Of ``gil_wait``: which thread held the lock, else -1.
        turn_us: When the present turn of an asyncio loop began, since the session did; 0 where
            there is none.
        ready: How many callbacks that turn runs, one after the other; 0 where that is not known.
        callback: What tells the callback that a loop runs from others: where its outermost frame
            lies, which another may have after it. 0 where there is none.
    """

    start_us: int
    end_us: int
    moments: int
    thread: int
    state: Column
    runnable: bool
    on_core: int
    holds: bool
    collecting: bool
    stack: int
    call: int
    run_ns: int
    queued_ns: int
    holder: int
    turn_us: int
    ready: int = 0
    callback: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read of a thread at one moment.

    Attributes:
        call: The system call it sleeps in, ``running`` where it could run.
        waits_for_gil: It sleeps on a word inside the lock.
        holds: It is the lock's holder.
        calls_c: Its innermost instruction runs a function written in C.
        stuck: That instruction did not change between several readings, although the thread was on
            a core.
    """

    call: str
    waits_for_gil: bool
    holds: bool
    calls_c: bool
    stuck: bool


def state_of(facts: Facts) -> Column:
    """Say what a thread does.

    A thread that sleeps in a system call and holds the lock all the same is in native code that did
    not give the lock up, which is what matters to all others.
    """
    if facts.holds:
        native = facts.call != "running" or facts.calls_c or facts.stuck
        return "native_gil" if native else "python_gil"
    if facts.call == "running":
        return "native_free"
    if facts.waits_for_gil:
        return "gil_wait"
    return "lock_wait" if facts.call == "futex" else "io_sleep"
