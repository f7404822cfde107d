"""``Runtime``: every call on the lane that the plan says."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from _lanewise_worker.main_module import refuse_while_loading
from lanewise.errors import LaneUnavailableError, LanewiseError, TaskTimeoutError
from lanewise.host.facts import gil_enabled, host_facts, usable_cores
from lanewise.lanes.event_loop import EventLoopLane
from lanewise.lanes.interpreter import InterpreterLane
from lanewise.lanes.process import ProcessLane
from lanewise.lanes.resolve import identity_of
from lanewise.lanes.thread import ThreadLane
from lanewise.model.facts import Calibration
from lanewise.model.lane import PLAIN_TERMS, Clock, Lane, LaneName, OnCancel, Priority, Terms
from lanewise.model.task import Task, as_task
from lanewise.plan.document import Plan
from lanewise.runtime.active import active, entered, left
from lanewise.runtime.admission import Door
from lanewise.runtime.ambient import request_deadline
from lanewise.runtime.batching import TARGET_S
from lanewise.runtime.calibrate import calibrate
from lanewise.runtime.calibration_store import (
    forget_calibration,
    keep_calibration,
    kept_calibration,
)
from lanewise.runtime.decision import COMPUTING
from lanewise.runtime.dispatch import Dispatcher
from lanewise.runtime.effects_watch import EffectsWatch
from lanewise.runtime.far_lane import FarLane
from lanewise.runtime.lifetime import (
    CallOptions,
    at_least_one,
    close_all,
    known_lanes,
    on_cancel_named,
    positive,
    priority_named,
)
from lanewise.runtime.mapping import ItemCalls, map_in_chunks
from lanewise.runtime.routing import Router
from lanewise.runtime.statistics import RuntimeStatistics
from lanewise.runtime.tally import Tally

P = ParamSpec("P")
T = TypeVar("T")

_THREADS_PER_CORE = 4
# What keeps the loop so long is a stall: at least, and in budgets.
_STALL_S = 0.1
_STALL_BUDGETS = 10
# Functions whose descriptions are kept.
_MAX_TASKS = 4_096


@dataclass(slots=True)
class _Life:
    """Whether a runtime is entered. Owner: its event loop; shared by the runtime and its views."""

    state: Dispatcher | None = None
    token: contextvars.Token[Any] | None = None


class Runtime:
    """Runs functions on the lane that suits them, from asyncio.

    ::

        async with Runtime(plan="lanewise.toml") as rt:
            pairs = await rt.run(match, rows, 0.9)

    Args:
        plan: A plan, or the path of its file. Calls that no plan knows go to a process.
        processes: Worker processes; None takes the cores that this process may really use.
        threads: Threads of the thread lane; None takes four a core. Of calls that are known to compute
            rather than wait, no more run in them at once than there are cores, and one.
        loop_budget_s: No lane is chosen that is expected to delay the loop longer, if any other is
            available.
        max_queue: Calls that one lane holds at once, running and waiting. With ``queue_timeout_s`` as
            many again wait before it, and beyond that the least urgent is refused.
        queue_timeout_s: How long a call may wait for its lane. One that is expected to wait for more than
            half of it is refused when it comes, for that may be wrong by a factor; one that has waited
            longer then. None waits for ever.
        start_method: Of worker processes: ``"forkserver"`` or ``"spawn"``.
        preload: Modules that worker processes find loaded. What calls import is learned anyway.
        on_cancel: What happens to a running call when nobody awaits it any more or its time is over:
            ``"stop"`` kills it where its lane can and abandons it elsewhere, ``"kill"`` keeps calls to
            lanes that can, ``"abandon"`` lets it run to its end.
        worker_memory_bytes: Size at which a worker process is killed while it runs a call: its resident
            memory without what it shares with others (code, large arguments, ``share``).
        max_calls_per_worker: Calls after which a worker process is replaced.
        worker_nice: How much nicer worker processes are than this one (0 to 19, see ``nice(2)``): where
            cores are short the event loop, for which everybody waits, goes first. None takes 5, and 10
            with more than four of them for each core. 0 where other work on the machine must not go
            before theirs.
        grace_s: Seconds that calls in flight may take to end when the runtime is left; then they are
            killed. None waits for as long as they take, 0 kills at once.
        propagate: Context variables whose values go with each call to wherever it runs, as
            ``"module:variable"`` (threads and the event loop see all of them anyway).
        initializer: Called with ``initargs`` in every worker process before its first call.
        initargs: See there.
        lanes: The lanes that are opened; None opens ``"event_loop"``, ``"thread"`` and ``"process"``.
            ``"interpreter"`` (Python 3.14 and later) runs calls in as many isolated interpreters of this
            process as there would be worker processes.
        cluster: Where calls go that the local cores cannot take: ``"local"`` starts a private Ray here,
            ``"auto"`` joins the one that the environment names, ``"host:port"`` and ``"ray://host:port"``
            join that one. While it cannot be reached calls stay here. Needs ``lanewise[cluster]``.
        cluster_code: Directories of packages that are brought to the nodes; all others must be there.
        clock: Tells the seconds by which waiting for a lane is counted and predicted. Deadlines and
            timeouts go by the system's monotonic clock, which workers share.

        debug: Look, around every call of a declared task on the loop or in a thread, whether it changes
            its arguments or state of its module, which its caller would not see if it ran in a process,
            and warn once for each task that does. Costs a pickle of all of that, twice a call. None is as
            the event loop's own debug mode.

    Raises:
        PlanError: The plan cannot be read.
        ValueError: An option has a value that it cannot have.

    While it is entered, the event loop is watched: how late it is stands in the statistics, and what
    keeps it for a tenth of a second or longer is logged with file, line and advice.

    Threads: belongs to the event loop that entered it; use it from that loop's thread only.
    """

    _watches_loop = True

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
        worker_nice: int | None = None,
        grace_s: float | None = 10.0,
        propagate: Iterable[str | contextvars.ContextVar[Any]] = (),
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        lanes: Iterable[LaneName] | None = None,
        cluster: str | None = None,
        cluster_code: Iterable[str | Path] = (),
        clock: Clock = time.monotonic,
        debug: bool | None = None,
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
        self._wanted = known_lanes(lanes, cluster)
        propagate = tuple(propagate)
        self._clock = clock
        self._debug = debug
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
        # Not opened unless it is wanted. What was shared with processes is known there as well.
        self._interpreter_lane = InterpreterLane(
            self._processes, propagate=propagate, handles=self._process_lane.handles
        )
        self._far: FarLane | None = None
        if cluster is not None:
            kept = {
                "preload": tuple(preload),
                "worker_memory_bytes": worker_memory_bytes,
                "max_calls_per_worker": max_calls_per_worker,
                "worker_nice": worker_nice,
            }
            shared, begun = self._process_lane.handles, (initializer, initargs)
            self._far = FarLane(cluster, cluster_code, shared, propagate, kept, begun)
        # Under which lanes' names the calibration is kept.
        self._calibrated: tuple[str, ...] = ()
        self._options = CallOptions()
        # owner: the loop that entered the runtime. Shared with the views that with_options() makes.
        self._life = _Life()
        self._tasks: dict[Any, Task[..., Any]] = {}

    # --- lifetime -------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open the lanes. When that fails or is cancelled, nothing is left behind."""
        if self._life.state is not None:
            raise LanewiseError("this runtime is entered already: make another one")
        refuse_while_loading()
        opened: dict[LaneName, Lane] = {}
        try:
            self._life.state = await self._open(opened)
        except BaseException:
            await close_all(opened, 0)
            raise
        self._life.token = active.set(self)
        entered(self)
        return self

    async def _open(self, opened: dict[LaneName, Lane]) -> Dispatcher:
        made: dict[LaneName, Callable[[], Lane]] = {
            "event_loop": EventLoopLane,
            "thread": lambda: ThreadLane(self._threads),
            "process": lambda: self._process_lane,
            "interpreter": lambda: self._interpreter_lane,
        }
        unavailable: dict[LaneName, str] = {}
        for name in self._wanted:
            if name == "cluster":
                continue
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
        reached = dict(opened)
        if self._far is not None:
            why = await self._far.reach(opened)
            if why is None:
                reached["cluster"] = opened["cluster"]
            else:
                unavailable["cluster"] = why
        router = Router(
            self._plan,
            frozenset(reached),
            unavailable,
            await self._calibration(reached, unavailable),
            self._loop_budget_s,
            usable_cores(),
            gil_enabled(),
        )
        waits = self._max_queue, self._queue_timeout_s, self._clock
        doors: dict[str, Door] = {
            name: Door(name, self.parallelism(name), *waits)
            for name in opened
            if name != "event_loop"  # whose calls begin and end at once
        }
        # One more than there are cores, so that none is idle between two calls.
        doors[COMPUTING] = Door("thread", min(self._threads, usable_cores() + 1), *waits)
        debug = asyncio.get_running_loop().get_debug() if self._debug is None else self._debug
        state = Dispatcher(opened, router, Tally(), doors, EffectsWatch() if debug else None)
        stall_s = max(_STALL_S, _STALL_BUDGETS * self._loop_budget_s)
        state.start(stall_s if self._watches_loop else None)
        if self._far is not None:
            self._far.attach(state)
        return state

    async def _calibration(
        self, opened: dict[LaneName, Lane], unavailable: dict[LaneName, str]
    ) -> Calibration | None:
        """Return what this host's lanes cost: as the plan knows it, or was kept, or is measured now."""
        # One that cannot be reached yet will be measured when it can, if others were.
        expected = {*opened} if self._far is None else {*opened, "cluster"}
        if not opened or len(expected) < 2:  # noqa: PLR2004 - because: a single lane leaves nothing to choose
            return None
        here = host_facts().fingerprint
        planned = [task.calibration for task in self._plan.tasks.values()]
        if planned and all(
            one.fingerprint == here and opened.keys() <= one.lanes.keys() for one in planned
        ):
            return planned[0]
        names = tuple(opened) if self._far is None else (*opened, self._far.lane.address)
        kept = kept_calibration(here, names)
        self._calibrated = names
        if kept is None:
            kept = await calibrate(opened, unavailable, here)
            if opened.keys() <= kept.lanes.keys():
                keep_calibration(kept, names)
        return kept

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
                active.reset(token)
        left(self)
        if self._far is not None:
            self._far.detach()
        if state is not None:
            if state.router.host_costs.was_wrong:
                forget_calibration(host_facts().fingerprint, self._calibrated)
            await state.close(self._grace_s)

    def _entered(self) -> Dispatcher:
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
            OverloadedError: Its lane has no room for it, or none within ``queue_timeout_s``, or it
                could not end in time.
            TaskTimeoutError: It did not finish within its ``timeout_s``, queueing included.
            LaneUnavailableError: It is pinned to a lane, or needs one, that is not there.
            NotPortableError: It is pinned to processes and cannot cross.
            WorkerDiedError: Its worker died.

        Cancellation: a call that still queues is removed. A running one is stopped where its lane can
        stop it (processes), and abandoned and counted where nothing can (threads); see ``on_cancel``.
        """
        state = self._life.state or self._entered()
        task = self._task_of(fn)
        options = self._options
        timeout_s = options.timeout_s or task.timeout_s
        if request_deadline.get() is not None:  # one call less on the way of calls without
            timeout_s = self._timeout_s(task)
        result: T
        if timeout_s is None:
            terms = self._terms(task, None)
            decision = state.decide(task, args, kwargs, terms, options)
            lane = state.here(decision)
            if lane is not None:  # no coroutine more than this one
                result = state.call_here(lane, task, decision, args, kwargs, terms)
            else:
                result = await state.call(task, args, kwargs, terms, options, decision)
        else:
            result = await self._within(
                timeout_s, task, lambda terms: state.call(task, args, kwargs, terms, options)
            )
        return result

    def _timeout_s(self, task: Task[..., Any]) -> float | None:
        """How long a call has from now on: what was said of it, and no longer than its request has."""
        timeout_s = self._options.timeout_s or task.timeout_s
        until_s = request_deadline.get()
        if until_s is None:
            return timeout_s
        left_s = max(until_s - time.monotonic(), 0.0)
        return left_s if timeout_s is None else min(timeout_s, left_s)

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
        if not timeout_s > 0:
            raise TaskTimeoutError(
                f"{task.name} was not started: the deadline of its request had passed already"
            )
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

    def share(self, value: T) -> T:
        """Send a value to each worker once, however many calls use it.

        What is returned is a handle, and typed as the value so that calls type-check: give it to
        ``run``, ``map`` or ``stream`` in the value's place, and do nothing else with it. The function
        receives the value itself. Its pickle and its buffers (arrays, bytearrays) are copied into
        shared memory now, so that the value may be changed or dropped afterwards; workers map them and
        copy nothing. What they see is read-only. Equal values share one copy. When the last reference
        to the handle goes, workers drop it too.

        Threads: may be called from any. Copying takes about 0.5 ms per megabyte and lets other threads
        run, so for something large beside live requests: ``await asyncio.to_thread(rt.share, big)``.

        Raises:
            Exception: Whatever pickling the value raises.
        """
        return cast("T", self._process_lane.share(value))

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
        timeout_s = self._timeout_s(task)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        terms = self._terms(task, deadline)
        items = self._entered().stream(task, args, kwargs, terms, self._options, timeout_s)
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()

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
        far = self._far
        # Not a generator of its own around this one: each item would pay for passing through both.
        return map_in_chunks(
            ItemCalls(partial(self._chunk, self._task_of(fn)), lambda item: self.run(fn, item)),
            items,
            ordered=ordered,
            width=2 * self._processes if far is None else far.width(self._processes),
            window=window,
            target_s=TARGET_S if far is None else far.chunk_s(self._options.lane, self._wanted),
        )

    async def _chunk(
        self, task: Task[..., Any], items: list[Any]
    ) -> tuple[list[Any], float | None] | None:
        """Run some items as one call, where their lane can do that."""
        state, options = self._entered(), self._options
        timeout_s = self._timeout_s(task)
        if timeout_s is None:
            return await state.chunk(task, items, self._terms(task, None), options)
        ran: tuple[list[Any], float | None] | None = await self._within(
            timeout_s, task, lambda terms: state.chunk(task, items, terms, options)
        )
        return ran

    def with_options(
        self,
        *,
        lane: LaneName | None = None,
        timeout_s: float | None = None,
        on_cancel: OnCancel | None = None,
        priority: Priority | None = None,
    ) -> Runtime:
        """Return a view of this runtime whose calls have other options. Shares everything else.

        Raises:
            ValueError: An option has a value that it cannot have.
        """
        if timeout_s is not None and not timeout_s > 0:
            raise ValueError(f"timeout_s={timeout_s!r} must be above 0, or None")
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._options = CallOptions(
            lane or self._options.lane,
            timeout_s or self._options.timeout_s,
            self._options.on_cancel if on_cancel is None else on_cancel_named(on_cancel),
            self._options.priority if priority is None else priority_named(priority),
        )
        return view

    def explain(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> str:
        """Say in words where this call would go now, why, and what the others were estimated at."""
        state, task = self._entered(), as_task(fn)
        level = state.tally.load(task.name).in_flight + 1
        return state.router.explain(task, args, kwargs, level, self._options.lane)

    def learned_plan(self) -> Plan:
        """Return what is known now as a plan: of planned tasks with what was corrected, of others anew.

        ``Path("lanewise.toml").write_text(rt.learned_plan().to_toml())`` lets a service teach the next
        one. Tasks of which no call has ended are not in it.
        """
        learned = self._entered().router.learned()
        return Plan({plan.name: plan for plan in learned}, "what was learned")

    def statistics(self) -> RuntimeStatistics:
        """Return an immutable snapshot."""
        state = self._entered()
        workers = self._process_lane.statistics() if "process" in state.lanes else None
        cluster = None if self._far is None else self._far.lane.statistics()
        places = {name: self.parallelism(name) for name in state.lanes}
        return state.snapshot(workers, places, cluster)

    def parallelism(self, lane: LaneName | None = None) -> int:
        """How many calls can run at once, on one lane or on all."""
        of_lane: dict[str, int] = {
            "process": self._processes,
            "thread": self._threads,
            "event_loop": 1,
        }
        if "interpreter" in self._wanted:
            of_lane["interpreter"] = self._processes
        if self._far is not None:
            of_lane["cluster"] = self._far.lane.places
        return sum(of_lane.values()) if lane is None else of_lane.get(lane, 1)

    def expected_s(self, fn: Callable[..., Any], /) -> float | None:
        """How long calls of a function took on average in worker processes; None where none has ended."""
        return self._process_lane.run_time_s(fn)
