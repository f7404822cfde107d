"""Time one call alone: runs in the bench while the session reads its lock word."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Any

from lanewise.measuring.case import Case
from lanewise.measuring.thread_clock import ThreadClock, ThreadTimes

# Reading a clock costs some 50 ns; against 200 µs of calls that is lost in the noise.
_BATCH_S = 200e-6
# More values than this say nothing new about a median, and all travel to the session.
_MAX_VALUES = 2_000
_MAX_CALLS_PER_BATCH = 100_000
_FRESH_AT_ONCE = 64


def probe_cost(case: Case, duration_s: float, core: int | None) -> dict[str, Any]:
    """Call the case for about ``duration_s`` and return its times as plain values.

    Args:
        case: What to call.
        duration_s: How long, at least one call.
        core: Keep this thread on that core meanwhile, or None to leave it where it likes.

    Returns:
        ``walls_s`` (seconds a call, one value a batch), ``calls``, ``cpu_s``, ``thread_cpu_s``,
        ``run_queue_s``, ``blocked_s`` and ``wall_s`` (totals), and ``windows_ns`` (the monotonic
        spans during which calls ran and nothing else).
    """
    with _on_core(core):
        return _probe(case, duration_s)


def _probe(case: Case, duration_s: float) -> dict[str, Any]:
    per_batch = 1 if case.mutates else _calls_per_batch(case)
    run = _Run(case.variant.function, time.perf_counter() + duration_s)
    clock = ThreadClock()
    try:
        first = [case.fresh_arguments(1)] if case.mutates else repeat([case.args] * per_batch)
        total = _one_stretch(run, clock, first)
        while case.mutates and not run.over():
            # Making arguments is not the call's own cost: it happens between stretches.
            fresh = [[args] for args in case.fresh_arguments(_FRESH_AT_ONCE)]
            total = total.plus(_one_stretch(run, clock, fresh))
    finally:
        clock.close()
    return {
        "walls_s": run.walls_s,
        "calls": run.calls,
        "wall_s": total.wall_s,
        "cpu_s": total.process_cpu_s,
        "thread_cpu_s": total.thread_cpu_s,
        "run_queue_s": total.run_queue_s,
        "blocked_s": total.blocked_s,
        "windows_ns": run.windows_ns,
    }


class _Run:
    """Calls so far. Owner: the bench's main thread."""

    def __init__(self, function: Callable[..., Any], stop_at: float) -> None:
        self.function = function
        self.stop_at = stop_at
        self.calls = 0
        self.walls_s: list[float] = []
        self.windows_ns: list[tuple[int, int]] = []

    def over(self) -> bool:
        return time.perf_counter() >= self.stop_at or len(self.walls_s) >= _MAX_VALUES


def _one_stretch(
    run: _Run, clock: ThreadClock, batches: Iterable[list[tuple[Any, ...]]]
) -> ThreadTimes:
    """Run batches back to back, and nothing between them that would give the lock up."""
    function, now_ns = run.function, time.monotonic_ns
    first = clock.now()
    stretch_start = stop_ns = now_ns()
    for batch in batches:
        start_ns = now_ns()
        for args in batch:
            function(*args)
        stop_ns = now_ns()
        run.walls_s.append((stop_ns - start_ns) / 1e9 / len(batch))
        run.calls += len(batch)
        if run.over():
            break
    run.windows_ns.append((stretch_start, stop_ns))
    return clock.now().since(first)


def _calls_per_batch(case: Case) -> int:
    """How many calls fill a batch; a call of 200 µs and more is a batch of its own."""
    function, args = case.variant.function, case.args
    count = 1
    while count < _MAX_CALLS_PER_BATCH:
        started = time.perf_counter()
        for _ in range(count):
            function(*args)
        spent_s = time.perf_counter() - started
        if spent_s >= _BATCH_S:
            return max(1, round(count * _BATCH_S / spent_s))
        count *= 4 if spent_s < _BATCH_S / 8 else 2
    return _MAX_CALLS_PER_BATCH


@contextlib.contextmanager
def _on_core(core: int | None) -> Iterator[None]:
    if core is None:
        yield
        return
    # 0 is the calling thread, not the process: threads that the call keeps elsewhere stay there.
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
