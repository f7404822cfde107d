"""The process lane: calls that compute under the lock get an interpreter and a lock of their own.

Provisional: it sits on the standard library's pool, whose promises are weaker than those that
ARCHITECTURE.md asks of this lane: one worker's death fails every call in flight, and a running call
cannot be stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, cast

from _lanewise_worker.call import FarSideError, Parcel, Sealed, invoke, nothing, start_worker
from lanewise.errors import LaneUnavailableError, NotPortableError, WorkerDiedError
from lanewise.lanes.pooled import outcome_of
from lanewise.model.lane import LaneName


class ProcessLane:
    """A pool of worker processes.

    Cancellation: a queued call is removed; a running one goes on to its end.

    Args:
        processes: Worker processes.
        start_method: ``"forkserver"`` or ``"spawn"``; by default the first where there is one.
            ``"fork"`` is refused: a fork beside running threads copies their locks as they stand.
    """

    name: LaneName = "process"

    def __init__(self, processes: int, *, start_method: str | None = None) -> None:
        if start_method not in (None, "forkserver", "spawn"):
            raise ValueError(
                f"start_method={start_method!r} must be 'forkserver' or 'spawn': "
                "fork is unsafe beside threads, and this process has or will have some"
            )
        self.processes = processes
        self._start_method = start_method
        # owner: the loop that opened the lane; guarded by _changing while it is replaced.
        self._pool: ProcessPoolExecutor | None = None
        self._changing = asyncio.Lock()
        self._opened = False
        self._room = asyncio.Semaphore(processes)

    async def open(self) -> None:
        """Start every worker and wait until all of them answer. Idempotent.

        Raises:
            LaneUnavailableError: Processes cannot be started here.
        """
        self._opened = True
        try:
            await self._ready()
        except BaseException:
            self._opened = False
            raise

    async def _started(self) -> ProcessPoolExecutor:
        """Start a pool without blocking the loop."""
        starting = asyncio.ensure_future(asyncio.to_thread(self._start))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # A thread that starts processes cannot be stopped: wait for it, then end what it made.
            await asyncio.wait([starting])
            if not starting.cancelled() and starting.exception() is None:
                await asyncio.to_thread(starting.result().shutdown, wait=True, cancel_futures=True)
            raise
        except (OSError, ImportError, ValueError, BrokenProcessPool) as error:
            raise LaneUnavailableError(
                f"worker processes cannot be started here ({type(error).__name__}: {error}). "
                "Usual causes: no semaphores (/dev/shm missing or full), a limit on processes, or "
                "a main module that cannot be imported again"
            ) from error

    def _start(self) -> ProcessPoolExecutor:
        available = multiprocessing.get_all_start_methods()
        method = self._start_method or ("forkserver" if "forkserver" in available else "spawn")
        context = multiprocessing.get_context(method)
        pool = ProcessPoolExecutor(self.processes, mp_context=context, initializer=start_worker)
        try:
            for future in [pool.submit(nothing) for _ in range(self.processes)]:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return pool

    async def run(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Run the call in a worker; arguments and result are copies.

        Raises:
            NotPortableError: The function, an argument or the result cannot be pickled.
            WorkerDiedError: A worker died; this call may have been the one it ran.
        """
        try:
            return await outcome_of(await self._admitted(Sealed(function, variant, args, kwargs)))
        except FarSideError as error:
            raise _not_portable(_name(function), error) from error
        except BrokenProcessPool as error:
            raise WorkerDiedError(
                f"a worker process died while {_name(function)} was in flight ({error}). "
                "Usual causes: a crash in native code, the kernel's out-of-memory killer, os._exit"
            ) from error
        except Exception as error:
            problem = _pickling_problem(error)
            if problem is None:
                raise
            what, started = problem
            raise NotPortableError(
                f"{what} of {_name(function)} cannot cross between processes: {error}. Use plain, "
                "module-level functions and values, or pin the task with @task(lane='thread')",
                started=started,
            ) from error

    async def _admitted(self, call: Sealed) -> Future[Any]:
        """Wait for a free worker and hand the call over.

        The pool prefetches one call a worker, which could no longer be removed, so calls queue here.
        A place is free again when the call has ended and not when its caller has gone: an abandoned
        call still has its worker.
        """
        await self._room.acquire()
        try:
            future = await self._submitted(call)
        except BaseException:
            self._room.release()
            raise
        loop = asyncio.get_running_loop()

        def ended(_: Future[Any]) -> None:
            # Called by the pool's own thread; a loop that is gone needs no room.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._room.release)

        future.add_done_callback(ended)
        return future

    async def _submitted(self, call: Sealed) -> Future[Any]:
        """Hand a call to the pool; a pool that is found broken is replaced first.

        A call that a broken pool refused has not started, so it goes to the new one.
        """
        while True:
            pool = self._pool
            if pool is None or self._changing.locked():
                pool = await self._ready()
            try:
                # What is Sealed here arrives there as the Parcel that invoke takes.
                return pool.submit(invoke, cast("Parcel", call))
            except BrokenProcessPool:
                await self._discard(pool)

    async def _ready(self) -> ProcessPoolExecutor:
        """Wait while the pool is changed, and start one where there is none."""
        async with self._changing:
            if not self._opened:
                raise LaneUnavailableError("the process lane is closed: enter the runtime first")
            if self._pool is None:
                self._pool = await self._started()
            return self._pool

    async def _discard(self, broken: ProcessPoolExecutor) -> None:
        """Drop a broken pool, once, however many calls find it broken."""
        async with self._changing:
            if self._pool is broken:
                self._pool = None
                broken.shutdown(wait=False, cancel_futures=True)

    async def close(self) -> None:
        """Wait for running calls, drop queued ones, end the workers."""
        self._opened = False
        async with self._changing:
            pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)


def _name(function: Callable[..., Any]) -> str:
    for attribute in ("name", "__qualname__"):
        found = getattr(function, attribute, None)
        if isinstance(found, str):
            return found
    return repr(function)


def _not_portable(name: str, error: FarSideError) -> NotPortableError:
    if error.what == "arguments":
        return NotPortableError(
            f"the function or an argument of {name} arrived in a worker and could not be made again "
            f"there: {error.words}. Check its __reduce__ or __setstate__, and that workers can "
            "import its module"
        )
    return NotPortableError(
        f"{name} raised an exception that cannot cross between processes: {error.words}. Give that "
        "exception a constructor which takes its args, or a __reduce__",
        started=True,
    )


def _pickling_problem(error: Exception) -> tuple[str, bool] | None:
    """Whether pickling raised this, and not the user's function: (what, whether the call ran).

    The pool gives both kinds a ``_RemoteTraceback`` as their cause, whose text tells them apart:
    arguments are pickled by the queue's feeder on this side, a result by the pool's own sending.
    """
    cause = error.__cause__
    if type(cause).__name__ != "_RemoteTraceback":
        return None
    frames = str(cause)
    if "_sendback_result" in frames:
        return "the result", True
    if "queues.py" in frames and ", in _feed" in frames:
        return "the function or an argument", False
    return None
