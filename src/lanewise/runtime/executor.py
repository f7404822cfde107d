"""``Executor``: the standard interface over a runtime, for programs without an event loop."""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor as StandardExecutor
from concurrent.futures import Future
from typing import Any, Literal, ParamSpec, TypeVar

from _lanewise_worker.call import each
from lanewise.errors import LanewiseError, WorkerDiedError
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

# Executors whose threads are to end before the interpreter does. Guard: _engines_guard.
_engines: weakref.WeakSet[_Engine] = weakref.WeakSet()
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
            fails, every call fails with a ``BrokenProcessPool``, as the standard has it.
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
        self._engine = _Engine(runtime, pinned=None if lane == "auto" else lane)
        # Whoever forgets shutdown() gets what with-statements do when the executor is collected.
        weakref.finalize(self, self._engine.stop, cancel=False).atexit = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Schedule ``fn(*args, **kwargs)``.

        Returns:
            Its future. Cancelling it removes a call that has not been handed to a worker.

        Raises:
            RuntimeError: The executor was shut down.
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
        return itertools.chain.from_iterable(chunks)

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


class _Engine:
    """A thread with an event loop in which the runtime lives.

    Threads: ``_guard`` guards everything that is not the loop's own; the loop's thread alone takes from
    the inbox. The thread knows the engine and never the executor, so that this can be collected.
    """

    def __init__(self, runtime: Runtime, *, pinned: LaneName | None) -> None:
        self._runtime = runtime
        self._pinned = pinned
        self._guard = threading.Lock()
        self._inbox: deque[tuple[Future[Any], Callable[..., Any], Any, Any]] = deque()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._awake = False
        self._stopping = False
        self._broken: BaseException | None = None
        # owner: the loop's thread.
        self._running = 0
        self._changed: asyncio.Event | None = None

    # --- from any thread ------------------------------------------------------------------------

    def submit(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[Any]:
        future: Future[Any] = Future()
        with self._guard:
            if self._broken is not None:
                raise WorkerDiedError(f"this executor's workers cannot be started: {self._broken}")
            if self._stopping:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._inbox.append((future, fn, args, kwargs))
            if self._thread is None:
                self._start()
            self._wake()
        return future

    def stop(self, *, cancel: bool) -> None:
        with self._guard:
            self._stopping = True
            if cancel:
                while self._inbox:
                    self._inbox.popleft()[0].cancel()
            self._wake()

    def join(self) -> None:
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _wake(self) -> None:
        """Called with the guard held."""
        if self._loop is not None and not self._awake:
            self._awake = True
            self._loop.call_soon_threadsafe(self._woken)

    def _start(self) -> None:
        """Called with the guard held."""
        _end_before_the_interpreter()
        with _engines_guard:
            _engines.add(self)
        self._thread = threading.Thread(target=self._main, name="lanewise-executor", daemon=True)
        self._thread.start()

    # --- in the engine's thread -----------------------------------------------------------------

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - because: every future must learn of it
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._guard:
            self._broken = error
            waiting = list(self._inbox)
            self._inbox.clear()
        for future, *_ in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(
                    WorkerDiedError(
                        f"the call was not started: this executor's workers cannot be: {error}"
                    )
                )

    async def _serve(self) -> None:
        self._changed = asyncio.Event()
        async with self._runtime:
            with self._guard:
                self._loop = asyncio.get_running_loop()
            while True:
                self._take()
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
            try:
                future, fn, args, kwargs = self._inbox[0]
            except IndexError:  # cancelled by stop() meanwhile
                return
            if self._running >= self._limit(fn):
                return
            with self._guard:
                if not self._inbox or self._inbox[0][0] is not future:
                    continue
                self._inbox.popleft()
            if future.set_running_or_notify_cancel():
                self._running += 1
                task = asyncio.ensure_future(self._runtime.run(fn, *args, **kwargs))
                task.add_done_callback(functools.partial(self._ended, future))
            del future, fn, args, kwargs

    def _limit(self, fn: Callable[..., Any]) -> int:
        workers = self._runtime.parallelism(self._pinned)
        known_s = self._runtime.expected_s(fn)
        return _MANY * workers if known_s is not None and known_s < _SHORT_S else workers + _EXTRA

    def _ended(self, future: Future[Any], task: asyncio.Task[Any]) -> None:
        self._running -= 1
        if task.cancelled():
            future.set_exception(LanewiseError("the call was cancelled from inside"))
        elif (error := task.exception()) is not None:
            future.set_exception(error)
        else:
            future.set_result(task.result())
        if self._inbox or self._stopping:
            assert self._changed is not None
            self._changed.set()


def _end_before_the_interpreter() -> None:
    """Have all engines end before the interpreter does, like the standard's own executors."""
    with _engines_guard:
        if _registered:
            return
        _registered.append(True)
    # Before threads are joined and while new ones can be started; atexit would be too late for both.
    threading._register_atexit(_end_all)  # type: ignore[attr-defined]  # noqa: SLF001 - because: what concurrent.futures itself uses


_registered: list[bool] = []


def _end_all() -> None:
    with _engines_guard:
        engines = list(_engines)
    for engine in engines:
        engine.stop(cancel=False)
    for engine in engines:
        engine.join()
