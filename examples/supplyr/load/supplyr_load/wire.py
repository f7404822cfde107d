"""As much of an HTTP/1.1 client as a load generator needs: requests that are ready-made bytes.

A general client spends more time on a request than the server that it measures; this one writes
bytes and looks for the end of the answer.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

_HEAD_END = b"\r\n\r\n"
_MAX_HEAD_BYTES = 64 * 1024


class Request(NamedTuple):
    """One request, ready to be written.

    Attributes:
        kind: What it is counted under.
        data: All of its bytes.
    """

    kind: str
    data: bytes


class Answer(NamedTuple):
    """An answer: its status, its body where that was asked for, and whether more may be asked."""

    status: int
    body: bytes
    keep: bool


def request(
    kind: str,
    target: str,
    *,
    host: str = "supplyr.test",
    method: str = "GET",
    body: bytes = b"",
    headers: tuple[tuple[str, str], ...] = (),
) -> Request:
    """Make a request. `target` is the path with its query, quoted already."""
    lines = [f"{method} {target} HTTP/1.1", f"host: {host}", "accept: */*"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body or method != "GET":
        lines.append(f"content-length: {len(body)}")
    return Request(kind, "\r\n".join([*lines, "", ""]).encode("latin-1") + body)


class _Body:
    """Where a body ends: after so many bytes, after a chunk of none, or with the connection."""

    __slots__ = ("chunked", "rest")

    def __init__(self, head: bytes, status: int) -> None:
        lower = head.lower()
        self.chunked = b"transfer-encoding: chunked" in lower
        self.rest = -1
        at = lower.find(b"\r\ncontent-length:")
        if at >= 0:
            self.rest = int(lower[at + 17 : lower.find(b"\r\n", at + 17)])
        elif status in (204, 304):
            self.rest = 0


class Connection(asyncio.Protocol):
    """One connection, one request at a time. owner: the loop that opened it.

    Attributes:
        used: Answers that came over it.
        on_answer: Called with each answer; None while nothing was asked.
        on_lost: Called when it ends before the answer was whole, with whether any of it had come.
    """

    def __init__(self, keep_body: bool = False) -> None:
        self.used = 0
        self.on_answer: Callable[[Answer], None] | None = None
        self.on_lost: Callable[[bool], None] | None = None
        self._keep_body = keep_body
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._kept = bytearray()
        self._body: _Body | None = None
        self._status = 0
        self._keep = True

    @property
    def is_open(self) -> bool:
        """Whether another request may be written."""
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, data: bytes) -> None:
        """Write a request; its answer goes to `on_answer`."""
        assert self._transport is not None
        self._transport.write(data)

    def close(self) -> None:
        """End the connection at once, as a client does that does not want to wait any more."""
        self.on_answer = self.on_lost = None
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._transport = None
        body = self._body
        if exc is None and body is not None and not body.chunked and body.rest < 0:
            self._whole(keep=False)  # the body that ends with its connection
            return
        lost, self.on_lost, self.on_answer = self.on_lost, None, None
        if lost is not None:
            lost(body is not None or bool(self._buffer))

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._buffer += data
        if self._body is None and not self._head():
            return
        body = self._body
        assert body is not None
        if body.chunked:
            while self._chunk(body):
                pass
            return
        taken = len(self._buffer) if body.rest < 0 else min(body.rest, len(self._buffer))
        self._take(taken)
        if body.rest >= 0:
            body.rest -= taken
            if body.rest == 0:
                self._whole(keep=self._keep)

    def _head(self) -> bool:
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            if len(self._buffer) > _MAX_HEAD_BYTES:
                self._refuse()
            return False
        head = bytes(self._buffer[: end + 2])
        del self._buffer[: end + 4]
        if not head.startswith(b"HTTP/1."):
            self._refuse()
            return False
        self._status = int(head[9:12])
        self._keep = b"\r\nconnection: close" not in head.lower()
        self._body = _Body(head, self._status)
        return True

    def _chunk(self, body: _Body) -> bool:
        """Take what has come of a chunk; whether there may be another one."""
        if body.rest <= 0:
            end = self._buffer.find(b"\r\n")
            if end < 0:
                return False
            size = int(bytes(self._buffer[:end]).split(b";")[0], 16)
            if size == 0:
                if len(self._buffer) < end + 4:
                    return False
                del self._buffer[: end + 4]
                self._whole(keep=self._keep)
                return False
            del self._buffer[: end + 2]
            body.rest = size + 2  # its line's end too
        taken = min(body.rest, len(self._buffer))
        self._take(taken)
        body.rest -= taken
        if body.rest == 0:
            del self._kept[-2:]  # the end of the line, which may have come in two pieces
        return body.rest == 0

    def _take(self, count: int) -> None:
        if self._keep_body:
            self._kept += self._buffer[:count]
        del self._buffer[:count]

    def _whole(self, *, keep: bool) -> None:
        answer = Answer(self._status, bytes(self._kept), keep)
        self._body = None
        self._kept.clear()
        self.used += 1
        told, self.on_answer, self.on_lost = self.on_answer, None, None
        if not keep and self._transport is not None:
            self._transport.close()
        if told is not None:
            told(answer)

    def _refuse(self) -> None:
        if self._transport is not None:
            self._transport.abort()
