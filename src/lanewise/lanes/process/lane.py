"""``ProcessLane``: calls in isolated processes, awaited on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from _lanewise_worker import wire
from _lanewise_worker.codec import Encoded, encode, encode_arguments
from _lanewise_worker.replay import collect_levels
from lanewise.errors import LaneUnavailableError
from lanewise.host.facts import usable_cores
from lanewise.lanes.functions import FunctionBook, note_packed, surroundings
from lanewise.lanes.niceness import NICER, NICEST
from lanewise.lanes.process.context import CarriedContext
from lanewise.lanes.process.counts import WorkerStatistics
from lanewise.lanes.process.crew import Crew
from lanewise.lanes.process.environment import MAX_DEPTH, depth, worker_environment
from lanewise.lanes.process.handles import HandleBook, Shared
from lanewise.lanes.process.launcher import Launcher
from lanewise.lanes.process.outgoing import ChunkLost, Outgoing
from lanewise.lanes.process.pool import Call
from lanewise.lanes.process.upkeep import REPLAYED, CrewOptions, Relay
from lanewise.lanes.remote_stream import Begun, remote_stream
from lanewise.lanes.resolve import identity_of
from lanewise.model.lane import (
    PLAIN_TERMS,
    Failed,
    LaneName,
    Terms,
    mark_abandoned,
    mark_killed,
)

T = TypeVar("T")

_log = logging.getLogger("lanewise")

# How long a worker looks for the next call before it sleeps: about twice what a program takes from one
# result to the next call. Where calls come less often it hardly ever looks (see the worker's ``Line``).
_AWAKE_S = 0.000_2
# What a stream's generator may take to close before its worker is killed.
_STREAM_CLOSE_S = 1.0
# Starting is mostly computing, with some waiting in it.
_STARTING_PER_CORE = 2
# Many workers that burn together, each with a third of this process's share, would still leave it next to
# nothing, and it is what stops them; a tenth each, then.
_NICE_OF_MANY = 10
_MANY_PER_CORE = 4


class ProcessLane:
    """Worker processes, driven from the event loop through one private socket each.

    Cancellation: a queued call is removed; a running one is killed with all that it started, unless
    its terms say ``abandon``. One crash costs the call that was running.

    Args:
        processes: Calls that may compute at once. One process more is kept warm.
        start_method: ``"forkserver"`` (the default where there is one) or ``"spawn"``. ``"fork"`` is
            refused: a fork beside running threads copies their locks as they stand.
        preload: Modules that every worker finds loaded.
        worker_memory_bytes: A call whose worker grows beyond that is killed.
        max_calls_per_worker: A worker that served so many is replaced.
        worker_nice: How much nicer than this process workers are; None takes 5, and 10 where there are
            more than four for each core.
        idle_s: Seconds after which a worker without calls leaves; one stays.
        propagate: Context variables whose values go with each call, as ``"module:variable"``.
        initializer: Called with ``initargs`` in every worker before its first call.
        relay: What becomes of workers' log records and warnings; they are issued here by default.

    Threads: belongs to the loop that opened it; only :meth:`share` may be called from others.
    """

    name: LaneName = "process"

    def __init__(  # noqa: PLR0913 - because: each is documented above and has a default
        self,
        processes: int,
        *,
        start_method: str | None = None,
        preload: Iterable[str] = (),
        worker_memory_bytes: int | None = None,
        max_calls_per_worker: int | None = None,
        worker_nice: int | None = None,
        idle_s: float = 60.0,
        propagate: Iterable[str | contextvars.ContextVar[Any]] = (),
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        relay: Relay = REPLAYED,
    ) -> None:
        if start_method not in (None, "forkserver", "spawn"):
            raise ValueError(
                f"start_method={start_method!r} must be 'forkserver' or 'spawn': "
                "fork is unsafe beside threads, and this process has or will have some"
            )
        cores = usable_cores()
        if worker_nice is None:
            worker_nice = NICER if processes <= _MANY_PER_CORE * cores else _NICE_OF_MANY
        if not 0 <= worker_nice <= NICEST:
            raise ValueError(f"worker_nice={worker_nice} must be 0 to {NICEST}")
        self.processes = processes
        self._method = start_method or ("forkserver" if hasattr(os, "fork") else "spawn")
        self._preload = (preload,) if isinstance(preload, str) else tuple(preload)
        self._options = CrewOptions(
            idle_s,
            worker_memory_bytes,
            max_calls_per_worker,
            max_starting=_STARTING_PER_CORE * cores,
            relay=relay,
        )
        self._nice = worker_nice
        self._carried = CarriedContext(propagate)
        self._carries = bool(self._carried)
        self._initializer = initializer, initargs
        self._packed_initializer = b""
        # owner: the loop that opened the lane.
        self._crew: Crew | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Lock = asyncio.Lock()
        self._handles = HandleBook()
        self._functions = FunctionBook("process", self._handles.take_noted)
        self._handles.on_gone.append(self._handle_gone)

    # --- lifetime -------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start every worker and wait until they answer. Idempotent.

        Raises:
            LaneUnavailableError: Processes cannot be started here.
            NotPortableError: The initializer cannot cross.
        """
        async with self._opening:
            if self._crew is not None:
                return
            if depth() >= MAX_DEPTH:
                raise LaneUnavailableError(
                    f"this process is a worker of a worker, {depth()} runtimes deep: each level "
                    "multiplies the processes. Open the runtime in the outermost program, and hand "
                    "results up instead"
                )
            self._loop = asyncio.get_running_loop()
            if self._initializer[0] is not None:  # once, and before anything is started
                self._packed_initializer = self._functions.pickled(
                    self._initializer, "the initializer"
                )
            launcher = self._made_launcher()
            crew = Crew(self._loop, self.processes, launcher, self._options)
            launcher.on_death, launcher.on_lost = crew.on_death, crew.on_lost
            try:
                await launcher.start()
                await crew.open()
            except BaseException:
                await crew.close(0)
                raise
            self._crew = crew

    def _made_launcher(self) -> Launcher:
        return Launcher(
            method=self._method,
            environment=worker_environment(os.environ, self.processes, usable_cores()),
            preload=self._preload,
            options=self._worker_options,
            nice=self._nice,
        )

    def _worker_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"log_levels": collect_levels()}
        if usable_cores() > 1:  # on a single one it would keep the parent from working
            options["awake_s"] = _AWAKE_S
        if (
            "multiprocessing.managers" in sys.modules
        ):  # whose proxies ask for it when they are unpickled
            options["authkey"] = bytes(multiprocessing.current_process().authkey)
        if self._packed_initializer:
            options["initializer"] = self._packed_initializer
        return options

    async def close(self, grace_s: float | None = None) -> None:
        """End the lane: calls in flight may take ``grace_s`` to end, then they are killed.

        What was killed is told in the log. Idempotent.
        """
        crew, self._crew = self._crew, None
        if crew is None:
            return
        self._functions.forget()
        killed = await crew.close(grace_s)
        if killed:
            _log.warning(
                "%d call(s) were killed, for they did not end within %s s of the runtime's end: %s",
                len(killed),
                grace_s,
                ", ".join(sorted(set(killed))),
            )

    # --- calls ----------------------------------------------------------------------------------

    async def run(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms = PLAIN_TERMS,
    ) -> Any:
        """Run the call in a worker; arguments and result are copies.

        Raises:
            NotPortableError: The function, an argument or the result cannot cross.
            WorkerDiedError: The worker died while it ran this call.
        """
        crew = self._crew or self._entered()
        call = self._call(crew, wire.CALL, function, variant, args, kwargs, terms)
        crew.submit(call)
        try:
            return await call.payload.future
        except asyncio.CancelledError as cancelled:
            self._cancelled(crew, call, terms, cancelled)
            raise

    async def run_chunk(
        self,
        function: Callable[..., Any],
        variant: str,
        items: Sequence[Any],
        terms: Terms = PLAIN_TERMS,
    ) -> tuple[list[Any], float | None]:
        """Run ``function(item)`` for each item in one worker, one after another.

        Where the worker dies, the item that ran is :class:`Failed`, those before it keep what they
        gave, and those after it, which have not begun, go to another worker.

        Returns:
            For each item what it gave or a :class:`Failed`; and the seconds that all took, None where
            a worker died.
        """
        crew = self._entered()
        outcomes: list[Any] = []
        while len(outcomes) < len(items):
            try:
                rest = items[len(outcomes) :] if outcomes else items
                call = self._call(crew, wire.CHUNK, function, variant, (rest,), {}, terms)
                crew.submit(call)
                ended = await call.payload.future
            except asyncio.CancelledError as cancelled:
                self._cancelled(crew, call, terms, cancelled)
                raise
            except Exception as error:
                if not outcomes:
                    raise
                ended = [Failed(error)] * (len(items) - len(outcomes))  # what came before is kept
            if not isinstance(ended, ChunkLost):
                run_time_s = None if outcomes else crew.pool.run_time_s(call.function)
                return [*outcomes, *ended], run_time_s
            outcomes += ended.results
            if not ended.is_exact:
                outcomes += [ended.error] * (len(items) - len(outcomes))
            elif len(outcomes) < len(items):
                outcomes.append(ended.error)
        return outcomes, None

    def stream(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms = PLAIN_TERMS,
    ) -> AsyncGenerator[Any, None]:
        """Run a generator function in a worker and yield its items as they come."""

        def begin() -> Begun[Call]:
            crew = self._entered()
            call = self._call(crew, wire.STREAM, function, variant, args, kwargs, terms)
            return crew, call, partial(self._cancelled, crew, call, terms)

        return remote_stream(begin, _STREAM_CLOSE_S)

    def run_time_s(self, function: Callable[..., Any], variant: str = "default") -> float | None:
        """Return how long calls of a function took on average; None where none has ended."""
        if self._crew is None:
            return None
        return self._crew.pool.run_time_s((identity_of(function), variant))

    def statistics(self) -> WorkerStatistics | None:
        """Return a snapshot of the workers, None while the lane is closed."""
        return None if self._crew is None else self._crew.statistics()

    @property
    def handles(self) -> HandleBook:
        """The shared objects, for other lanes of the same runtime to know them too."""
        return self._handles

    def share(self, value: T) -> Shared[T]:
        """Return a handle that stands for a value in calls; see :meth:`lanewise.Runtime.share`.

        Threads: may be called from any; long values let others run meanwhile.
        """
        return self._handles.share(value)

    # --- one call -------------------------------------------------------------------------------

    def _entered(self) -> Crew:
        if self._crew is None:
            raise LaneUnavailableError("the process lane is closed: enter the runtime first")
        return self._crew

    def _call(  # noqa: C901, PLR0913 - because: a call and how it crosses, which every one pays for
        self,
        crew: Crew,
        kind: int,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms,
    ) -> Call:
        key, (number, definition, name, module) = self._functions.find(function, variant)
        if kind != wire.CALL:
            key = (*key, kind)  # a chunk's or a stream's run time says nothing of a call's
        if crew.quarantine.suspects:
            refused = crew.quarantine.refusal(key, name, crew.now_s())
            if refused is not None:
                raise refused
        flags = 0
        report = terms.report
        began = 0.0 if report is None else time.perf_counter()
        body: bytes | Encoded
        if kind == wire.CHUNK:
            sent = args[0] if number else (function, variant, args[0])
            body = self._encoded(sent, function, args[0], {})
        elif not number:
            body = self._encoded((function, variant, args, kwargs), function, args, kwargs)
        elif args or kwargs:
            body = self._arguments(function, args, kwargs)
        else:
            flags, body = wire.EMPTY, b""
        extra = b""
        if terms.deadline is not None or self._carries:
            flags |= wire.EXTRA
            extra = surroundings(terms.deadline, self._carried.values())
        if report is not None:
            note_packed(report, body, time.perf_counter() - began)
            flags |= wire.WATCHED if report.watch else 0
        future = crew.loop.create_future()
        shares = self._handles.take_noted()
        out = Outgoing(future, name, kind, number, flags, body, extra, shares, definition)
        out.report, out.module = report, module
        if kind == wire.CALL:
            return Call(key, out, type(body) is not bytes, terms.idempotent)
        if kind == wire.CHUNK:
            out.items = len(args[0])
        # What a stream has yielded cannot be taken back.
        return Call(key, out, True, terms.idempotent and kind != wire.STREAM)

    def _arguments(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> bytes | Encoded:
        try:
            if Shared in map(type, args):
                return self._without_handles(args, kwargs)
            return encode_arguments(args, kwargs)
        except Exception as error:
            raise self._functions.unportable(error, function, args, kwargs) from error

    def _without_handles(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes | Encoded:
        """Send the numbers of handles beside the arguments: to pickle a handle as an object takes longer.

        Those that lie deeper in the arguments are pickled.
        """
        rest, places = list(args), []
        for at, one in enumerate(args):
            if type(one) is Shared:
                self._handles.noted(one)
                places.append((at, one.number))
                rest[at] = None
        return encode_arguments(tuple(rest), kwargs, tuple(places))

    def _encoded(
        self,
        value: Any,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
    ) -> bytes | Encoded:
        try:
            return encode(value)
        except Exception as error:
            raise self._functions.unportable(error, function, args, kwargs) from error

    def _cancelled(
        self, crew: Crew, call: Call, terms: Terms, cancelled: asyncio.CancelledError
    ) -> None:
        if terms.on_cancel == "abandon":
            if call.payload.stream is not None:
                crew.stop_stream(call)  # nobody takes items any more: it ends when it yields next
            if crew.pool.abandon(call):
                mark_abandoned(cancelled)
        elif call.state != "over":
            crew.cancel(call)
            if call.worker is not None and call.worker.state == "doomed":
                mark_killed(cancelled)

    def _handle_gone(self, number: int) -> None:
        """In any thread: the last reference to a handle went."""
        loop, crew = self._loop, self._crew
        if loop is None or crew is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the workers are gone
            loop.call_soon_threadsafe(crew.drop_share, number)
