"""How values leave and enter this worker: in the frame itself, or through shared memory."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any, Protocol

from _lanewise_worker import wire
from _lanewise_worker.codec import decode, encode

if TYPE_CHECKING:
    from _lanewise_worker.codec import Encoded
    from _lanewise_worker.segments import Receiver, Sender

COUNT = struct.Struct("=I")
SIZES = struct.Struct("=QB")


class Sends(Protocol):
    """Somebody who sends frames."""

    def send(self, data: bytes) -> None:
        """Send frames."""


class Crosses(Protocol):
    """How values leave and enter a worker, whatever kind of worker it is."""

    def load(self, flags: int, body: Any) -> Any:
        """Make the value of a frame again."""

    def dump(self, value: Any) -> tuple[int, bytes]:
        """Turn a value into flags and a frame's body."""

    def settle(self) -> None:
        """A call is over: let go of what belongs to the other side."""

    def freed(self, _flags: int, number: int, _seq: int, _body: Any) -> None:
        """The parent has taken something."""

    def forget(self, _flags: int, number: int, _seq: int, _body: Any) -> None:
        """The parent dropped something."""

    def trim(self, _flags: int, _number: int, _seq: int, _body: Any) -> None:
        """Give back what is only kept."""

    def take_fd(self) -> int:
        """Return the descriptor that the parent passed."""


class Crossing:
    """Values of a worker process. Owner: its main thread.

    Segments are made when the first large value comes; most workers never see one.
    """

    def __init__(self, line: Sends, side: socket.socket) -> None:
        self._line = line
        self._side = side
        self._sender: Sender | None = None
        self._receiver: Receiver | None = None

    def load(self, flags: int, body: Any) -> Any:
        """Make the value of a frame again; views of shared memory stay valid while referred to."""
        if flags & wire.BUFFERS:
            return unpack_inline(body)
        if not flags & wire.SEGMENT:
            return decode(body)
        _, stream, buffers = self._receiving().open(bytes(body))
        return decode(stream, buffers)

    def dump(self, value: Any) -> tuple[int, bytes]:
        """Turn a value into flags and a frame's body.

        Raises:
            Exception: Whatever pickling raises.
        """
        encoded = encode(value)
        if isinstance(encoded, bytes):
            return 0, encoded
        if self._sender is None:
            from _lanewise_worker.segments import Sender  # noqa: PLC0415 - because: rare

            self._sender = Sender(self._pass)
        placement = self._sender.place(encoded)
        if placement is None:
            return wire.BUFFERS, b"".join(pack_inline(encoded))
        placement.copy()
        return wire.SEGMENT, placement.header

    def settle(self) -> None:
        """Tell the parent which of its segments nothing refers to any more."""
        if self._receiver is not None:
            for segment_id in self._receiver.take_released():
                self._line.send(wire.frame(wire.FREED, number=segment_id))

    def freed(self, _flags: int, number: int, _seq: int, _body: Any) -> None:
        """The parent lets go of a segment that held a result."""
        if self._sender is not None:
            self._sender.released(number)

    def forget(self, _flags: int, number: int, _seq: int, _body: Any) -> None:
        """The parent dropped one of its segments."""
        if self._receiver is not None:
            self._receiver.forget(number)

    def trim(self, _flags: int, _number: int, _seq: int, _body: Any) -> None:
        """Give back memory that is kept for results."""
        self.settle()
        if self._sender is not None:
            for segment_id in self._sender.trim():
                self._line.send(wire.frame(wire.FORGET, number=segment_id))

    def _receiving(self) -> Receiver:
        if self._receiver is None:
            from _lanewise_worker.segments import Receiver  # noqa: PLC0415 - because: rare

            self._receiver = Receiver(self.take_fd)
        return self._receiver

    def _pass(self, fd: int) -> None:
        socket.send_fds(self._side, [b"+"], [fd])

    def take_fd(self) -> int:
        """Return the descriptor that the parent passed just before the frame that speaks of it."""
        return receive_fd(self._side)


def receive_fd(side: socket.socket) -> int:
    """Return the next descriptor that was passed.

    Raises:
        OSError: This process may not have one more.
    """
    _, fds, _, _ = socket.recv_fds(side, 1, 1)
    if not fds:
        raise OSError(
            "shared memory was passed and could not be taken: usually for want of descriptors (ulimit -n)"
        )
    return fds[0]


def pack_inline(encoded: Encoded) -> list[Any]:
    """Return the pieces of one body for a value whose buffers find no shared memory.

    How many buffers, the pickle's length, each buffer's length and whether it is read-only; then the
    pickle and the buffers.
    """
    head = [COUNT.pack(len(encoded.buffers)), SIZES.pack(encoded.stream_bytes, 0)]
    head += [SIZES.pack(buffer.nbytes, buffer.readonly) for buffer in encoded.buffers]
    return [b"".join(head), *encoded.stream, *encoded.buffers]


def unpack_inline(body: Any) -> Any:
    """Make the value of such a body again; its buffers are views of the body."""
    view = memoryview(body)
    (count,) = COUNT.unpack_from(view)
    at = COUNT.size
    sizes = [SIZES.unpack_from(view, at + SIZES.size * index) for index in range(count + 1)]
    at += SIZES.size * (count + 1)
    parts = []
    for size, readonly in sizes:
        part = view[at : at + size]
        parts.append(part.toreadonly() if readonly else part)
        at += size
    return decode(parts[0], parts[1:])
