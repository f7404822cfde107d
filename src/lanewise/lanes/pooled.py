"""Awaiting a call that runs on a pool of the standard library."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from lanewise.model.lane import mark_abandoned


class PooledCalls:
    """Calls of one loop on a pool.

    The pool's own future only says whether a call has begun and whether it has ended. The outcome goes
    to the loop straight from the thread that has it; ``asyncio.wrap_future`` would have it stored there
    first, copied by a callback, and both futures watch each other for a cancellation.

    Threads: everything belongs to the loop, but ``_ran``.

    Args:
        pool: Where they run. Whoever made it ends it.
    """

    def __init__(self, pool: Executor) -> None:
        self.pool = pool
        self._loop = asyncio.get_running_loop()
        self._in_flight: set[Future[None]] = set()

    async def run(self, context: contextvars.Context, call: Callable[..., Any], *args: Any) -> Any:
        """Run ``call(*args)`` in the context and return what it returned, or raise what it raised.

        Cancellation: what is still queued is removed; what runs goes on, and the CancelledError says so.
        """
        outcome: asyncio.Future[Any] = self._loop.create_future()
        future = self.pool.submit(_ran, self._loop, outcome, context, call, args)
        self._in_flight.add(future)
        try:
            result = await outcome
        except asyncio.CancelledError as cancelled:
            if outcome.cancelled() and not future.cancel():
                mark_abandoned(cancelled, future)
                self._forget_ended()
            else:
                self._in_flight.discard(future)
            raise
        except BaseException:
            self._in_flight.discard(future)
            raise
        finally:
            del outcome  # an error in it has a traceback, which holds this frame
        self._in_flight.discard(future)
        return result

    def going_on(self) -> int:
        """How many have not ended, abandoned ones among them."""
        self._forget_ended()
        return len(self._in_flight)

    def _forget_ended(self) -> None:
        self._in_flight = {future for future in self._in_flight if not future.done()}


def _ran(
    loop: asyncio.AbstractEventLoop,
    outcome: asyncio.Future[Any],
    context: contextvars.Context,
    call: Callable[..., Any],
    args: tuple[Any, ...],
) -> None:
    """Run a call and tell the loop what became of it. In a thread of the pool."""
    try:
        result = context.run(call, *args)
    except BaseException as error:  # noqa: BLE001 - because: whoever awaits it is told
        _tell(loop, _failed, outcome, error)
    else:
        _tell(loop, _succeeded, outcome, result)


def _tell(
    loop: asyncio.AbstractEventLoop,
    how: Callable[[asyncio.Future[Any], Any], None],
    outcome: asyncio.Future[Any],
    what: Any,
) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits
        loop.call_soon_threadsafe(how, outcome, what)


def _succeeded(outcome: asyncio.Future[Any], result: Any) -> None:
    if not outcome.done():
        outcome.set_result(result)


def _failed(outcome: asyncio.Future[Any], error: BaseException) -> None:
    if not outcome.done():
        outcome.set_exception(error)
