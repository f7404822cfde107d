"""One worker process as the event loop sees it: frames out, frames in."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from _lanewise_worker import wire
from _lanewise_worker.codec import Encoded, decode
from _lanewise_worker.crossing import pack_inline, receive_fd, unpack_inline
from _lanewise_worker.replay import OutputRelay
from _lanewise_worker.shared_memory import aligned
from lanewise.lanes.outbox import Outbox
from lanewise.lanes.process.handles import Shared
from lanewise.lanes.process.pool import Worker
from lanewise.model.lane import CallReport

if TYPE_CHECKING:
    from _lanewise_worker.segments import Receiver, Sender
    from lanewise.lanes.process.births import Born
    from lanewise.lanes.process.outgoing import Outgoing

# Not more: the allocator maps and unmaps larger objects each time, which costs more than the read.
_READ_BYTES = 65_536
_OUTPUT_BYTES = 65_536


class Link:
    """The parent's end of one worker. Owner: the lane's loop.

    Args:
        born: The process and its descriptors, which this object closes.
        on_frames: Called with what has arrived.
        on_end: Called once when the worker's socket has ended.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        born: Born,
        on_frames: Callable[[Link, list[tuple[int, int, int, int, Any]]], None],
        on_end: Callable[[Link], None],
    ) -> None:
        self.worker = Worker(self)
        self.pid = born.pid
        self.page = None if born.page is None else memoryview(born.page)
        self.words = None if self.page is None else self.page[: wire.JOURNAL_AT].cast("Q")
        self.functions: set[int] = set()
        self.shares: set[int] = set()
        self.output = OutputRelay()
        self.ended = False
        self.status: int | None = None
        self.is_ready = False
        self.ready: asyncio.Future[None] = loop.create_future()
        self.last_seq = 0
        self.resident_bytes: int | None = None
        self.baseline_bytes: int | None = None
        self.killed_for = ""
        self.orphan = False
        self.checked_at = 0
        self._born = born
        self._loop = loop
        self._on_frames = on_frames
        self._on_end = on_end
        self._channel = born.channel
        self._frames = wire.Frames()
        self._outbox = Outbox(loop, born.channel)
        self._sender: Sender | None = None
        self._receiver: Receiver | None = None
        self._closed = False
        loop.add_reader(born.channel.fileno(), self._readable)
        for stream, fd in (("stdout", born.out_fd), ("stderr", born.err_fd)):
            loop.add_reader(fd, self._output_readable, stream, fd)

    # --- out ------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send, now as far as the socket takes it, the rest when it has room again."""
        if not (self._closed or self.ended):
            self._outbox.send(data)

    def share(self, handle: Shared[Any]) -> None:
        """Give the worker a shared object that it does not have yet."""
        self.shares.add(handle.number)
        content = handle.content
        if content.fd is not None:
            try:
                socket.send_fds(self._born.side, [b"+"], [content.fd])
            except OSError:
                data = b"".join([content.sizes, *_all_of(content.fd, content.sizes)])
                self.send(wire.frame(wire.SHARE, data, number=handle.number))
                return
            head = wire.frame(wire.SHARE, content.sizes, flags=wire.SEGMENT, number=handle.number)
            self.send(head)
        else:
            self.send(wire.frame(wire.SHARE, content.inline, number=handle.number))

    def sender(self) -> Sender:
        """Return what copies large values into shared memory; made when it is first asked for."""
        if self._sender is None:
            from _lanewise_worker.segments import Sender  # noqa: PLC0415 - because: many lanes never need it

            self._sender = Sender(self._pass)
        return self._sender

    def send_inline(self, out: Outgoing, seq: int, encoded: Encoded) -> None:
        """Send a large value through the socket."""
        pieces = [out.extra, *pack_inline(encoded)]
        length = sum(memoryview(piece).nbytes for piece in pieces)
        self.send(wire.HEAD.pack(length, out.kind, out.flags | wire.BUFFERS, out.number, seq))
        for piece in pieces:
            if len(piece):
                self.send(piece)

    # --- in -------------------------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            data = self._channel.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        frames = self._frames.feed(data)
        if frames:
            self._on_frames(self, frames)

    def drain(self) -> None:
        """Read all that a dead worker had sent."""
        while not self.ended and not self._closed:
            try:
                data = self._channel.recv(_READ_BYTES)
            except BlockingIOError:
                self._end()  # what it started still holds the other end, and says nothing
                return
            except OSError:
                data = b""
            if not data:
                self._end()
                return
            frames = self._frames.feed(data)
            if frames:
                self._on_frames(self, frames)

    def _end(self) -> None:
        if not self.ended:
            self.ended = True
            self._unwatch(self._channel.fileno())
            self._outbox.stop()
            self._on_end(self)

    def load(self, flags: int, body: Any, report: CallReport | None = None) -> Any:
        """Make a result again; arrays in it are views of shared memory while they are referred to.

        A ``report`` gets its bytes.
        """
        if report is not None:
            report.result_bytes = len(body)
        if flags & wire.BUFFERS:
            return unpack_inline(body)
        if not flags & wire.SEGMENT:
            return decode(body)
        if self._receiver is None:
            from _lanewise_worker.segments import Receiver  # noqa: PLC0415 - because: many lanes never need it

            self._receiver = Receiver(self._take)
        _, stream, buffers = self._receiver.open(bytes(body))
        if report is not None:
            report.result_bytes = len(stream) + sum(memoryview(one).nbytes for one in buffers)
        return decode(stream, buffers)

    def freed(self, segment_id: int) -> None:
        """The worker lets go of one of our segments."""
        if self._sender is not None:
            self._sender.released(segment_id)

    def forget(self, segment_id: int) -> None:
        """The worker dropped one of its segments."""
        if self._receiver is not None:
            self._receiver.forget(segment_id)

    def settle(self) -> None:
        """Tell the worker which of its segments nothing refers to any more."""
        if self._receiver is not None:
            for segment_id in self._receiver.take_released():
                self.send(wire.frame(wire.FREED, number=segment_id))

    def trim(self) -> None:
        """Give back memory that is kept for large values, on both sides."""
        self.settle()
        if self._sender is not None:
            for segment_id in self._sender.trim():
                self.send(wire.frame(wire.FORGET, number=segment_id))
        if self._receiver is not None:
            self.send(wire.frame(wire.TRIM))

    # --- output ---------------------------------------------------------------------------------

    def read_output(self) -> None:
        """Pass on what the worker has written to its stdout and stderr until now."""
        if not self._closed:
            self._output_readable("stdout", self._born.out_fd)
            self._output_readable("stderr", self._born.err_fd)

    def _output_readable(self, stream: str, fd: int) -> None:
        # Not for ever: a worker that floods its output must not keep the loop.
        for _ in range(4):
            try:
                data = os.read(fd, _OUTPUT_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._unwatch(fd)
                return
            self.output.feed(stream, data)
            if len(data) < _OUTPUT_BYTES:
                return

    # --- lifetime -------------------------------------------------------------------------------

    @property
    def begun_seq(self) -> int:
        """The last call that the worker began; without a shared page, the last that was sent."""
        return self.last_seq if self.words is None else self.words[wire.STARTED]

    def recall(self, seq: int) -> None:
        """Forbid the worker to begin calls up to that one."""
        if self.words is not None:
            self.words[wire.RECALLED] = seq

    def close(self) -> None:
        """Close every descriptor. Idempotent."""
        if self._closed:
            return
        self.read_output()
        self.output.flush()
        self._closed = True
        for fd in (self._channel.fileno(), self._born.out_fd, self._born.err_fd):
            self._unwatch(fd)
        self._channel.close()
        self._born.side.close()
        for fd in (self._born.out_fd, self._born.err_fd):
            os.close(fd)
        for part in (self._sender, self._receiver):
            if part is not None:
                part.close()
        if self.words is not None and self.page is not None and self._born.page is not None:
            self.words.release()
            self.page.release()
            self._born.page.close()
        self.words = self.page = None
        if not self.ready.done():
            self.ready.cancel()

    def _unwatch(self, fd: int) -> None:
        with contextlib.suppress(ValueError, OSError):
            self._loop.remove_reader(fd)
            if fd == self._channel.fileno():
                self._loop.remove_writer(fd)

    def _pass(self, fd: int) -> None:
        socket.send_fds(self._born.side, [b"+"], [fd])

    def _take(self) -> int:
        return receive_fd(self._born.side)


def _all_of(fd: int, sizes: bytes) -> list[bytes]:
    """The parts of a shared object, one after another."""
    from _lanewise_worker.shares import unpack_sizes  # noqa: PLC0415 - because: rare

    parts, at = [], 0
    for size_bytes in unpack_sizes(sizes):
        parts.append(os.pread(fd, size_bytes, at))
        at = aligned(at + size_bytes)
    return parts
