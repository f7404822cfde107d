"""``Runtime``: every call on the lane that the plan says."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from lanewise.errors import (
    LaneUnavailableError,
    LanewiseError,
    NotPortableError,
    TaskTimeoutError,
)
from lanewise.host.facts import gil_enabled, host_facts, usable_cores
from lanewise.lanes.event_loop import EventLoopLane
from lanewise.lanes.process import ProcessLane, Shared
from lanewise.lanes.resolve import identity_of
from lanewise.lanes.thread import ThreadLane
from lanewise.model.facts import Calibration
from lanewise.model.lane import (
    PLAIN_TERMS,
    Lane,
    LaneName,
    OnCancel,
    Terms,
    was_abandoned,
)
from lanewise.model.task import Task, as_task
from lanewise.plan.document import Plan
from lanewise.runtime.admission import Room
from lanewise.runtime.calibrate import calibrate
from lanewise.runtime.calls import local_arguments, until
from lanewise.runtime.lifetime import (
    CallOptions,
    Life,
    State,
    at_least_one,
    close_all,
    known_lanes,
    on_cancel_named,
    positive,
)
from lanewise.runtime.mapping import ItemCalls, map_in_chunks
from lanewise.runtime.routing import Decision, Router
from lanewise.runtime.statistics import Outcome, RuntimeStatistics, Tally, Track

P = ParamSpec("P")
T = TypeVar("T")

_THREADS_PER_CORE = 4
# Functions whose descriptions are kept.
_MAX_TASKS = 4_096
# Lanes that can stop a running call.
_KILLABLE: frozenset[LaneName] = frozenset(("process", "cluster"))

_active: contextvars.ContextVar[Runtime | None] = contextvars.ContextVar(
    "lanewise_runtime", default=None
)


class Runtime:
    """Runs functions on the lane that suits them, from asyncio.

    ::

        async with Runtime(plan="lanewise.toml") as rt:
            pairs = await rt.run(match, rows, 0.9)

    Args:
        plan: A plan, or the path of its file. Calls that no plan knows go to a process.
        processes: Worker processes; None takes the cores that this process may really use.
        threads: Threads of the thread lane; None takes four a core.
        loop_budget_s: No lane is chosen that is expected to delay the loop longer, if any other is
            available.
        max_queue: Calls admitted at once, running and waiting; more wait outside, see next.
        queue_timeout_s: How long a call waits for room before it is refused; None waits for ever.
        start_method: Of worker processes: ``"forkserver"`` or ``"spawn"``.
        preload: Modules that worker processes find loaded. What calls import is learned anyway.
        on_cancel: What happens to a running call when nobody awaits it any more or its time is over:
            ``"stop"`` kills it where its lane can and abandons it elsewhere, ``"kill"`` keeps calls to
            lanes that can, ``"abandon"`` lets it run to its end.
        worker_memory_bytes: Size at which a worker process is killed while it runs a call: its resident
            memory without what it shares with others (code, large arguments, ``share``).
        max_calls_per_worker: Calls after which a worker process is replaced.
        worker_nice: How much nicer worker processes are than this one (0 to 19, see ``nice(2)``): where
            cores are short the event loop, for which everybody waits, goes first. 0 where other work on
            the machine must not go before the workers'.
        grace_s: Seconds that calls in flight may take to end when the runtime is left; then they are
            killed. None waits for as long as they take, 0 kills at once.
        propagate: Context variables whose values go with each call to wherever it runs, as
            ``"module:variable"`` (threads and the event loop see all of them anyway).
        initializer: Called with ``initargs`` in every worker process before its first call.
        initargs: See there.
        lanes: Restricts the lanes that are opened.

    Raises:
        PlanError: The plan cannot be read.
        ValueError: An option has a value that it cannot have.

    Threads: belongs to the event loop that entered it; use it from that loop's thread only.
    """

    def __init__(  # noqa: PLR0913 - because: each is documented above and has a default
        self,
        plan: Plan | str | Path | None = None,
        *,
        processes: int | None = None,
        threads: int | None = None,
        loop_budget_s: float = 0.001,
        max_queue: int = 1024,
        queue_timeout_s: float | None = None,
        start_method: str | None = None,
        preload: Iterable[str] = (),
        on_cancel: OnCancel = "stop",
        worker_memory_bytes: int | None = None,
        max_calls_per_worker: int | None = None,
        worker_nice: int = 10,
        grace_s: float | None = 10.0,
        propagate: Iterable[str | contextvars.ContextVar[Any]] = (),
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        lanes: Iterable[LaneName] | None = None,
    ) -> None:
        if max_queue < 1:
            raise ValueError(f"max_queue={max_queue} must be at least 1")
        cores = usable_cores()
        self._plan = plan if isinstance(plan, Plan) else Plan() if plan is None else Plan.load(plan)
        self._processes = at_least_one("processes", processes, cores)
        self._threads = at_least_one("threads", threads, _THREADS_PER_CORE * cores)
        self._loop_budget_s = loop_budget_s
        self._max_queue = max_queue
        self._queue_timeout_s = queue_timeout_s
        self._on_cancel = on_cancel_named(on_cancel)
        self._grace_s = grace_s
        self._wanted = known_lanes(lanes)
        # Made now, so that what it cannot use is refused here and not when the runtime is entered.
        self._process_lane = ProcessLane(
            self._processes,
            start_method=start_method,
            preload=preload,
            worker_memory_bytes=positive("worker_memory_bytes", worker_memory_bytes),
            max_calls_per_worker=positive("max_calls_per_worker", max_calls_per_worker),
            worker_nice=worker_nice,
            propagate=propagate,
            initializer=initializer,
            initargs=initargs,
        )
        self._options = CallOptions()
        # owner: the loop that entered the runtime. Shared with the views that with_options() makes.
        self._life = Life()
        self._tasks: dict[Any, Task[..., Any]] = {}

    # --- lifetime -------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open the lanes. When that fails or is cancelled, nothing is left behind."""
        if self._life.state is not None:
            raise LanewiseError("this runtime is entered already: make another one")
        opened: dict[LaneName, Lane] = {}
        try:
            self._life.state = await self._open(opened)
        except BaseException:
            await close_all(opened, 0)
            raise
        self._life.token = _active.set(self)
        return self

    async def _open(self, opened: dict[LaneName, Lane]) -> State:
        made: dict[LaneName, Callable[[], Lane]] = {
            "event_loop": EventLoopLane,
            "thread": lambda: ThreadLane(self._threads),
            "process": lambda: self._process_lane,
        }
        unavailable: dict[LaneName, str] = {}
        for name in self._wanted:
            lane = made[name]()
            try:
                await lane.open()
            except LaneUnavailableError as error:
                unavailable[name] = str(error)
                if len(unavailable) == len(self._wanted):
                    raise  # there is nothing to go on with
                warnings.warn(f"lanewise goes on without its {name} lane: {error}", stacklevel=3)
            else:
                opened[name] = lane
        router = Router(
            self._plan,
            frozenset(opened),
            unavailable,
            await self._calibration(opened, unavailable),
            self._loop_budget_s,
            usable_cores(),
            gil_enabled(),
        )
        return State(opened, router, Tally(), Room(self._max_queue, self._queue_timeout_s))

    async def _calibration(
        self, opened: dict[LaneName, Lane], unavailable: dict[LaneName, str]
    ) -> Calibration | None:
        """Calibrate this host, unless all that the plan knows was measured on one like it."""
        here = host_facts().fingerprint
        if all(task.calibration.fingerprint == here for task in self._plan.tasks.values()):
            return None
        return await calibrate(opened, unavailable, here)

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Wait for calls in flight, ``grace_s`` at most, then kill what can be; end every worker.

        Leaves no process, descriptor or shared memory behind, however it is left. When this is itself
        cancelled, it does not wait any longer.
        """
        state, self._life.state = self._life.state, None
        token, self._life.token = self._life.token, None
        if token is not None:
            # Frameworks may leave in another task, whose context never saw the token.
            with contextlib.suppress(ValueError):
                _active.reset(token)
        if state is not None:
            await close_all(state.lanes, self._grace_s)

    def _entered(self) -> State:
        if self._life.state is None:
            raise LanewiseError(
                "the runtime is not running: use it inside `async with Runtime() as rt:`"
            )
        return self._life.state

    # --- calls ----------------------------------------------------------------------------------

    async def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(*args, **kwargs)`` on the lane that the plan chooses.

        Returns:
            What ``fn`` returned; from another process, a copy.

        Raises:
            OverloadedError: No room within ``queue_timeout_s``.
            TaskTimeoutError: It did not finish within its ``timeout_s``, queueing included.
            LaneUnavailableError: It is pinned to a lane, or needs one, that is not there.
            NotPortableError: It is pinned to processes and cannot cross.
            WorkerDiedError: Its worker died.

        Cancellation: a call that still queues is removed. A running one is stopped where its lane can
        stop it (processes), and abandoned and counted where nothing can (threads); see ``on_cancel``.
        """
        task = self._task_of(fn)
        timeout_s = self._options.timeout_s or task.timeout_s
        result: T
        if timeout_s is None:
            result = await self._call(task, args, kwargs, self._terms(task, None))
        else:
            result = await self._within(
                timeout_s, task, lambda terms: self._call(task, args, kwargs, terms)
            )
        return result

    async def _within(
        self,
        timeout_s: float,
        task: Task[..., Any],
        make: Callable[[Terms], Coroutine[Any, Any, Any]],
    ) -> Any:
        """Await what ``make`` makes, and no longer than the time allows.

        Raises:
            TaskTimeoutError: It took longer; the work was stopped as ``on_cancel`` says.
        """
        terms = self._terms(task, time.monotonic() + timeout_s)
        try:
            async with asyncio.timeout(timeout_s) as scope:
                return await make(terms)
        except TimeoutError as error:
            if not scope.expired():
                raise  # the function's own
            raise TaskTimeoutError(
                f"{task.name} did not finish within {timeout_s:g} s of its submission. It was stopped, "
                "if it ran in a process; threads cannot be stopped, and it may still run there"
            ) from error

    def _terms(self, task: Task[..., Any], deadline: float | None) -> Terms:
        on_cancel = self._options.on_cancel or self._on_cancel
        if deadline is None and on_cancel == "stop" and not task.idempotent:
            return PLAIN_TERMS
        return Terms(deadline, on_cancel, task.idempotent)

    def _task_of(self, fn: Callable[..., Any]) -> Task[..., Any]:
        """Describe a callable, once: descriptions of functions that are called again are kept."""
        try:
            known = self._tasks.get(fn)
        except TypeError:  # cannot be hashed
            return as_task(fn)
        if known is None:
            if identity_of(fn) is not fn:  # made for this call, as partial objects are
                return as_task(fn)
            if len(self._tasks) >= _MAX_TASKS:
                self._tasks.clear()
            known = self._tasks[fn] = as_task(fn)
        return known

    def share(self, value: T) -> Shared[T]:
        """Send a value to each worker once, however many calls use it.

        Give the handle to ``run``, ``map`` or ``stream`` in the place of the value: the function
        receives the value itself. Its pickle and its buffers (arrays, bytearrays) are copied into
        shared memory now, so that the value may be changed or dropped afterwards; workers map them and
        copy nothing. What they see is read-only. Equal values share one copy. When the last reference
        to the handle goes, workers drop it too.

        Threads: may be called from any. Copying takes about 0.5 ms per megabyte and lets other threads
        run, so for something large beside live requests: ``await asyncio.to_thread(rt.share, big)``.

        Raises:
            Exception: Whatever pickling the value raises.
        """
        return self._process_lane.share(value)

    async def stream(
        self, fn: Callable[P, Iterable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[T, None]:
        """Run a generator function and yield its items one by one, as they come.

        The generator runs ahead of its consumer by a few items and then waits. Closing the iterator
        (``aclose()``, or cancelling who iterates) closes the generator where it runs: its ``finally``
        is reached; a process that does not get there within a second is killed.

        Raises:
            TaskTimeoutError: The whole stream took longer than ``timeout_s``.
        """
        task = self._task_of(fn)
        state = self._entered()
        timeout_s = self._options.timeout_s or task.timeout_s
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        await state.room.enter()
        try:
            decision = self._decided(state, task, args, kwargs)
            if decision.lane != "process":
                args, kwargs = local_arguments(args, kwargs)  # type: ignore[assignment]  # because: a ParamSpec cannot be mapped
            track = state.tally.track(task.name, decision.lane, decision.variant)
            track.begin()
            started = time.perf_counter()
            outcome: Outcome = "cancelled"
            terms = self._terms(task, deadline)
            lane = state.lanes[decision.lane]
            items = lane.stream(task.reference, decision.variant, args, kwargs, terms)
            try:
                async for item in until(items, deadline, task.name, timeout_s):
                    yield item
                outcome = "done"
            except Exception:
                outcome = "failed"
                raise
            finally:
                await items.aclose()
                track.end(outcome, time.perf_counter() - started)
        finally:
            state.room.leave()

    def map(
        self,
        fn: Callable[[Any], T],
        items: Iterable[Any],
        *,
        ordered: bool = True,
        window: int | None = None,
    ) -> AsyncGenerator[T, None]:
        """Run ``fn(item)`` for each item, some at once, and yield the results as they come.

        Short calls that go to processes travel in chunks, whose size follows their run time so that a
        chunk takes about twenty milliseconds.

        Args:
            fn: A task or any function of one argument.
            items: May be infinite: it is read no further ahead than the window.
            ordered: Results in the order of the items, or as they finish.
            window: Items that are read ahead at most; None takes two chunks for each worker process.

        Raises:
            ValueError: The window is below 1.
            Exception: What the call of the next item raised; the iteration ends with it.

        Cancellation: leaving the iteration cancels what has not finished.
        """
        if window is not None and window < 1:
            raise ValueError(f"window={window} must be at least 1")
        # Not a generator of its own around this one: each item would pay for passing through both.
        return map_in_chunks(
            ItemCalls(partial(self._chunk, self._task_of(fn)), lambda item: self.run(fn, item)),
            items,
            ordered=ordered,
            width=2 * self._processes,
            window=window,
        )

    async def _chunk(
        self, task: Task[..., Any], items: list[Any]
    ) -> tuple[list[Any], float | None] | None:
        """Run some items as one call, where their lane can do that."""
        state = self._entered()
        decision = self._decided(state, task, (items[0],), {})
        lane: Any = state.lanes[decision.lane]
        if not hasattr(lane, "run_chunk"):
            return None

        async def run(terms: Terms) -> tuple[list[Any], float | None]:
            await state.room.enter()
            try:
                running = lane.run_chunk(task.reference, decision.variant, items, terms)
                ran: tuple[list[Any], float | None] = await self._counted(
                    state.tally.track(task.name, decision.lane, decision.variant),
                    running,
                    len(items),
                )
                return ran
            finally:
                state.room.leave()

        timeout_s = self._options.timeout_s or task.timeout_s
        if timeout_s is None:
            return await run(self._terms(task, None))
        ran: tuple[list[Any], float | None] = await self._within(timeout_s, task, run)
        return ran

    def with_options(
        self,
        *,
        lane: LaneName | None = None,
        timeout_s: float | None = None,
        on_cancel: OnCancel | None = None,
    ) -> Runtime:
        """Return a view of this runtime whose calls have other options. Shares everything else."""
        if timeout_s is not None and not timeout_s > 0:
            raise ValueError(f"timeout_s={timeout_s!r} must be above 0, or None")
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._options = CallOptions(
            lane or self._options.lane,
            timeout_s or self._options.timeout_s,
            self._options.on_cancel if on_cancel is None else on_cancel_named(on_cancel),
        )
        return view

    def explain(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> str:
        """Say in words where this call would go now, why, and what the others were estimated at."""
        state, task = self._entered(), as_task(fn)
        level = state.tally.load(task.name).in_flight + 1
        return state.router.explain(task, args, kwargs, level, self._options.lane)

    def statistics(self) -> RuntimeStatistics:
        """Return an immutable snapshot."""
        state = self._entered()
        workers = self._process_lane.statistics() if "process" in state.lanes else None
        return state.tally.snapshot(state.room.waiting, state.room.shed, workers)

    def parallelism(self, lane: LaneName | None = None) -> int:
        """How many calls can run at once, on one lane or on all."""
        of_lane = {"process": self._processes, "thread": self._threads, "event_loop": 1}
        return sum(of_lane.values()) if lane is None else of_lane.get(lane, 1)

    def expected_s(self, fn: Callable[..., Any], /) -> float | None:
        """How long calls of a function took on average in worker processes; None where none has ended."""
        return self._process_lane.run_time_s(fn)

    # --- one call -------------------------------------------------------------------------------

    async def _call(
        self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], terms: Terms
    ) -> Any:
        """Run one call; every call passes here, so this is short."""
        state = self._life.state or self._entered()
        room = state.room
        if room.free:
            room.free -= 1
        else:
            await room.enter()
        try:
            decision = self._decided(state, task, args, kwargs)
            try:
                return await self._on_lane(state, task, decision, args, kwargs, terms)
            except NotPortableError as error:
                if decision.lane != "process":
                    raise  # the function's own: it has run
                fallback = self._fallback(state, task, decision, error)
                return await self._on_lane(state, task, fallback, args, kwargs, terms)
        finally:
            room.leave()

    async def _on_lane(  # noqa: PLR0913 - because: one call and where it goes
        self,
        state: State,
        task: Task[..., Any],
        decision: Decision,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms,
    ) -> Any:
        if decision.lane != "process":
            args, kwargs = local_arguments(args, kwargs)
        track = state.tally.track(task.name, decision.lane, decision.variant)
        track.begin()
        started = time.perf_counter()
        outcome: Outcome = "failed"
        try:
            # Not by way of _counted(), whose coroutine every call would pay for.
            result = await state.lanes[decision.lane].run(
                task.reference, decision.variant, args, kwargs, terms
            )
            outcome = "done"
            return result
        except asyncio.CancelledError as cancelled:
            outcome = "abandoned" if was_abandoned(cancelled) else "cancelled"
            raise
        finally:
            track.end(outcome, time.perf_counter() - started)

    @staticmethod
    async def _counted(track: Track, running: Coroutine[Any, Any, Any], calls: int) -> Any:
        track.begin(calls)
        started = time.perf_counter()
        outcome: Outcome = "failed"
        try:
            result = await running
            outcome = "done"
            return result
        except asyncio.CancelledError as cancelled:
            outcome = "abandoned" if was_abandoned(cancelled) else "cancelled"
            raise
        finally:
            track.end(outcome, time.perf_counter() - started, calls)

    def _decided(
        self, state: State, task: Task[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> Decision:
        level = state.tally.load(task.name).in_flight + 1
        pinned = self._options.lane
        if (self._options.on_cancel or self._on_cancel) == "kill" and pinned is None:
            pinned = task.lane or "process"
            if pinned not in _KILLABLE:
                raise LaneUnavailableError(
                    f"on_cancel='kill' needs a lane that can stop a running call, and {task.name} is "
                    f"pinned to {pinned}",
                    reasons={pinned: "a running call cannot be stopped there"},
                )
        return state.router.decide(task, args, kwargs, level, pinned)

    def _fallback(
        self, state: State, task: Task[..., Any], decision: Decision, error: NotPortableError
    ) -> Decision:
        """What cannot cross runs on a thread, which is told once.

        Not when the caller insisted on processes, and never when the call has run already.
        """
        insisted = (
            error.started
            or task.isolation == "required"
            or "process" in (self._options.lane, task.lane)
        )
        if insisted or "thread" not in state.lanes:
            raise error
        if task.name not in state.tally.fallbacks:
            state.tally.fallbacks[task.name] = str(error)
            warnings.warn(f"{task.name} runs on the thread lane instead: {error}", stacklevel=2)
        return replace(decision, lane="thread", reason="it cannot cross to a process")


async def run(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run ``fn`` on the runtime whose ``async with`` is active.

    Raises:
        LanewiseError: None is active here.
    """
    runtime = _active.get()
    if runtime is None:
        raise LanewiseError(
            "no runtime is active here: call this inside `async with lanewise.Runtime(...):`, "
            "or call run() of the runtime that you keep"
        )
    return await runtime.run(fn, *args, **kwargs)
