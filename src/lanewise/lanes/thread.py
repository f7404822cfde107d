"""The thread lane: for calls that wait, or that compute outside the lock."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from _lanewise_worker.call import call_plainly
from lanewise.errors import LaneUnavailableError
from lanewise.lanes.pooled import outcome_of
from lanewise.lanes.resolve import plain_function
from lanewise.model.lane import LaneName


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
        self._pool: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        """Make the pool; its threads start as calls come."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="lanewise-thread")

    async def run(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Run the call in a thread, under a copy of the caller's context variables."""
        if self._pool is None:
            raise LaneUnavailableError("the thread lane is closed: enter the runtime first")
        run_in_context = contextvars.copy_context().run
        plain = plain_function(function, variant)
        future = self._pool.submit(run_in_context, call_plainly, plain, args, kwargs)
        return await outcome_of(future)

    async def close(self) -> None:
        """Wait for running calls, drop queued ones, end the threads."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
