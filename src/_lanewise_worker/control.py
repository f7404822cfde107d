"""Messages between a process lane and its launcher: pickled tuples, with descriptors attached."""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any

_LENGTH = struct.Struct("=Q")
_MAX_FDS = 8


def send(channel: socket.socket, message: Any, fds: tuple[int, ...] = ()) -> None:
    """Send one message; waits for room."""
    data = pickle.dumps(message, 5)
    head = _LENGTH.pack(len(data))
    if not fds:
        channel.sendall(head + data)
        return
    # Descriptors go with the first byte; the receiver reads the length alone, and them with it.
    socket.send_fds(channel, [head], list(fds))
    channel.sendall(data)


def receive(channel: socket.socket) -> tuple[Any, list[int]]:
    """Wait for one message and return it with its descriptors.

    Raises:
        EOFError: The other side is gone.
    """
    head, fds, _, _ = socket.recv_fds(channel, _LENGTH.size, _MAX_FDS)
    while len(head) < _LENGTH.size:
        more = channel.recv(_LENGTH.size - len(head)) if head else b""
        if not more:
            raise EOFError("the other side is gone")
        head += more
    (length,) = _LENGTH.unpack(head)
    data = bytearray()
    while len(data) < length:
        more = channel.recv(min(length - len(data), 1 << 20))
        if not more:
            raise EOFError("the other side is gone")
        data += more
    return pickle.loads(data), fds  # noqa: S301 - because: from the own parent or launcher


class Messages:
    """Cuts the launcher's messages out of what a socket gives; they bring no descriptors."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """Return the messages that are complete now."""
        self._data += data
        messages = []
        while len(self._data) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._data)
            end = _LENGTH.size + length
            if len(self._data) < end:
                break
            messages.append(pickle.loads(self._data[_LENGTH.size : end]))  # noqa: S301 - because: our own launcher's
            del self._data[:end]
        return messages
