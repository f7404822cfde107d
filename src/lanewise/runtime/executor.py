"""``Executor``: the standard interface over a runtime, for programs without an event loop."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import itertools
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor as StandardExecutor
from concurrent.futures import Future
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar

from _lanewise_worker.call import each
from lanewise.errors import LaneUnavailableError, LanewiseError, WorkerDiedError
from lanewise.model.lane import LANE_NAMES, LaneName
from lanewise.runtime.runtime import Runtime

P = ParamSpec("P")
T = TypeVar("T")

# Calls that the runtime may hold at once: one more than there are workers, as the standard pool does,
# since what it holds counts as running and cannot be cancelled any more; many of functions whose calls
# are short, which then share writes.
_EXTRA = 1
_SHORT_S = 0.000_2
_MANY = 128

# A call that waits here: its future, the function and its arguments, the context of who submitted it.
_Submitted: TypeAlias = tuple[Future[Any], Callable[..., Any], Any, Any, contextvars.Context | None]

# Executors whose threads are to end before the interpreter does, and whether it has begun to.
# Guard: _engines_guard.
_engines: weakref.WeakSet[_Engine] = weakref.WeakSet()
_interpreter_ends = threading.Event()
_engines_guard = threading.Lock()


class Executor(StandardExecutor):
    """A ``concurrent.futures.Executor`` whose calls run in isolated processes (or on any lane).

    It has the standard's semantics, and what lanewise adds: a worker that dies fails the one call that
    it ran and no other, results and arguments with large buffers cross through shared memory, and log
    records and output of workers are not lost. Use it in synchronous programs, or give it to
    ``loop.run_in_executor``::

        with lanewise.Executor() as pool:
            for result in pool.map(transform, pages):
                ...

    Args:
        max_workers: Calls that run at once; None takes the cores that this process may really use.
        lane: ``"process"``, another lane, or ``"auto"`` to follow ``plan``.
        initializer: Called with ``initargs`` in every worker process before its first call. Where it
            fails, every call fails with a ``BrokenProcessPool``, as the standard has it. Other lanes
            than ``"process"`` and ``"auto"`` refuse it.
        initargs: See there.
        **options: Of :class:`lanewise.Runtime`: ``plan``, ``start_method``, ``preload``,
            ``worker_memory_bytes``, ``max_calls_per_worker``, ``propagate`` and others.

    Raises:
        ValueError: An option has a value that it cannot have.

    Threads: may be used from any.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        lane: LaneName | Literal["auto"] = "process",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        **options: Any,
    ) -> None:
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if lane != "auto" and lane not in LANE_NAMES:
            raise ValueError(f"lane={lane!r} must be 'auto' or one of {', '.join(LANE_NAMES)}")
        if initializer is not None and lane not in ("process", "auto"):
            raise ValueError(f"an initializer runs in worker processes, and lane={lane!r} has none")
        if lane != "auto":
            options.setdefault("lanes", (lane,))
        if lane == "thread" and max_workers is not None:
            options.setdefault("threads", max_workers)
        options.setdefault("grace_s", None)
        runtime = Runtime(
            processes=max_workers,
            max_queue=2**31 - 1,
            initializer=initializer,
            initargs=initargs,
            **options,
        )
        runtime._watches_loop = False  # noqa: SLF001 - because: nobody's code but ours runs on that loop
        self._engine = _Engine(
            runtime,
            pinned=None if lane == "auto" else lane,
            propagates=bool(options.get("propagate")),
        )
        # Whoever forgets shutdown() gets what with-statements do when the executor is collected.
        weakref.finalize(self, self._engine.stop, cancel=False).atexit = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Schedule ``fn(*args, **kwargs)``.

        Returns:
            Its future. Cancelling it removes a call that has not been handed to a worker.

        Raises:
            RuntimeError: The executor was shut down, or the interpreter ends, or it was started before
                this process was forked.
            BrokenProcessPool: Its workers cannot be started.
        """
        return self._engine.submit(fn, args, kwargs)

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        **options: Any,
    ) -> Iterator[T]:
        """Return an iterator of ``fn`` over the items of the iterables, in order.

        Args:
            fn: Called with one item of each iterable.
            *iterables: Read at once, as the standard does.
            timeout: Seconds from now until the last result.
            chunksize: Items that travel together; more than one for short calls.
            **options: What later versions of the standard add (``buffersize``).

        Raises:
            ValueError: ``chunksize`` is below 1.
            TimeoutError: Raised by the iterator when the time is over.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout, **options)
        chunks = super().map(
            functools.partial(each, fn),
            _chunks(zip(*iterables, strict=False), chunksize),
            timeout=timeout,
            **options,
        )
        return _one_by_one(chunks)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - because: the standard's signature
        """Take no more calls; release everything once those that were submitted have ended.

        Args:
            wait: Return when that is done.
            cancel_futures: Cancel calls that were not handed to a worker yet.
        """
        self._engine.stop(cancel=cancel_futures)
        if wait:
            self._engine.join()


def _chunks(items: Iterable[Any], size: int) -> Iterator[tuple[Any, ...]]:
    source = iter(items)
    while chunk := tuple(itertools.islice(source, size)):
        yield chunk


def _one_by_one(chunks: Iterator[list[T]]) -> Iterator[T]:
    """Yield the items of all chunks, and refer to none that was yielded."""
    for chunk in chunks:
        chunk.reverse()
        while chunk:
            yield chunk.pop()


class _Engine:
    """A thread with an event loop in which the runtime lives.

    Threads: ``_guard`` guards everything that is not the loop's own; the loop's thread alone takes from
    the inbox. The thread knows the engine and never the executor, so that this can be collected.
    """

    def __init__(self, runtime: Runtime, *, pinned: LaneName | None, propagates: bool) -> None:
        self._runtime = runtime
        self._pinned = pinned
        self._propagates = propagates
        # Reentrant, for the collector may stop this engine from within any line that holds it.
        self._guard = threading.RLock()
        self._inbox: deque[_Submitted] = deque()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._awake = False
        self._stopping = False
        self._cancelling = False
        self._broken: BaseException | None = None
        # The process that started it; 0 before that.
        self._pid = 0
        # owner: the loop's thread.
        self._running = 0
        self._changed: asyncio.Event | None = None

    # --- from any thread ------------------------------------------------------------------------

    def submit(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[Any]:
        if self._is_a_copy:
            raise RuntimeError(
                "this executor was started in the process that this one was forked from, and its thread "
                "and workers are there: make one after the fork, in the process that uses it"
            )
        future: Future[Any] = Future()
        # The call runs elsewhere, so variables that are to go with it are those of who submits it.
        context = contextvars.copy_context() if self._propagates else None
        with self._guard:
            if self._stopping:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._broken is not None:
                raise _not_started(self._broken)
            if self._thread is None:
                self._start()
            self._inbox.append((future, fn, args, kwargs, context))
            self._wake()
        return future

    @property
    def _is_a_copy(self) -> bool:
        """Whether this process was forked from the one that started it.

        Asked before the guard, which a thread that is not here may have held.
        """
        return self._pid not in (0, os.getpid())

    def stop(self, *, cancel: bool) -> None:
        if self._is_a_copy:
            return  # what it would wake is the other process's
        with self._guard:
            self._stopping = True
            self._cancelling |= cancel
            self._wake()

    def join(self) -> None:
        thread = None if self._is_a_copy else self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _wake(self) -> None:
        """Called with the guard held."""
        if self._loop is not None and not self._awake:
            self._awake = True
            self._loop.call_soon_threadsafe(self._woken)

    def _start(self) -> None:
        """Called with the guard held.

        Raises:
            RuntimeError: The interpreter ends, or there can be no more threads.
        """
        thread = threading.Thread(target=self._main, name="lanewise-executor", daemon=True)
        with _engines_guard:
            if _interpreter_ends.is_set():
                raise RuntimeError("cannot schedule new futures after interpreter shutdown")
            thread.start()
            _engines.add(self)
        self._thread, self._pid = thread, os.getpid()

    # --- in the engine's thread -----------------------------------------------------------------

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - because: every future must learn of it
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._guard:
            self._broken = error
            self._loop = None  # closed: there is nobody to wake
            waiting = list(self._inbox)
            self._inbox.clear()
        for future, *_ in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(_not_started(error))

    async def _serve(self) -> None:
        self._changed = asyncio.Event()
        async with self._runtime:
            with self._guard:
                self._loop = asyncio.get_running_loop()
            while True:
                self._take()
                self._cancel_rest()
                with self._guard:
                    if self._stopping and not self._inbox and not self._running:
                        self._loop = None
                        return
                await self._changed.wait()
                self._changed.clear()

    def _woken(self) -> None:
        self._awake = False
        assert self._changed is not None
        self._changed.set()

    def _take(self) -> None:
        """Hand calls to the runtime, as many as may run."""
        while self._inbox:
            future, fn, args, kwargs, context = self._inbox[0]
            if self._running >= self._limit(fn):
                return
            with self._guard:
                # lanewise: ok(FT102: this thread alone takes out, others only append)
                self._inbox.popleft()
            if future.set_running_or_notify_cancel():
                self._running += 1
                running = self._runtime.run(fn, *args, **kwargs)
                task = asyncio.get_running_loop().create_task(running, context=context)
                task.add_done_callback(functools.partial(self._ended, future))
                del running, task
            del future, fn, args, kwargs, context

    def _cancel_rest(self) -> None:
        """Where shutdown() asked for it: here, so that calls for which workers are free have begun."""
        with self._guard:
            if not self._cancelling:
                return
            rest = list(self._inbox)
            self._inbox.clear()
        # Without the guard, since callbacks of the futures may use this executor; and told to those who
        # wait for them, since nobody else will.
        for future, *_ in rest:
            future.cancel()
            future.set_running_or_notify_cancel()

    def _limit(self, fn: Callable[..., Any]) -> int:
        workers = self._runtime.parallelism(self._pinned)
        try:
            known_s = self._runtime.expected_s(fn)
        except Exception:  # noqa: BLE001 - because: __hash__ is the user's, and the call itself tells what it raises
            known_s = None
        return _MANY * workers if known_s is not None and known_s < _SHORT_S else workers + _EXTRA

    def _ended(self, future: Future[Any], task: asyncio.Task[Any]) -> None:
        self._running -= 1
        if task.cancelled():
            future.set_exception(LanewiseError("the call was cancelled from inside"))
        elif (error := task.exception()) is not None:
            if isinstance(error, LaneUnavailableError):  # in the standard's words
                broken = WorkerDiedError(f"the call was not started: {error}")
                broken.__cause__ = error
                error = broken
            future.set_exception(error)
        else:
            future.set_result(task.result())
        if self._inbox or self._stopping:
            assert self._changed is not None
            self._changed.set()


def _not_started(error: BaseException) -> WorkerDiedError:
    told = WorkerDiedError(f"the call was not started: this executor's workers cannot be: {error}")
    told.__cause__ = error
    return told


def _end_all() -> None:
    """Have all engines end before the interpreter does, like the standard's own executors."""
    with _engines_guard:
        _interpreter_ends.set()
        engines = list(_engines)
    for engine in engines:
        engine.stop(cancel=False)
    for engine in engines:
        engine.join()


def _forget_all() -> None:
    """In a child that was forked: it has none of the threads, and whatever they held stays held."""
    _engines.clear()
    _engines_guard.release()


# Before threads are joined and while new ones can be started; atexit would be too late for both. Now,
# since at the first call it may be too late for this as well.
threading._register_atexit(_end_all)  # type: ignore[attr-defined]  # noqa: SLF001 - because: what concurrent.futures itself uses
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_engines_guard.acquire,
        after_in_child=_forget_all,
        after_in_parent=_engines_guard.release,
    )
