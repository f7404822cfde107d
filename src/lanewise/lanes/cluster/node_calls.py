"""The calls that a node was sent, on its process lane."""

from __future__ import annotations

import asyncio
import logging
import pickle
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from _lanewise_worker import wire
from _lanewise_worker.far import NOT_BEGUN, RETURNED, FarCall, FarItem, FarStream
from lanewise.errors import LaneUnavailableError, LanewiseError
from lanewise.lanes.cluster import protocol
from lanewise.lanes.cluster.protocol import CallHead, Definition
from lanewise.lanes.process import ProcessLane
from lanewise.lanes.process.handles import Content, Shared
from lanewise.model.lane import CallReport, Failed, Terms

_log = logging.getLogger("lanewise")

# From here on an argument travels beside the pickle, so that it is not copied once more.
_LARGE_BYTES = 65_536
# What a generator may take to yield once more, after its consumer has left.
_STREAM_CLOSE_S = 1.0


class NodeCalls:
    """Owner: the node's loop.

    Args:
        lane: Runs them.
        number: This node's.
        say: Sends a frame to the lane that the calls come from.
    """

    def __init__(self, lane: ProcessLane, number: int, say: Callable[[bytes], None]) -> None:
        self._lane = lane
        self._number = number
        self._say = say
        self._frames = wire.Frames()
        self._functions: dict[int, Definition] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._rooms: dict[int, _Room] = {}
        self._shares: dict[int, asyncio.Future[Shared[Any]]] = {}
        # Shared objects that nobody needs any more and that are still on their way.
        self._unwanted: set[int] = set()
        self._handlers: dict[int, Callable[[int, Any], None]] = {
            protocol.DEFINE: self._define,
            protocol.CALL: partial(self._begin, self._call),
            protocol.CHUNK: partial(self._begin, self._chunk),
            protocol.STREAM: self._begin_stream,
            protocol.CANCEL: self._cancel,
            protocol.STOP: self._stop,
            protocol.CREDIT: self._credit,
            protocol.FORGET: self._forget,
        }

    def feed(self, data: bytes) -> None:
        """Frames have arrived."""
        for kind, _flags, _number, seq, body in self._frames.feed(data):
            self._handlers[kind](seq, body)

    def shared(self, number: int, content: Content | Exception) -> None:
        """A shared object has arrived, or cannot be had."""
        waiting = self._share(number)
        if waiting.done():
            return
        if isinstance(content, Exception):
            why = f"the shared object could not be kept on the node: {content}"
            # The calls that need it have not begun.
            waiting.set_exception(LaneUnavailableError(why, withdrawn=True))
            waiting.exception()  # seen: perhaps nobody asks
        else:
            waiting.set_result(Shared(self._lane.handles, content, number=number))
        if number in self._unwanted:
            # A call may wait for it yet, and keeps it for as long as it runs.
            self._unwanted.discard(number)
            del self._shares[number]

    @property
    def is_busy(self) -> bool:
        """Whether some call has not ended."""
        return bool(self._running)

    # --- frames ---------------------------------------------------------------------------------

    def _define(self, number: int, body: Any) -> None:
        self._functions[number] = Definition(*pickle.loads(body))  # noqa: S301 - because: from the lane that owns the node

    def _begin(self, how: Callable[..., Any], seq: int, body: Any) -> None:
        head, rest = protocol.beheaded(body)
        task = asyncio.get_running_loop().create_task(
            self._guarded(how, seq, CallHead(*head), rest)
        )
        self._running[seq] = task
        task.add_done_callback(partial(self._over, seq))

    def _begin_stream(self, seq: int, body: Any) -> None:
        # Now: what is said of a stream may come in the same message as the stream.
        self._rooms[seq] = _Room()
        self._begin(self._stream, seq, body)

    def _over(self, seq: int, _task: asyncio.Task[None]) -> None:
        """Tell the end of a call that was cancelled before its first step: nothing of it has run."""
        if seq in self._running:
            self._tell(protocol.FAILED, seq, pickle.dumps(None))
            self._drop(seq)

    def _drop(self, seq: int) -> None:
        del self._running[seq]
        self._rooms.pop(seq, None)

    async def _guarded(
        self, how: Callable[..., Any], seq: int, head: CallHead, body: memoryview
    ) -> None:
        """Run a call; whatever becomes of it, the lane hears of its end once."""
        try:
            await how(seq, head, body)
        except asyncio.CancelledError:
            self._tell(protocol.FAILED, seq, pickle.dumps(None))
        except LanewiseError as error:
            self._tell(protocol.FAILED, seq, pickle.dumps(error, 5))
        except Exception as error:  # noqa: BLE001 - because: the node must outlive whatever one call does
            _log.exception(
                "a node's part of the cluster lane failed, which is a defect of lanewise"
            )
            told = LaneUnavailableError(f"the node could not run {head.name}: {error!r}")
            self._tell(protocol.FAILED, seq, pickle.dumps(told, 5))
        finally:
            self._drop(seq)

    def _cancel(self, seq: int, _body: Any) -> None:
        task = self._running.get(seq)
        if task is not None:
            task.cancel()

    def _stop(self, seq: int, _body: Any) -> None:
        room = self._rooms.get(seq)
        if room is not None:
            room.close()

    def _credit(self, seq: int, body: Any) -> None:
        room = self._rooms.get(seq)
        if room is not None:
            room.add(protocol.ROOM.unpack(body)[0])

    def _forget(self, number: int, _body: Any) -> None:
        waiting = self._shares.get(number)
        if waiting is not None and waiting.done():
            del self._shares[number]
        else:  # it is copied beside the frames, and may come after them
            self._unwanted.add(number)

    # --- calls ----------------------------------------------------------------------------------

    async def _call(self, seq: int, head: CallHead, body: memoryview) -> None:
        report = CallReport(watch=head.report > 1)
        args = await self._arguments(head, body)
        answer = await self._lane.run(
            self._far(FarCall, head), "default", args, {}, _terms(head, report)
        )
        what, written, data = answer
        cost = (report.run_s, report.cpu_s, report.run_queue_s, report.held_share, report.samples)
        self._tell(protocol.ANSWER, seq, *protocol.headed((what, written, cost), data))

    async def _chunk(self, seq: int, head: CallHead, body: memoryview) -> None:
        definition, items = pickle.loads(body)  # noqa: S301 - because: bytes only, from the lane that owns the node
        function = self._far(FarItem, head, definition)
        results, run_s = await self._lane.run_chunk(function, "default", items, _terms(head, None))
        answers = [
            (_FAILED, 0, pickle.dumps(one.error, 5)) if isinstance(one, Failed) else one
            for one in results
        ]
        self._tell(protocol.ANSWERS, seq, *protocol.headed((run_s,), pickle.dumps(answers, 5)))

    async def _stream(self, seq: int, head: CallHead, body: memoryview) -> None:
        room = self._rooms[seq]
        args = await self._arguments(head, body)
        items = self._lane.stream(
            self._far(FarStream, head), "default", args, {}, _terms(head, None)
        )
        try:
            while await room.taken():
                answer = await room.unless_closed(anext(items, None))
                if answer is None:
                    break
                what, written, data = answer
                self._tell(protocol.ITEM, seq, *protocol.headed((what, written), data))
        finally:
            await items.aclose()
        self._tell(protocol.ENDED, seq)

    async def _arguments(self, head: CallHead, body: memoryview) -> tuple[Any, ...]:
        large = len(body) >= _LARGE_BYTES
        shares = [await asyncio.shield(self._share(number)) for number in head.shares]
        return (pickle.PickleBuffer(body) if large else bytes(body), head.written, *shares)

    def _share(self, number: int) -> asyncio.Future[Shared[Any]]:
        if number not in self._shares:
            self._shares[number] = asyncio.get_running_loop().create_future()
        return self._shares[number]

    def _far(self, kind: type[FarCall], head: CallHead, definition: bytes = b"") -> FarCall:
        if head.function:
            known = self._functions.get(head.function)
            if known is None:  # what it stands for could not be sent here
                why = f"the node does not know {head.name}"
                raise LaneUnavailableError(why, withdrawn=True)
            return kind(known.pickled, known.name, known.module, known.digest, head.context)
        return kind(definition, head.name, head.module, "", head.context)

    def _tell(self, kind: int, seq: int, *body: bytes) -> None:
        length = sum(map(len, body))
        head = wire.HEAD.pack(length, kind, 0, self._number, seq)
        self._say(b"".join([head, *body]))


# What an item of a chunk gave whose worker died: lanewise's own error.
_FAILED = max(RETURNED, NOT_BEGUN) + 1
ITEM_FAILED = _FAILED


class _Room:
    """How many items a stream may still send. Owner: the loop."""

    def __init__(self) -> None:
        self._left = wire.STREAM_WINDOW
        self._open = True
        self._changed = asyncio.Event()

    def add(self, count: int) -> None:
        """The consumer has taken so many."""
        self._left += count
        self._changed.set()

    def close(self) -> None:
        """The consumer has left."""
        self._open = False
        self._changed.set()

    async def taken(self) -> bool:
        """Take room for one, waiting while there is none; False once the consumer has left."""
        while self._open and not self._left:
            self._changed.clear()
            await self._changed.wait()
        self._left -= 1
        return self._open

    async def unless_closed(self, coming: Any) -> Any:
        """Await the next item; once the consumer has left, no longer than a second."""
        task = asyncio.ensure_future(coming)
        try:
            while not task.done() and self._open:
                self._changed.clear()
                changed = asyncio.ensure_future(self._changed.wait())
                await asyncio.wait([task, changed], return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
            if not task.done():
                await asyncio.wait([task], timeout=_STREAM_CLOSE_S)
                return task.result() if task.done() else None
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])


def _terms(head: CallHead, report: CallReport | None) -> Terms:
    deadline = None if head.left_s is None else time.monotonic() + head.left_s
    on_cancel = "abandon" if head.abandon else "stop"
    return Terms(deadline, on_cancel, head.idempotent, report)  # type: ignore[arg-type]  # because: one of its words
