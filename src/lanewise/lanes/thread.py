"""The thread lane: for calls that wait, or that compute outside the lock."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from _lanewise_worker.call import call_plainly
from _lanewise_worker.deadline import DEADLINE
from _lanewise_worker.probe import run_queue_s
from lanewise.errors import LaneUnavailableError
from lanewise.host.facts import gil_enabled
from lanewise.lanes.niceness import NICER, NICEST
from lanewise.lanes.pooled import PooledCalls
from lanewise.lanes.resolve import plain_function
from lanewise.lanes.streaming import ThreadStream
from lanewise.model.lane import PLAIN_TERMS, CallReport, LaneName, Terms, mark_abandoned

_log = logging.getLogger("lanewise")


class ThreadLane:
    """A pool of threads of its own, so that the loop's shared default pool is never starved by it.

    Cancellation: a queued call is removed; a running one goes on to its end and its result is
    dropped, since no thread can be stopped from outside.

    Args:
        threads: At most this many calls at once.
    """

    name: LaneName = "thread"

    def __init__(self, threads: int) -> None:
        self.threads = threads
        # owner: the loop that opened the lane.
        self._calls: PooledCalls | None = None

    async def open(self) -> None:
        """Make the pool; its threads start as calls come."""
        if self._calls is None:
            pool = ThreadPoolExecutor(self.threads, "lanewise-thread", _let_the_loop_go_first)
            self._calls = PooledCalls(pool)

    async def run(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms = PLAIN_TERMS,
    ) -> Any:
        """Run the call in a thread, under a copy of the caller's context variables."""
        calls = self._entered()
        context = _context(terms)
        plain = plain_function(function, variant)
        if terms.report is None:
            return await calls.run(context, call_plainly, plain, args, kwargs)
        return await calls.run(context, _reported, terms.report, plain, args, kwargs)

    async def stream(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms = PLAIN_TERMS,
    ) -> AsyncGenerator[Any, None]:
        """Run a generator function in a thread and yield its items as they come.

        When the consumer leaves, the generator is closed as soon as it yields next; a generator that
        never does is abandoned.
        """
        pool = self._entered().pool
        context = _context(terms)
        plain = plain_function(function, variant)
        stream = ThreadStream(lambda: plain(*args, **kwargs), context)
        running = stream.start(pool)
        try:
            while True:
                try:
                    item = await stream.next()
                except StopAsyncIteration:
                    return
                yield item
        except asyncio.CancelledError as cancelled:
            mark_abandoned(cancelled)
            raise
        finally:
            stream.leave(running)

    async def close(self, grace_s: float | None = None) -> None:
        """Let what is queued and what runs end, then end the threads.

        Threads cannot be killed: what runs longer than the grace period is left to itself, which the
        log tells.
        """
        calls, self._calls = self._calls, None
        if calls is None:
            return
        ending = asyncio.ensure_future(asyncio.to_thread(calls.pool.shutdown, wait=True))
        await asyncio.wait([ending], timeout=grace_s)
        if not ending.done():
            calls.pool.shutdown(wait=False, cancel_futures=True)
            left = calls.going_on()
            if left:
                _log.warning("%d call(s) in threads did not end and are abandoned", left)

    def _entered(self) -> PooledCalls:
        if self._calls is None:
            raise LaneUnavailableError("the thread lane is closed: enter the runtime first")
        return self._calls


def _let_the_loop_go_first() -> None:
    """Make this thread nicer than the loop's, where nothing else gives that one its turn.

    On a build without the lock. With it, a thread that gets no core would keep the lock from the loop.
    """
    if sys.platform == "linux" and not gil_enabled():
        thread = threading.get_native_id()  # niceness is a thread's own on Linux
        nice = os.getpriority(os.PRIO_PROCESS, thread)
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, min(NICEST, nice + NICER))


def _reported(
    report: CallReport, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call a function and note its time. In the call's thread, before its future has a result."""
    queue_s = run_queue_s() if report.queue else None
    started, cpu_s = time.perf_counter(), time.thread_time()
    try:
        return call_plainly(function, args, kwargs)
    finally:
        report.cpu_s = time.thread_time() - cpu_s
        report.run_s = time.perf_counter() - started
        if queue_s is not None:
            report.run_queue_s = run_queue_s() - queue_s


def _context(terms: Terms) -> contextvars.Context:
    context = contextvars.copy_context()
    if DEADLINE.get() != terms.deadline:
        context.run(DEADLINE.set, terms.deadline)
    return context
