"""A gateway as the event loop sees it: a process, frames out and frames in."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from _lanewise_worker import wire
from _lanewise_worker.orphans import kill_tree
from _lanewise_worker.replay import OutputRelay
from lanewise.lanes.outbox import Outbox

_READ_BYTES = 262_144
_JOINED_BYTES = 65_536


class Link:
    """Owner: the lane's loop.

    Args:
        on_frame: Called with each frame that has arrived: kind, number, sequence number, body.
        on_end: Called once when the gateway is gone.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_frame: Callable[[int, int, int, Any], None],
        on_end: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._on_frame = on_frame
        self._on_end = on_end
        self._frames = wire.Frames()
        self._words = OutputRelay(echo=False)
        self._channel, self._theirs = socket.socketpair()
        self._side, self._their_side = socket.socketpair()
        self._err, self._their_err = os.pipe()
        self._channel.setblocking(False)
        os.set_blocking(self._err, False)
        self._fd = self._channel.fileno()
        self._outbox = Outbox(loop, self._channel)
        self.process: subprocess.Popen[bytes] | None = None
        loop.add_reader(self._fd, self._readable)
        loop.add_reader(self._err, self._hear)

    async def start(self, environment: Mapping[str, str]) -> None:
        """Start the process, in a thread: it takes the loop's time otherwise.

        Raises:
            OSError: No process can be started.
        """
        starting = asyncio.ensure_future(asyncio.to_thread(self._started, environment))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.wait([starting])  # whoever ends this must know the process
            raise

    def _started(self, environment: Mapping[str, str]) -> None:
        fds = self._theirs.fileno(), self._their_side.fileno()
        try:
            self.process = subprocess.Popen(  # noqa: S603 - because: this interpreter and a module of this package
                # Without the directory that the program runs in, whose modules are none of the gateway's.
                [sys.executable, "-P", "-m", "lanewise.lanes.cluster.gateway", *map(str, fds)],
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                stdout=self._their_err,
                stderr=self._their_err,
                env=dict(environment),
                # A terminal's Ctrl-C is for the program, which then ends this one in its own way.
                start_new_session=True,
            )
        finally:
            self._close_theirs()

    def _close_theirs(self) -> None:
        self._theirs.close()
        self._their_side.close()
        err, self._their_err = self._their_err, -1
        if err >= 0:
            os.close(err)

    def send(
        self, kind: int, number: int = 0, seq: int = 0, parts: list[Any] | None = None
    ) -> None:
        """Send a frame."""
        if self._fd < 0:
            return
        parts = parts or []
        length = sum(memoryview(part).nbytes for part in parts)
        head = wire.HEAD.pack(length, kind, 0, number, seq)
        if length <= _JOINED_BYTES:
            self._outbox.send(b"".join([head, *parts]))
            return
        self._outbox.send(head)
        for part in parts:
            if len(part):
                self._outbox.send(part)

    def pass_on(self, fd: int) -> None:
        """Pass a descriptor, for the frame that is sent next."""
        socket.send_fds(self._side, [b"+"], [fd])

    def last_words(self) -> str:
        """Return what it wrote to stderr last."""
        self._hear()
        return self._words.tail()

    async def end(self, grace_s: float) -> None:
        """Let the process end, within the time; then kill it and all that it started. Idempotent."""
        self._unwatch()
        self._channel.close()
        self._side.close()
        self._close_theirs()
        process = self.process
        try:
            if process is not None:
                await asyncio.to_thread(process.wait, grace_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if process is not None and process.poll() is None:
                kill_tree(process.pid)
                process.wait()
            err, self._err = self._err, -1
            if err >= 0:
                self._loop.remove_reader(err)
                os.close(err)

    def _readable(self) -> None:
        try:
            data = self._channel.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._unwatch()
            self._on_end()
            return
        for kind, _flags, number, seq, body in self._frames.feed(data):
            if self._fd < 0:
                return
            self._on_frame(kind, number, seq, body)

    def _hear(self) -> None:
        try:
            data = os.read(self._err, _JOINED_BYTES) if self._err >= 0 else b""
        except BlockingIOError:
            return
        if data:
            self._words.feed("stderr", data)
        elif self._err >= 0:
            self._loop.remove_reader(self._err)

    def _unwatch(self) -> None:
        # Once: when the channel is closed its number may become that of another link's.
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._outbox.stop()
            self._loop.remove_reader(fd)
            self._loop.remove_writer(fd)
