"""``Runtime``: every call on the lane that the plan says."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from lanewise.errors import (
    LaneUnavailableError,
    LanewiseError,
    NotPortableError,
    OverloadedError,
    TaskTimeoutError,
)
from lanewise.host.facts import gil_enabled, host_facts, usable_cores
from lanewise.lanes.event_loop import EventLoopLane
from lanewise.lanes.process import ProcessLane
from lanewise.lanes.thread import ThreadLane
from lanewise.model.facts import Calibration
from lanewise.model.lane import Lane, LaneName, was_abandoned
from lanewise.model.task import Task, as_task
from lanewise.plan.document import Plan
from lanewise.runtime.calibrate import calibrate
from lanewise.runtime.lifetime import (
    CallOptions,
    Life,
    State,
    at_least_one,
    close_all,
    known_lanes,
)
from lanewise.runtime.routing import Decision, Router
from lanewise.runtime.statistics import Outcome, RuntimeStatistics, Tally

P = ParamSpec("P")
T = TypeVar("T")

_THREADS_PER_CORE = 4
# What a refused caller is told to wait when nothing is known of how long calls take.
_DEFAULT_RETRY_S = 1.0

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
        self._start_method = start_method
        self._wanted = known_lanes(lanes)
        if start_method is not None:
            # Refuses what it cannot use now, and not when the runtime is entered.
            ProcessLane(1, start_method=start_method)
        self._options = CallOptions()
        # owner: the loop that entered the runtime. Shared with the views that with_options() makes.
        self._life = Life()

    # --- lifetime -------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open the lanes. When that fails or is cancelled, nothing is left behind."""
        if self._life.state is not None:
            raise LanewiseError("this runtime is entered already: make another one")
        opened: dict[LaneName, Lane] = {}
        try:
            self._life.state = await self._open(opened)
        except BaseException:
            await close_all(opened)
            raise
        self._life.token = _active.set(self)
        return self

    async def _open(self, opened: dict[LaneName, Lane]) -> State:
        made: dict[LaneName, Callable[[], Lane]] = {
            "event_loop": EventLoopLane,
            "thread": lambda: ThreadLane(self._threads),
            "process": lambda: ProcessLane(self._processes, start_method=self._start_method),
        }
        unavailable: dict[LaneName, str] = {}
        for name in self._wanted:
            lane = made[name]()
            try:
                await lane.open()
            except LaneUnavailableError as error:
                unavailable[name] = str(error)
                warnings.warn(f"lanewise goes on without its {name} lane: {error}", stacklevel=3)
            else:
                opened[name] = lane
        router = Router(
            self._plan,
            frozenset(opened),
            unavailable,
            await self._calibration(opened, unavailable),
            self._loop_budget_s,
            self._processes,
            gil_enabled(),
        )
        return State(opened, router, Tally(), asyncio.Semaphore(self._max_queue))

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
        """Wait for running calls, drop queued ones, end every worker."""
        state, self._life.state = self._life.state, None
        token, self._life.token = self._life.token, None
        if token is not None:
            # Frameworks may leave in another task, whose context never saw the token.
            with contextlib.suppress(ValueError):
                _active.reset(token)
        if state is not None:
            await close_all(state.lanes)

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

        Cancellation: a call that still queues is removed. One that runs goes on to its end, its
        result is dropped, and it is counted as abandoned.
        """
        task = as_task(fn)
        timeout_s = self._options.timeout_s or task.timeout_s
        result: T
        if timeout_s is None:
            result = await self._admitted(task, args, dict(kwargs))
            return result
        try:
            async with asyncio.timeout(timeout_s) as scope:
                result = await self._admitted(task, args, dict(kwargs))
            return result
        except TimeoutError as error:
            if not scope.expired():
                raise  # the function's own
            raise TaskTimeoutError(
                f"{task.name} did not finish within {timeout_s:g} s of its submission. "
                "It may still be running: threads and pooled processes cannot be stopped"
            ) from error

    async def map(
        self,
        fn: Callable[[Any], T],
        items: Iterable[Any],
        *,
        ordered: bool = True,
        window: int | None = None,
    ) -> AsyncIterator[T]:
        """Run ``fn(item)`` for each item, some at once, and yield the results as they come.

        Args:
            fn: A task or any function of one argument.
            items: May be infinite: it is read no further ahead than the window.
            ordered: Results in the order of the items, or as they finish.
            window: Calls in flight; None takes twice the worker processes.

        Cancellation: leaving the iteration cancels what has not finished.
        """
        width = 2 * self._processes if window is None else window
        if width < 1:
            raise ValueError(f"window={window} must be at least 1")
        pending: dict[asyncio.Task[T], None] = {}
        source = iter(items)
        try:
            exhausted = False
            while pending or not exhausted:
                while not exhausted and len(pending) < width:
                    try:
                        item = next(source)
                    except StopIteration:
                        exhausted = True
                        break
                    pending[asyncio.ensure_future(self.run(fn, item))] = None
                if not pending:
                    break
                for finished in await _next_finished(pending, ordered=ordered):
                    del pending[finished]
                    yield finished.result()
        finally:
            for left in pending:
                left.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    def with_options(
        self, *, lane: LaneName | None = None, timeout_s: float | None = None
    ) -> Runtime:
        """Return a view of this runtime whose calls have other options. Shares everything else."""
        if timeout_s is not None and not timeout_s > 0:
            raise ValueError(f"timeout_s={timeout_s!r} must be above 0, or None")
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._options = CallOptions(
            lane or self._options.lane, timeout_s or self._options.timeout_s
        )
        return view

    def explain(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> str:
        """Say in words where this call would go now, why, and what the others were estimated at."""
        state, task = self._entered(), as_task(fn)
        level = state.tally.in_flight[task.name] + 1
        return state.router.explain(task, args, kwargs, level, self._options.lane)

    def statistics(self) -> RuntimeStatistics:
        """Return an immutable snapshot."""
        return self._entered().tally.snapshot()

    # --- one call -------------------------------------------------------------------------------

    async def _admitted(
        self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        state = self._entered()
        await self._wait_for_room(state)
        try:
            level = state.tally.in_flight[task.name] + 1
            decision = state.router.decide(task, args, kwargs, level, self._options.lane)
            try:
                return await self._on_lane(state, task, decision, args, kwargs)
            except NotPortableError as error:
                fallback = self._fallback(state, task, decision, error)
                return await self._on_lane(state, task, fallback, args, kwargs)
        finally:
            state.room.release()

    async def _wait_for_room(self, state: State) -> None:
        if not state.room.locked():
            await state.room.acquire()
            return
        state.tally.waiting += 1
        try:
            async with asyncio.timeout(self._queue_timeout_s):
                await state.room.acquire()
        except TimeoutError:
            state.tally.shed += 1
            raise OverloadedError(
                f"{self._max_queue} calls are in flight and none ended within "
                f"{self._queue_timeout_s:g} s. Shed load, or raise max_queue",
                retry_after_s=self._queue_timeout_s or _DEFAULT_RETRY_S,
            ) from None
        finally:
            state.tally.waiting -= 1

    async def _on_lane(
        self,
        state: State,
        task: Task[..., Any],
        decision: Decision,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        lane = state.lanes[decision.lane]
        state.tally.begin(task.name, decision.lane, decision.variant)
        started = time.perf_counter()
        outcome: Outcome = "failed"
        try:
            result = await lane.run(task.reference, decision.variant, args, kwargs)
            outcome = "done"
            return result
        except asyncio.CancelledError as cancelled:
            outcome = "abandoned" if was_abandoned(cancelled) else "cancelled"
            raise
        finally:
            state.tally.end(task.name, decision.lane, outcome, time.perf_counter() - started)

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


async def _next_finished(
    pending: dict[asyncio.Task[T], None], *, ordered: bool
) -> list[asyncio.Task[T]]:
    if ordered:
        first = next(iter(pending))
        await asyncio.wait([first])
        return [first]
    done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    return list(done)
