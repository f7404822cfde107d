"""From calls to frames, and large values to shared memory."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from _lanewise_worker import wire
from _lanewise_worker.codec import Encoded
from lanewise.lanes.process.link import Link
from lanewise.lanes.process.outgoing import Outgoing
from lanewise.lanes.process.pool import Call

if TYPE_CHECKING:
    from _lanewise_worker.segments import Placement

_log = logging.getLogger("lanewise")

_COPY_IN_THREAD_BYTES = 1_000_000


class Sending:
    """Sends calls to workers. Owner: the lane's loop.

    Large values are copied by one thread, beside the loop; it begins when it is first needed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._copier: ThreadPoolExecutor | None = None
        self._warned_of_memory = False

    def send(self, link: Link, calls: list[Call]) -> None:
        """Send calls to a worker, in one write where they are small."""
        link.settle()  # first, so that the worker finds its memory free for the results
        frames: list[bytes] = []
        for call in calls:
            out: Outgoing = call.payload
            out.parts = None
            if out.number and out.number not in link.functions:
                link.functions.add(out.number)
                frames.append(wire.frame(wire.DEFINE, out.definition, number=out.number))
            for handle in out.shares:
                if handle.number not in link.shares:
                    link.share(handle)
            body = out.body
            if isinstance(body, bytes):
                body = out.extra + body
                head = wire.HEAD.pack(len(body), out.kind, out.flags, out.number, call.seq)
                frames.append(head + body)
            else:  # alone: large calls share no inbox
                link.send(b"".join(frames))
                frames.clear()
                self._send_large(link, call, body)
            if out.stream is not None:
                out.stream.wake()
        link.last_seq = calls[-1].seq
        if frames:
            link.send(frames[0] if len(frames) == 1 else b"".join(frames))

    def _send_large(self, link: Link, call: Call, encoded: Encoded) -> None:
        sender = link.sender()
        if encoded.stream_bytes + encoded.buffer_bytes < _COPY_IN_THREAD_BYTES:
            placement = sender.place(encoded)
            if placement is not None:
                placement.copy()
            self._send_placed(link, call, encoded, placement)
            return
        filling = sender.begin(encoded)
        if filling is None:
            self._send_placed(link, call, encoded, None)
            return
        if self._copier is None:
            self._copier = ThreadPoolExecutor(1, thread_name_prefix="lanewise-copy")

        def filled(done: asyncio.Future[None]) -> None:
            # Otherwise the worker is gone; the call has not begun and goes elsewhere.
            if not done.cancelled() and not link.ended and call.worker is link.worker:
                self._send_placed(link, call, encoded, filling.end())

        self._loop.run_in_executor(self._copier, filling.run).add_done_callback(filled)

    def _send_placed(
        self, link: Link, call: Call, encoded: Encoded, placement: Placement | None
    ) -> None:
        out: Outgoing = call.payload
        if placement is None:
            self._warn_of_memory(link.sender().trouble)
            link.send_inline(out, call.seq, encoded)
            return
        body = out.extra + placement.header
        flags = out.flags | wire.SEGMENT
        link.send(wire.HEAD.pack(len(body), out.kind, flags, out.number, call.seq) + body)

    def _warn_of_memory(self, why: str | None) -> None:
        if not self._warned_of_memory:
            self._warned_of_memory = True
            _log.warning(
                "large values cross through the socket, which is slower: %s",
                why or "no shared memory can be had",
            )

    def close(self) -> None:
        """End the thread; what it copies now is the last."""
        if self._copier is not None:
            self._copier.shutdown(wait=True, cancel_futures=True)
