"""Always on, from inside: how late the loop is, what stalls it, and what each thread's time goes to.

Who holds the lock and who waits for it cannot be seen from inside without taking it: a thread that
looks has it. That is what ``lanewise diagnose --pid`` is for, which a watched process lets in where
only its parent could look.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from lanewise.runtime.loop_lag import LoopStatistics, Stall
from lanewise.runtime.loop_watch import LoopWatch

# <linux/prctl.h>: whoever has the same user may look into this process, as without Yama.
_SET_PTRACER = 0x59616D61
_ANYBODY = -1
_NOBODY = 0


@dataclass(frozen=True, slots=True)
class ThreadUse:
    """One thread since the watch began; shares of the time since then.

    Attributes:
        native_id, name: Which one; one that a C library started has no name.
        running: On a core, with the lock or without it.
        queued: Waiting for a core.
        asleep: Everything else: I/O, locks, and waiting for the GIL.
    """

    native_id: int
    name: str
    running: float
    queued: float
    asleep: float


@dataclass(frozen=True, slots=True)
class WatchStatistics:
    """A snapshot.

    Attributes:
        watched_s: Time since the watch began.
        loop: Of the event loop that it was started on; None where there was none.
        threads: Those that live now, where the kernel tells (Linux), the busiest first.
    """

    watched_s: float
    loop: LoopStatistics | None
    threads: tuple[ThreadUse, ...]


class Watch:
    """What :func:`watch` returns. A context manager; ``stop`` ends it as well.

    Threads: starting and stopping belong to the thread that called :func:`watch`; ``statistics`` to
        the loop's thread
    where there is a loop, else to any.
    """

    def __init__(self, loop_watch: LoopWatch | None, *, let_in: bool) -> None:
        self._loop_watch = loop_watch
        self._let_in = let_in and _allow(_ANYBODY)
        self._began_s = time.monotonic()
        # owner: the thread that calls ``statistics``.
        self._before = _counters()
        self._last: WatchStatistics | None = None

    def __enter__(self) -> Self:
        """Return itself; it has begun already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.stop()

    def stop(self) -> None:
        """End it; what was seen stays. Idempotent."""
        if self._last is None:
            if self._loop_watch is not None:
                self._loop_watch.stop()
            if self._let_in:
                _allow(_NOBODY)
            self._last = self._snapshot()

    def statistics(self) -> WatchStatistics:
        """Return a snapshot: some 10 µs a thread."""
        return self._last or self._snapshot()

    def _snapshot(self) -> WatchStatistics:
        watched_s = max(time.monotonic() - self._began_s, 1e-9)
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        found = []
        for native_id, (run_ns, queued_ns) in _counters().items():
            began = self._before.get(native_id, (0, 0))
            running = min((run_ns - began[0]) / 1e9 / watched_s, 1.0)
            queued = min((queued_ns - began[1]) / 1e9 / watched_s, 1.0 - running)
            name = names.get(native_id, "")
            found.append(ThreadUse(native_id, name, running, queued, 1.0 - running - queued))
        found.sort(key=lambda one: -one.running)
        loop = None if self._loop_watch is None else self._loop_watch.statistics()
        return WatchStatistics(watched_s, loop, tuple(found))


def watch(
    *,
    stall_s: float = 0.1,
    on_stall: Callable[[Stall], None] | None = None,
    let_diagnose_in: bool = False,
) -> Watch:
    """Watch this process from inside, for as long as it runs, at less than a hundredth of a core.

    On a running event loop its lag is measured and its stalls are logged with file and line,
    garbage collection told apart; elsewhere only threads are told of.

    Args:
        stall_s: A loop that is away for so long is stalled.
        on_stall: Called on the loop with each stall, when it is over.
        let_diagnose_in: Let ``lanewise diagnose --pid`` look into this process where the kernel
            lets only parents (Yama's ptrace_scope 1): any program of the same user then may, until
            the watch ends.

    Raises:
        ValueError: ``stall_s`` is not positive.
        RuntimeError: The system has no thread left.

    Example::

        with lanewise.watch() as health:
            await serve()
            print(health.statistics().loop.p99_s)
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return Watch(None, let_in=let_diagnose_in)
    loop_watch = LoopWatch(stall_s=stall_s, on_stall=on_stall)
    loop_watch.start(loop)
    return Watch(loop_watch, let_in=let_diagnose_in)


def _counters() -> dict[int, tuple[int, int]]:
    """Nanoseconds that each thread ran and waited for a core; empty where the kernel does not tell."""
    found = {}
    pid = os.getpid()
    # Not by kernel_view: who imports lanewise does not want ctypes for that.
    for folder in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError, ValueError):
            run, queued, _ = (folder / "schedstat").read_text().split()
            found[int(folder.name)] = (int(run), int(queued))
    return found


def _allow(whom: int) -> bool:
    """Say who may look into this process; False where this kernel has no such call."""
    import ctypes  # noqa: PLC0415 - because: only who asks for this needs it

    try:
        prctl = ctypes.CDLL(None).prctl
        return bool(prctl(_SET_PTRACER, ctypes.c_ulong(whom), 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False
