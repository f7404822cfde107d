"""One interpreter as the event loop sees it: frames out, frames in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from _lanewise_worker import views, wire
from _lanewise_worker.codec import Encoded, decode
from lanewise.lanes.interpreter.home import Home
from lanewise.lanes.outbox import Outbox
from lanewise.lanes.process.handles import Shared
from lanewise.model.lane import CallReport

if TYPE_CHECKING:
    from lanewise.lanes.interpreter.packing import Call

_READ_BYTES = 65_536


class Link:
    """Owner: the lane's loop.

    Attributes:
        call: The call that it runs, or None.
        functions: Numbers of the functions that it knows; ``shares`` of the shared objects.
        loading: Results that are being copied out of its memory, which must not end before.

    Args:
        on_frame: Called with each frame that has arrived: kind, flags, number, sequence number, body.
        on_end: Called when the interpreter is gone.

    Raises:
        OSError, RuntimeError: There are no descriptors or threads for one more.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_frame: Callable[[Link, int, int, int, int, Any], None],
        on_end: Callable[[Link], None],
    ) -> None:
        self.call: Call | None = None
        self.functions: set[int] = set()
        self.shares: set[int] = set()
        self.loading: set[asyncio.Future[Any]] = set()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.seq = 0
        self._loop = loop
        self._on_frame = on_frame
        self._on_end = on_end
        self._frames = wire.Frames()
        self.home = Home(loop, self._over)
        self._channel = self.home.channel
        self._outbox = Outbox(loop, self._channel)
        self._fd = self._channel.fileno()
        loop.add_reader(self._fd, self._readable)

    # --- out ------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send, now as far as the socket takes it, the rest when it has room again."""
        if self._fd >= 0:  # else it has ended, which its thread tells
            self._outbox.send(data)

    def start(self, call: Call) -> None:
        """Send a call, and before it what the interpreter needs and does not have yet.

        Raises:
            Exception: Something cannot be handed over.
        """
        self.call = call
        self.seq += 1
        for handle in call.shares:
            if handle.number not in self.shares:
                self._share(handle)
        if call.number and call.number not in self.functions:
            self.functions.add(call.number)
            self.send(wire.frame(wire.DEFINE, call.definition, number=call.number))
        body, flags = call.body, call.flags
        if isinstance(body, Encoded):
            views.put(self.home.inbox.put_nowait, body)
            call.body = body = b""  # what it referred to is the other side's now
            flags |= wire.SEGMENT
        self.send(
            wire.HEAD.pack(len(call.extra) + len(body), call.kind, flags, call.number, self.seq)
            + call.extra
            + body
        )

    def _share(self, handle: Shared[Any]) -> None:
        content = handle.content
        if content.fd is None:
            self.shares.add(handle.number)
            self.send(wire.frame(wire.SHARE, content.inline, number=handle.number))
            return
        # Its own descriptor: the handle may go, and close this one, before the frame is read.
        self.home.inbox.put_nowait(os.dup(content.fd))
        self.shares.add(handle.number)
        self.send(wire.frame(wire.SHARE, content.sizes, flags=wire.SEGMENT, number=handle.number))

    def drop_share(self, number: int) -> None:
        """Its last handle has gone."""
        if number in self.shares:
            self.shares.discard(number)
            self.send(wire.frame(wire.DROP, number=number))

    # --- in -------------------------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            data = self._channel.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._unwatch()
            return
        for kind, flags, number, seq, body in self._frames.feed(data):
            if self._fd < 0:
                return  # it was left for what it said
            self._on_frame(self, kind, flags, number, seq, body)

    def taken(self) -> Any:
        """Return what the interpreter has handed over with the frame that is being looked at."""
        return self.home.outbox.get_nowait()

    def discard(self, flags: int) -> None:
        """Nobody waits for what has come."""
        if flags & wire.SEGMENT:
            for views_of in self.taken():
                views.release(views_of)
            self.let_go()

    def load(self, flags: int, body: Any, report: CallReport | None = None) -> Any:
        """Make a value again."""
        if not flags & wire.SEGMENT:
            return decode(body)
        try:
            return self.copied(self.taken(), report)
        finally:
            self.let_go()

    def copied(self, taken: Any, report: CallReport | None = None) -> Any:
        """Make a large result again; a ``report`` gets its bytes. In any thread."""
        if report is not None:
            report.result_bytes = views.size_bytes(taken)
        return views.take(taken, views.copied)

    def let_go(self) -> None:
        """Have the interpreter run for a moment, for it frees what was copied only while it runs."""
        self.send(wire.frame(wire.FREED))

    # --- lifetime -------------------------------------------------------------------------------

    def end(self) -> None:
        """Have it end when it has nothing to run any more."""
        self.send(wire.frame(wire.EXIT))

    def leave(self) -> None:
        """Leave it to the call that it runs: it ends when that does, and nothing more is heard of it."""
        self._unwatch()
        self.home.hang_up()
        self._channel.close()

    def _over(self) -> None:
        self._unwatch()
        if not self.ready.done():
            self.ready.cancel()
        self._channel.close()
        self.home.join()
        self._on_end(self)

    def _unwatch(self) -> None:
        # Once: when the channel is closed its number may become that of another link's.
        fd, self._fd = self._fd, -1
        self._outbox.stop()
        if fd >= 0:
            self._loop.remove_reader(fd)
            self._loop.remove_writer(fd)
