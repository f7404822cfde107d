"""Length-prefixed JSON messages over a stream socket, spoken by both sides of a measurement.

JSON and not pickle: the two sides may be different Python versions, and a reply that carries only
plain values cannot run code in the session.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import time
from typing import Any

_LENGTH = struct.Struct("!I")
_SELECTABLE = 1024  # FD_SETSIZE: select refuses descriptors from here on
_MAX_MESSAGE_BYTES = 64 * 1024 * 1024


class ChannelClosedError(Exception):
    """The other side is gone."""


class Channel:
    """One end of the conversation. Owned by one thread."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._buffer = bytearray()

    def send(self, message: dict[str, Any]) -> None:
        """Send one message, blocking until it is handed to the kernel.

        Raises:
            ChannelClosedError: The other side is gone.
        """
        body = json.dumps(message).encode()
        try:
            self.socket.sendall(_LENGTH.pack(len(body)) + body)
        except OSError as error:
            raise ChannelClosedError(str(error)) from error

    def receive(self, timeout_s: float | None = None) -> dict[str, Any] | None:
        """Return the next message, or None when none was complete within ``timeout_s``.

        Raises:
            ChannelClosedError: The other side is gone.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            message = self._complete_message()
            if message is not None:
                return message
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self.readable(left_s):
                return None
            self._read_more()

    def readable(self, timeout_s: float | None) -> bool:
        """Whether bytes arrive within ``timeout_s`` (or the other side closes)."""
        if self.socket.fileno() < _SELECTABLE:
            # select keeps microseconds, which ticks need; poll rounds up to whole milliseconds.
            return bool(select.select([self.socket], [], [], timeout_s)[0])
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(None if timeout_s is None else timeout_s * 1e3))

    def _read_more(self) -> None:
        try:
            data = self.socket.recv(1 << 16)
        except OSError as error:
            raise ChannelClosedError(str(error)) from error
        if not data:
            raise ChannelClosedError("end of file")
        self._buffer += data

    def _complete_message(self) -> dict[str, Any] | None:
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > _MAX_MESSAGE_BYTES:
            raise ChannelClosedError(f"a message of {length} bytes cannot be right")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        try:
            message: dict[str, Any] = json.loads(self._buffer[_LENGTH.size : end])
        except ValueError as error:
            raise ChannelClosedError(f"what arrived is no message: {error}") from error
        del self._buffer[:end]
        return message
