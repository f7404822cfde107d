"""Which interpreter runs what, and what waits."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from _lanewise_worker import views, wire
from _lanewise_worker.call import FarSideError
from _lanewise_worker.import_probe import refusal_in
from _lanewise_worker.probe import FACTS
from _lanewise_worker.replay import replay_log, replay_warning
from _lanewise_worker.traces import unpack_exception
from lanewise.errors import LaneUnavailableError
from lanewise.lanes.interpreter import imports
from lanewise.lanes.interpreter.link import Link
from lanewise.lanes.interpreter.packing import Call
from lanewise.lanes.process.results import (
    load_chunk,
    load_noted,
    not_loaded,
    not_portable,
    note_run,
)
from lanewise.model.lane import Failed

_log = logging.getLogger("lanewise")

# A result from here on is copied by a thread, which lets the loop go on.
_LARGE_BYTES = 1_000_000
# What an interpreter that runs nothing may take to end.
_END_S = 5.0


class Crew:
    """The interpreters of one lane and the calls that they run. Owner: the loop.

    Each runs one call at a time, and gets the next one when the loop has heard of its end: a call that
    waits here can be taken back, one that was sent cannot.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.links: list[Link] = []
        self.refused: dict[Any, str] = {}
        self._idle: list[Link] = []
        self._waiting: deque[Call] = deque()
        self._closing = False
        self._handlers = {
            wire.RESULT: self._result,
            wire.ERROR: self._error,
            wire.PART: self._part,
            wire.ITEM: self._item,
            wire.FACTS: self._facts,
            wire.LOG: lambda _link, _flags, _number, body: replay_log(bytes(body)),
            wire.WARNING: lambda _link, _flags, _number, body: replay_warning(bytes(body)),
            wire.READY: self._ready,
            # No interpreter begins with what others have imported.
            wire.IMPORTED: lambda *_: None,
        }

    # --- lifetime -------------------------------------------------------------------------------

    async def open(self, count: int) -> None:
        """Start so many interpreters and wait until all are ready.

        Raises:
            LaneUnavailableError: One could not be started.
        """
        try:
            for _ in range(count):
                self.links.append(Link(self.loop, self._frame, self._over))
        except (OSError, RuntimeError) as error:
            raise LaneUnavailableError(f"no interpreter could be started: {error}") from error
        for link in list(self.links):
            await asyncio.wait([link.ready])
            if link.ready.cancelled():
                raise LaneUnavailableError(f"an interpreter did not start: {_trouble(link)}")

    async def close(self, grace_s: float | None) -> int:
        """Let what runs and what waits end, within the time; then end every interpreter that can.

        Returns:
            How many calls go on, for they cannot be stopped. Their interpreters end with them.
        """
        try:
            await self._settled(None if grace_s is None else self.loop.time() + grace_s)
        finally:
            self._closing = True
            while self._waiting:
                self._waiting.popleft().future.cancel()
            left = await self._ended()
        return left

    async def _settled(self, deadline: float | None) -> None:
        """Wait until every call has ended, abandoned ones too, or the time is over."""
        while True:
            busy: list[asyncio.Future[Any]] = [call.future for call in self._waiting]
            busy += [self.going_on(link.call) for link in self.links if link.call is not None]
            busy = [one for one in busy if not one.done()]
            left_s = None if deadline is None else deadline - self.loop.time()
            if not busy or (left_s is not None and left_s <= 0):
                return
            await asyncio.wait(busy, timeout=left_s)

    async def _ended(self) -> int:
        """End every interpreter; return how many calls keep theirs."""
        # What is being copied out of an interpreter ends first, for that memory goes with it.
        loading = [one for link in self.links for one in link.loading]
        if loading:
            await asyncio.wait(loading)
        left = [link for link in self.links if link.call is not None]
        for link in left:
            assert link.call is not None
            # Nobody takes its result any more, which could lie in memory that has gone by then.
            link.leave()
            _fail(link.call, _closed_on(link.call))
        ending = [link for link in self.links if link.call is None]
        for link in ending:
            link.end()
        if not ending:
            return len(left)
        # What users' modules registered for an interpreter's end may take its time, but not for ever.
        await asyncio.wait([link.home.ended for link in ending], timeout=_END_S)
        for link in ending:
            if not link.home.ended.done():
                link.leave()
        return len(left)

    def _over(self, link: Link) -> None:
        """An interpreter is gone: as it was told to, or because it could not go on."""
        self._lose(link)
        if self._closing:
            return
        _log.error("an interpreter of the interpreter lane has ended: %s", _trouble(link))
        # One that never came to life is not replaced: the next one would not either.
        if not link.ready.cancelled():
            try:
                self.links.append(Link(self.loop, self._frame, self._over))
            except (OSError, RuntimeError) as error:
                _log.error("and no other could be started: %s", error)
        while self._waiting and not self.links:
            _fail(self._waiting.popleft(), _lost(link))

    def _lose(self, link: Link) -> None:
        """Count no longer on an interpreter; what it runs has failed. Idempotent."""
        if link in self.links:
            self.links.remove(link)
        if link in self._idle:
            self._idle.remove(link)
        call, link.call = link.call, None
        if call is not None:
            _fail(call, _lost(link))
            if call.goes_on is not None and not call.goes_on.done():
                call.goes_on.set_result(None)

    # --- calls ----------------------------------------------------------------------------------

    def submit(self, call: Call) -> None:
        """Start a call, or have it wait.

        Raises:
            LaneUnavailableError: There is no interpreter any more.
        """
        if self._idle:
            self._start(self._idle.pop(), call)
        elif self.links and not self._closing:
            self._waiting.append(call)
        else:
            raise LaneUnavailableError("the interpreter lane has no interpreter any more")

    def _start(self, link: Link, call: Call) -> None:
        while True:
            call.began = True
            try:
                link.start(call)
            except Exception as error:  # noqa: BLE001 - because: memory or descriptors may be short
                link.call = None
                _fail(call, error)
            else:
                return
            if not self._waiting:
                self._idle.append(link)
                return
            call = self._waiting.popleft()

    def withdraw(self, call: Call) -> bool:
        """Take back a call that has not begun; False where it has."""
        if call.began:
            return False
        if call in self._waiting:
            self._waiting.remove(call)
        return True

    def is_running(self, call: Call) -> bool:
        """Whether an interpreter is busy with it."""
        return any(link.call is call for link in self.links)

    def going_on(self, call: Call) -> asyncio.Future[None]:
        """Return what ends when a call that runs does, whoever still waits for its result."""
        if call.goes_on is None:
            call.goes_on = self.loop.create_future()
        return call.goes_on

    def grant(self, call: Call, room: int) -> None:
        """Give a stream room for more items."""
        self._tell(call, wire.CREDIT, room)

    def stop_stream(self, call: Call) -> None:
        """Have a stream's generator closed when it yields next."""
        self._tell(call, wire.STOP, 0)

    def _tell(self, call: Call, kind: int, number: int) -> None:
        for link in self.links:
            if link.call is call:
                link.send(wire.frame(kind, number=number, seq=link.seq))

    def drop_share(self, number: int) -> None:
        """The last handle of a shared object has gone."""
        for link in self.links:
            link.drop_share(number)

    # --- what interpreters say ------------------------------------------------------------------

    def _frame(  # noqa: PLR0913 - because: the parts of a frame
        self, link: Link, kind: int, flags: int, number: int, seq: int, body: Any
    ) -> None:
        del seq  # one call at a time: it is that one
        try:
            self._handlers[kind](link, flags, number, body)
        except Exception:  # noqa: BLE001 - because: the lane must outlive whatever one interpreter says
            # What it says makes no sense, so nothing that it says can be relied upon.
            _log.exception("an interpreter broke the protocol, which is a defect of lanewise")
            link.leave()
            self._lose(link)

    def _ready(self, link: Link, _flags: int, _number: int, _body: Any) -> None:
        if not link.ready.done():
            link.ready.set_result(None)
        self._next(link)

    def _facts(self, link: Link, _flags: int, _number: int, body: Any) -> None:
        report = None if link.call is None else link.call.report
        if report is not None:
            report.run_s, report.cpu_s, _, _, _ = FACTS.unpack(body)

    def _result(self, link: Link, flags: int, ticks: int, body: Any) -> None:
        call = link.call
        assert call is not None
        call.run_time_s = ticks / wire.TICKS_PER_S
        if call.report is not None:
            note_run(call.report, ticks)
            call.report.result_bytes = len(body)
        if call.future.done():
            link.discard(flags)
        elif flags & wire.EMPTY:
            call.future.set_result(None)
        elif call.kind == wire.CHUNK:
            parts = call.parts or []
            results = load_chunk(link, call.name, flags, body, call.items - len(parts))
            call.future.set_result(self._looked_at(call, [*parts, *results]))
        elif flags & wire.SEGMENT:
            self._large(link, call)
        elif call.report is not None:
            _conclude(call, partial(load_noted, link, call.report, flags, ticks, body))
        else:
            _conclude(call, partial(link.load, flags, body))
        self._free(link, call)

    def _large(self, link: Link, call: Call) -> None:
        """Copy a result out of the interpreter's memory, in a thread where that takes long."""
        taken = link.taken()
        make = partial(link.copied, taken, call.report)
        if views.size_bytes(taken) < _LARGE_BYTES:
            _conclude(call, make)
            link.let_go()
            return
        try:
            running = self.loop.run_in_executor(None, make)
        except RuntimeError:  # the loop's own threads have been ended already
            _conclude(call, make)
            link.let_go()
            return
        link.loading.add(running)
        running.add_done_callback(partial(self._copied, link, call))

    def _copied(self, link: Link, call: Call, running: asyncio.Future[Any]) -> None:
        link.loading.discard(running)
        _conclude(call, running.result)
        link.let_go()

    def _error(self, link: Link, _flags: int, ticks: int, body: Any) -> None:
        call = link.call
        assert call is not None
        if call.report is not None:
            note_run(call.report, ticks)
        error = unpack_exception(bytes(body))
        if not call.future.done():
            call.future.set_exception(self._told(call, error))
        self._free(link, call)

    def _told(self, call: Call, error: BaseException) -> BaseException:
        """Return the error that the caller gets; remember what keeps its function out of here."""
        words = refusal_in(error)
        if words is None and isinstance(error, FarSideError) and "subinterpreter" in error.words:
            words = error.words
        if words is None:
            return not_portable(call.name, error)
        why = self.refused[call.key] = f"it {imports.refused(words)}"
        # Where arguments could not be made the call has not begun, and may go elsewhere.
        unstarted = isinstance(error, FarSideError) and error.what == "arguments"
        told = imports.not_portable(call.name, why, started=not unstarted)
        told.__cause__ = error
        return told

    def _looked_at(self, call: Call, results: list[Any]) -> list[Any]:
        for at, one in enumerate(results):
            if isinstance(one, Failed) and refusal_in(one.error) is not None:
                results[at] = Failed(self._told(call, one.error))
        return results

    def _part(self, link: Link, flags: int, count: int, body: Any) -> None:
        call = link.call
        assert call is not None
        if call.future.done():
            link.discard(flags)
            return
        if call.parts is None:
            call.parts = []
        call.parts += load_chunk(link, call.name, flags, body, count)

    def _item(self, link: Link, flags: int, _number: int, body: Any) -> None:
        call = link.call
        assert call is not None
        if call.stream is None or call.future.done():
            link.discard(flags)
            return
        try:
            item = link.load(flags, body)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - because: what an item does when it is made again is the user's
            item = Failed(not_loaded(call.name, error))
        call.stream.put(item)

    def _free(self, link: Link, call: Call) -> None:
        """A call has ended: its interpreter takes the next one."""
        link.call = None
        if call.goes_on is not None and not call.goes_on.done():
            call.goes_on.set_result(None)
        self._next(link)

    def _next(self, link: Link) -> None:
        if self._waiting:
            self._start(link, self._waiting.popleft())
        elif not self._closing:
            self._idle.append(link)


def _conclude(call: Call, make: Callable[[], Any]) -> None:
    """Give a call its result, or why it cannot be made again on this side."""
    try:
        value = make()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - because: what a result does when it is made again is the user's
        _fail(call, not_loaded(call.name, error))
    else:
        if not call.future.done():
            call.future.set_result(value)


def _fail(call: Call, error: BaseException) -> None:
    if not call.future.done():
        call.future.set_exception(error)


def _lost(link: Link) -> LaneUnavailableError:
    return LaneUnavailableError(
        f"the interpreter has ended that was to run the call, which may or may not have run: "
        f"{_trouble(link)}"
    )


def _trouble(link: Link) -> str:
    return link.home.trouble or "its line was cut"


def _closed_on(call: Call) -> LaneUnavailableError:
    return LaneUnavailableError(
        f"the interpreter lane was closed while {call.name} ran, which cannot be stopped and goes on; "
        "its result is lost. Give the runtime a longer grace_s, or such calls to the process lane"
    )
