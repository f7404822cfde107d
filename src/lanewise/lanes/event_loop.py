"""The event-loop lane: the call runs right here, and nothing else does meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any

from _lanewise_worker.call import call_plainly
from _lanewise_worker.deadline import DEADLINE
from lanewise.errors import LaneUnavailableError
from lanewise.lanes.resolve import plain_function
from lanewise.model.lane import PLAIN_TERMS, LaneName, Terms
from lanewise.plan.lane_model import SLICE_S

# What a call costs the loop beside itself: routing, counting, the task's own step.
_OVERHEAD_S = 0.000_005


class EventLoopLane:
    """For calls that are shorter than the loop budget: no dispatch, no copy, no hand-over.

    Between two looks at everything else the loop spends a slice of time in calls, however many callers
    there are: once it is used up, they queue, and each turn of the loop lets one of them go on.

    Cancellation: there is none, for the loop cannot do anything else before the call is over.
    """

    name: LaneName = "event_loop"

    def __init__(self) -> None:
        # owner: the loop that opened the lane.
        self._opened = False
        self._owed_s = 0.0
        self.last_s = 0.0
        self._callers: deque[asyncio.Future[None]] = deque()
        self._handing_out = False

    async def open(self) -> None:
        """Make ready: there is nothing to start."""
        self._opened = True

    async def run(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms = PLAIN_TERMS,
    ) -> Any:
        """Run the call at once, or in the next turn of the loop when calls kept it busy for long.

        Without that, a coroutine that awaits one short call after another would never let the loop
        look at anything else.
        """
        if self.is_due:
            await self.turn()
        return self.call_now(plain_function(function, variant), args, kwargs, terms)

    @property
    def is_due(self) -> bool:
        """Whether calls have kept the loop for so long that it must get a :meth:`turn`."""
        return self._owed_s >= SLICE_S

    async def turn(self) -> None:
        """Let the loop look at everything else, and wait for a slice of time.

        Cancellation: the slice goes to the next caller.
        """
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[None] = loop.create_future()
        self._callers.append(mine)
        if not self._handing_out:
            self._handing_out = True
            loop.call_soon(self._hand_out, loop)
        await mine

    def _hand_out(self, loop: asyncio.AbstractEventLoop) -> None:
        """Once in a turn of the loop: whoever is woken here goes on in the next one, and nobody else."""
        self._owed_s = 0.0
        while self._callers:
            caller = self._callers.popleft()
            if not caller.done():
                caller.set_result(None)
                loop.call_soon(self._hand_out, loop)
                return
        self._handing_out = False

    def call_now(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms = PLAIN_TERMS,
    ) -> Any:
        """Run a plain function before anything else happens on this thread; ``last_s`` tells how long.

        Raises:
            LaneUnavailableError: The lane is closed.
        """
        if not self._opened:
            raise LaneUnavailableError("the event-loop lane is closed: enter the runtime first")
        token = None if terms.deadline is None else DEADLINE.set(terms.deadline)
        started = time.perf_counter()
        try:
            return call_plainly(function, args, kwargs)
        finally:
            self.last_s = time.perf_counter() - started
            self._owed_s += self.last_s + _OVERHEAD_S
            if token is not None:
                DEADLINE.reset(token)

    async def stream(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms = PLAIN_TERMS,  # noqa: ARG002 - because: the signature of every lane
    ) -> AsyncGenerator[Any, None]:
        """Run a generator function here and yield its items; the loop gets its turns between them."""
        if not self._opened:
            raise LaneUnavailableError("the event-loop lane is closed: enter the runtime first")
        items = iter(plain_function(function, variant)(*args, **kwargs))
        try:
            while True:
                if self.is_due:
                    await self.turn()
                started = time.perf_counter()
                try:
                    item = next(items)
                except StopIteration:
                    return
                finally:
                    self._owed_s += time.perf_counter() - started
                yield item
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    async def close(self, grace_s: float | None = None) -> None:  # noqa: ARG002 - because: the signature of every lane
        """Nothing to release."""
        self._opened = False
