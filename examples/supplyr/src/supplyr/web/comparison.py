"""The naive builds, for comparison only: the same endpoints, with heavy work done as usual.

=========  =========================================================================
handler    heavy functions are called where they are needed, on the event loop
threads    as `def` endpoints are: in the 40 threads that Starlette has for them
pool       in a plain ProcessPoolExecutor: no bounds, no deadlines, nothing is stopped
=========  =========================================================================

Chosen by SUPPLYR_BUILD. What each does wrong is the point of it; do not copy it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing import get_context
from typing import Any, ParamSpec, TypeVar, cast

import anyio.to_thread
from lanewise import Runtime

P = ParamSpec("P")
T = TypeVar("T")


class NaiveRuntime:
    """Has what SUPPLYR uses of a Runtime, and does it without lanes."""

    def __init__(self, real: Runtime) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        """Statistics and the like are those of the idle runtime beside it."""
        return getattr(self._real, name)

    def with_options(self, **_options: Any) -> "NaiveRuntime":
        """Return itself: there is nothing that options could change."""
        return self

    def share(self, value: T) -> T:
        """Return the value: it is sent with every call."""
        return value

    async def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it on the event loop."""
        return fn(*args, **kwargs)

    async def stream(
        self, fn: Callable[P, Iterable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[T, None]:
        """Make all items, then yield them."""
        for item in await self.run(_listed, fn, args, kwargs):
            yield item


def _listed(fn: Callable[..., Iterable[T]], args: Any, kwargs: Any) -> list[T]:
    return list(fn(*args, **kwargs))


def _called(fn: Callable[..., T], args: Any, kwargs: Any) -> T:
    return fn(*args, **kwargs)


class ThreadsRuntime(NaiveRuntime):
    """Calls in Starlette's threads."""

    async def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it in a thread, once one of the forty is free."""
        return await anyio.to_thread.run_sync(_called, fn, args, kwargs)


class PoolRuntime(NaiveRuntime):
    """Calls in a process pool. owner of the pool: `built`."""

    def __init__(self, real: Runtime, pool: ProcessPoolExecutor) -> None:
        super().__init__(real)
        self._pool = pool

    async def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it in a process, once those before it are done; it is done even if nobody waits."""
        loop = asyncio.get_running_loop()
        result: T = await loop.run_in_executor(self._pool, _called, fn, args, kwargs)
        return result


@asynccontextmanager
async def built(build: str, real: Runtime) -> AsyncGenerator[Runtime]:
    """Yield the runtime of a build; `real` itself for "lanewise"."""
    if build == "handler":
        yield cast(Runtime, NaiveRuntime(real))
    elif build == "threads":
        yield cast(Runtime, ThreadsRuntime(real))
    elif build == "pool":
        workers = real.parallelism("process")
        # Not "fork", the default up to 3.13: this process has threads.
        with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
            yield cast(Runtime, PoolRuntime(real, pool))
    else:
        yield real
