"""Bytes on their way to a socket that may not take all of them now."""

from __future__ import annotations

import asyncio
import socket
from collections import deque


class Outbox:
    """Sends in order, without waiting. Owner: the loop of its lane.

    An end of the other side is told by reading; here it only means that nothing is sent any more.

    Args:
        loop: Watches the socket while it is full.
        channel: Does not block. Whoever made it closes it, after :meth:`stop`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, channel: socket.socket) -> None:
        self._loop = loop
        self._channel = channel
        self._fd = channel.fileno()
        self._backlog: deque[memoryview] = deque()

    def send(self, data: bytes | memoryview) -> None:
        """Send, now as far as the socket takes it, the rest when it has room again."""
        if self._backlog:
            self._backlog.append(memoryview(data))
            return
        try:
            sent = self._channel.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return
        if sent < len(data):
            self._backlog.append(memoryview(data)[sent:])
            self._loop.add_writer(self._fd, self._writable)

    def stop(self) -> None:
        """Forget what was not sent. Idempotent; whoever owns the socket stops watching it."""
        self._backlog.clear()

    def _writable(self) -> None:
        try:
            while self._backlog:
                sent = self._channel.send(self._backlog[0])
                if sent < len(self._backlog[0]):
                    self._backlog[0] = self._backlog[0][sent:]
                    return
                self._backlog.popleft()
        except BlockingIOError:
            return
        except OSError:
            self._backlog.clear()
        self._loop.remove_writer(self._fd)
