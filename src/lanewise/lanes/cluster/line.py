"""One node on the gateway's own machine: a socket of its own, instead of calls of an actor.

A call of an actor passes three of Ray's threads and takes about a millisecond each way. Where both ends
are on one machine they speak through a Unix socket. It has a name that is nowhere in the file system, is
open for the moment in which the node's agent connects, and takes nobody but the same user.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from _lanewise_worker import wire
from lanewise.lanes.cluster import protocol

_READ_BYTES = 262_144
# A node says something every two seconds, at least that it is there. One that has been silent for so long
# is taken for lost.
_PATIENCE_S = 30.0
_REACH_S = 10.0
_CREDENTIALS = struct.Struct("3i")


def reached(ray: Any, agent: Any) -> socket.socket | None:
    """Return a line to a node's agent; None where it is not on this machine, or not this user's."""
    if sys.platform != "linux":  # names that are not in the file system are Linux's
        return None
    name = f"\0lanewise-{secrets.token_hex(16)}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(name)
            listener.listen(1)
            listener.settimeout(_REACH_S)
            if not ray.get(agent.reach.remote(name), timeout=_REACH_S):
                return None
            line = _first_of_ours(listener)
    except Exception:  # noqa: BLE001 - because: whatever it is, the actor's calls do as well
        return None
    line.setblocking(True)
    return line


def _first_of_ours(listener: socket.socket) -> socket.socket:
    """Return the first connection of this user: others see the name, too.

    Raises:
        TimeoutError: There was none for some time.
    """
    while True:
        line, _ = listener.accept()
        if is_ours(line):
            return line
        line.close()


def is_ours(line: socket.socket) -> bool:
    """Whether the other end belongs to this process's user: anybody may connect to such a name."""
    found = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(found)[1] == os.getuid())


class Whole:
    """Cuts what arrives where a frame ends, and leaves out frames that only say that a node is there.

    Others write to the lane too, and must not do so in the middle of a frame. Frames are not taken apart:
    who only hands them on need not look into them.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._missing = 0

    def feed(self, data: bytes) -> bytes:
        """Return all frames that are complete now."""
        if self._missing > len(data):  # in the middle of a large one
            self._rest.append(data)
            self._missing -= len(data)
            return b""
        if self._rest:
            data = b"".join([*self._rest, data])
        pieces, at, begin, missing = [], 0, 0, 0
        while at + wire.HEAD_BYTES <= len(data):
            length, kind, *_ = wire.HEAD.unpack_from(data, at)
            after = at + wire.HEAD_BYTES + length
            if after > len(data):
                missing = after - len(data)
                break
            if kind == protocol.BEAT:
                pieces.append(data[begin:at])
                begin = after
            at = after
        pieces.append(data[begin:at])
        self._rest, self._missing = [data[at:]] if at < len(data) else [], missing
        return b"".join(pieces)


class Line:
    """What ``Exchanges`` is for other nodes. Nothing is said or heard before the first :meth:`flush`.

    Threads: ``_change`` guards what waits; one thread reads, and one sends what the socket did not take
    at once, so that a node which is slow to read holds nobody up.

    Args:
        channel: From :func:`reached`. Closed by this object.
        deliver: Gets what the node says, whole frames in order.
        on_lost: Called once, with a reason, when the node is gone; by a thread of this object's.
    """

    def __init__(
        self,
        channel: socket.socket,
        deliver: Callable[[bytes], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._channel = channel
        self._deliver = deliver
        self._on_lost = on_lost
        self._change = threading.Condition()
        self._waiting: list[Any] = []
        self._backlog: deque[memoryview] = deque()
        self._over = False
        self._reader: threading.Thread | None = None
        self._writer = threading.Thread(target=self._write, name="line-out", daemon=True)
        # Not settimeout(), which would have sends wait too that must not.
        seconds, fraction = divmod(_PATIENCE_S, 1)
        patience = struct.pack("ll", int(seconds), int(fraction * 1e6))
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)

    def send(self, kind: int, seq: int, parts: list[Any]) -> None:  # noqa: ARG002 - because: Exchanges needs to know
        """Send a frame with the next message; :meth:`flush` is to be called before long."""
        with self._change:
            self._waiting += parts

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it now; the rest follows. Waits for nothing."""
        with self._change:
            if self._over:
                return
            if self._reader is None:
                self._reader = threading.Thread(target=self._read, name="line-in", daemon=True)
                self._reader.start()
                self._writer.start()
            data = memoryview(b"".join(self._waiting))
            self._waiting.clear()
            if data and not self._backlog:
                try:
                    data = data[self._channel.send(data, socket.MSG_DONTWAIT) :]
                except BlockingIOError:
                    pass
                except OSError:
                    return  # the node is gone, which the reader tells
            if data:
                self._backlog.append(data)
                self._change.notify_all()

    def end(self) -> None:
        """Send and hear nothing more. Idempotent."""
        with self._change:
            if self._over:
                return
            self._over = True
            self._change.notify_all()
            if self._reader is None:  # which would close it
                self._channel.close()
                return
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)  # both threads come back

    def _write(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._over or self._backlog)
                if self._over:
                    return
                piece = self._backlog[0]
            try:
                rest = piece[self._channel.send(piece) :]
            except OSError:
                return  # as above
            with self._change:
                self._backlog.popleft()
                if rest:
                    self._backlog.appendleft(rest)

    def _read(self) -> None:
        whole = Whole()
        reason = "its connection ended"
        while True:
            try:
                data = self._channel.recv(_READ_BYTES)
            except BlockingIOError:
                reason = f"it has not said anything for {_PATIENCE_S:g} s"
                break
            except OSError:
                break
            if not data:
                break
            frames = whole.feed(data)
            if frames:
                self._deliver(frames)
        with self._change:
            known = self._over
        self.end()
        self._writer.join()
        self._channel.close()
        if not known:
            self._on_lost(reason)
