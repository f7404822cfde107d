"""Heavy functions of jobs: after everybody who waits for an answer, and patient.

A request that finds no room is told so at once (503). A job has time: it asks again.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import ParamSpec, TypeVar

from lanewise import OverloadedError, Runtime

P = ParamSpec("P")
T = TypeVar("T")

_MAX_WAIT_S = 5.0


class Background:
    """A runtime as jobs use it. Threads: belongs to the runtime's event loop."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime.with_options(priority="low")

    async def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call; where there is no room, wait and try again until there is.

        Cancellation: stops the call, or the waiting.
        """
        while True:
            try:
                return await self._runtime.run(fn, *args, **kwargs)
            except OverloadedError as error:
                await asyncio.sleep(_wait_s(error))

    async def stream(
        self, fn: Callable[P, Iterable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[T, None]:
        """Yield the items of a generator task; waits for room only before the first one."""
        while True:
            items = self._runtime.stream(fn, *args, **kwargs)
            started = False
            try:
                async for item in items:
                    started = True
                    yield item
            except OverloadedError as error:
                if started:
                    raise
                await asyncio.sleep(_wait_s(error))
            else:
                return
            finally:
                await items.aclose()

    def isolated(self, timeout_s: float) -> "Background":
        """Return one whose calls run in processes of their own, and no longer than that."""
        return Background(self._runtime.with_options(lane="process", timeout_s=timeout_s))

    async def share(self, value: T) -> T:
        """Send a value to each worker once; give what is returned to `run` in its place."""
        return await asyncio.to_thread(lambda: self._runtime.share(value))

    @property
    def at_once(self) -> int:
        """How many calls of one job are worth having in flight."""
        return max(1, self._runtime.parallelism("process"))


def _wait_s(error: OverloadedError) -> float:
    wait_s = min(max(error.retry_after_s or 0.0, 0.05), _MAX_WAIT_S)
    # Several that wait do not come back together.
    return wait_s * (0.5 + random.random())
