"""``InterpreterLane``: calls in isolated interpreters of this process, awaited on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Any

from _lanewise_worker import wire
from lanewise.errors import LaneUnavailableError
from lanewise.host.interpreters import why_no_interpreters
from lanewise.lanes.interpreter import imports
from lanewise.lanes.interpreter.crew import Crew
from lanewise.lanes.interpreter.imports import ImportTrials
from lanewise.lanes.interpreter.packing import Call, Packer
from lanewise.lanes.process.handles import HandleBook
from lanewise.lanes.streaming import END, StreamSink
from lanewise.model.lane import PLAIN_TERMS, LaneName, Terms, mark_abandoned

_log = logging.getLogger("lanewise")

# What a stream's generator may take to close before its interpreter is left to it.
_STREAM_CLOSE_S = 1.0


class InterpreterLane:
    """Isolated interpreters, each with its own lock, in threads of this process.

    For pure Python and those extensions that support it: see ``imports.py``. Compared with the process
    lane it hands read-only buffers over without copying them, and a call alone costs a little less; it
    cannot stop a call, and what crashes takes the whole process with it.

    Cancellation: a queued call is removed; a running one goes on to its end and its result is dropped,
    since nothing can stop an interpreter from outside. The program ends only when that call does.

    Args:
        interpreters: Calls that run at once.
        propagate: Context variables whose values go with each call, as ``"module:variable"``.
        handles: Shared objects that calls may refer to; None makes room for the lane's own.

    Raises:
        ValueError: There is no such context variable.

    Threads: belongs to the loop that opened it.
    """

    name: LaneName = "interpreter"

    def __init__(
        self,
        interpreters: int,
        *,
        propagate: Iterable[str | contextvars.ContextVar[Any]] = (),
        handles: HandleBook | None = None,
    ) -> None:
        self.interpreters = interpreters
        self.handles = HandleBook() if handles is None else handles
        self.handles.on_gone.append(self._handle_gone)
        self._packer = Packer(self.handles, propagate, imports.is_known)
        # owner: the loop that opened the lane.
        self._crew: Crew | None = None
        self._trials = ImportTrials()
        self._opening = asyncio.Lock()

    # --- lifetime -------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start every interpreter and wait until all are ready. Idempotent.

        Raises:
            LaneUnavailableError: This Python has no such interpreters, or they cannot be started.
        """
        async with self._opening:
            if self._crew is not None:
                return
            why = why_no_interpreters()
            if why is not None:
                raise LaneUnavailableError(why, reasons={self.name: why})
            crew = Crew(asyncio.get_running_loop())
            try:
                await crew.open(self.interpreters)
            except BaseException:
                await crew.close(0)
                raise
            self._crew, self._trials = crew, ImportTrials()

    async def close(self, grace_s: float | None = None) -> None:
        """Let what is queued and what runs end, then end the interpreters and their threads.

        Interpreters cannot be killed: what runs longer than the grace period is left to itself, which the
        log tells; its interpreter and its thread end with it. Idempotent.
        """
        crew, self._crew = self._crew, None
        if crew is None:
            return
        left = await crew.close(grace_s)
        self._packer.forget()
        if left:
            _log.warning("%d call(s) in interpreters did not end and are abandoned", left)

    # --- calls ----------------------------------------------------------------------------------

    async def run(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms = PLAIN_TERMS,
    ) -> Any:
        """Run the call in an interpreter; arguments and result are copies.

        A memoryview arrives as a read-only view of the caller's own memory, whatever its length. So do
        read-only buffers that objects pickle out of band. Who changes that memory meanwhile is seen.

        Raises:
            NotPortableError: The function, an argument or the result cannot cross, or an extension that
                the function imports does not support such interpreters.
        """
        call = await self._submitted(wire.CALL, function, variant, args, kwargs, terms)
        return await self._outcome(call)

    async def run_chunk(
        self,
        function: Callable[..., Any],
        variant: str,
        items: Sequence[Any],
        terms: Terms = PLAIN_TERMS,
    ) -> tuple[list[Any], float | None]:
        """Run ``function(item)`` for each item in one interpreter, one after another.

        Returns:
            For each item what it gave or a :class:`Failed`; and the seconds that all took.
        """
        call = await self._submitted(wire.CHUNK, function, variant, tuple(items), {}, terms)
        results: list[Any] = await self._outcome(call)
        return results, call.run_time_s

    async def stream(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms = PLAIN_TERMS,
    ) -> AsyncGenerator[Any, None]:
        """Run a generator function in an interpreter and yield its items as they come.

        When the consumer leaves, the generator is closed as soon as it yields next; a generator that
        never does is abandoned.
        """
        sink = StreamSink()
        call = await self._submitted(
            wire.STREAM, function, variant, args, kwargs, terms, stream=sink
        )
        crew, future = self._entered(), call.future
        future.add_done_callback(lambda _: sink.wake())

        def grant(room: int) -> bool:
            if not call.began:
                return False
            crew.grant(call, room)
            return True

        try:
            while (item := await sink.next(future, grant)) is not END:
                yield item
        except asyncio.CancelledError as cancelled:
            if not crew.withdraw(call) and crew.is_running(call):
                mark_abandoned(cancelled, crew.going_on(call))
            raise
        finally:
            await _stream_left(crew, call)

    def _handle_gone(self, number: int) -> None:
        """In any thread: the last reference to a handle went."""
        crew = self._crew
        if crew is not None:
            with contextlib.suppress(
                RuntimeError
            ):  # the loop is closed, and so are the interpreters
                crew.loop.call_soon_threadsafe(crew.drop_share, number)

    # --- one call -------------------------------------------------------------------------------

    def _entered(self) -> Crew:
        if self._crew is None:
            raise LaneUnavailableError("the interpreter lane is closed: enter the runtime first")
        return self._crew

    async def _submitted(  # noqa: PLR0913 - because: a call and how it crosses
        self,
        kind: int,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms,
        stream: StreamSink | None = None,
    ) -> Call:
        """Pack a call and hand it to an interpreter, or to the queue.

        Raises:
            NotPortableError: It cannot cross, or its imports keep it out.
        """
        crew = self._entered()
        future = crew.loop.create_future()
        call = self._packer.call(future, kind, function, variant, args, kwargs, terms)
        call.stream = stream
        if crew.refused and call.key in crew.refused:
            raise imports.not_portable(call.name, crew.refused[call.key])
        if call.module is not None:
            why = await self._trials.verdict(call.module)
            if why is not None:
                raise imports.not_portable(call.name, why)
            crew = self._entered()  # that took a while
        crew.submit(call)
        return call

    async def _outcome(self, call: Call) -> Any:
        """Await a call.

        Cancellation: one that has not begun is taken back; any other goes on, and the CancelledError
        says so.
        """
        crew = self._entered()
        try:
            return await call.future
        except asyncio.CancelledError as cancelled:
            if not crew.withdraw(call) and crew.is_running(call):
                mark_abandoned(cancelled, crew.going_on(call))
            raise


async def _stream_left(crew: Crew, call: Call) -> None:
    """The consumer has left: let the generator close, or leave its interpreter to it."""
    future = call.future
    if not future.done() and not crew.withdraw(call):
        crew.stop_stream(call)
        await asyncio.wait([future], timeout=_STREAM_CLOSE_S)
    if not future.done():
        future.cancel()
    elif not future.cancelled():
        future.exception()  # seen: nobody else will ask
