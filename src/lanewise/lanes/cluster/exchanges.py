"""One node as its gateway sees it: calls of an actor, each of which brings frames and takes some."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from _lanewise_worker import wire

# One waits on the node, while two others may be on their way. What comes meanwhile goes with the next:
# so the busier a node is, the more frames share a message.
_THREADS = 3
# A node that has nothing to do is asked again only after so long whether it has something to say: by then
# there may be another call, which asks as well.
_LINGER_S = 0.05
# A node that has not answered for so long is taken for lost; it answers every two seconds at the latest.
_PATIENCE_S = 30.0

# A frame's kind, the call that it is about, its bytes.
Outgoing = tuple[int, int, list[Any]]


class Exchanges:
    """Threads: ``_change`` guards what waits and what has come too early; three threads of its own.

    Args:
        ray: The module.
        agent: The actor's handle.
        deliver: Gets what the node says, in order; called by one thread at a time.
        on_unsent: Gets frames that could not be sent, and why.
        on_lost: Called once, with a reason, when the node does not answer any more.
    """

    def __init__(
        self,
        ray: Any,
        agent: Any,
        deliver: Callable[[bytes], None],
        on_unsent: Callable[[list[Outgoing], str], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._ray = ray
        self._agent = agent
        self._deliver = deliver
        self._on_unsent = on_unsent
        self._on_lost = on_lost
        self._change = threading.Condition()
        self._waiting: list[Outgoing] = []
        self._number = 0
        self._under_way = 0
        self._busy = True
        self._over = False
        self._arriving = threading.Lock()
        self._early: dict[int, bytes] = {}
        self._next = 0
        for at in range(_THREADS):
            threading.Thread(target=self._run, name=f"exchange-{at}", daemon=True).start()

    def send(self, kind: int, seq: int, parts: list[Any]) -> None:
        """Send a frame with the next message."""
        with self._change:
            self._waiting.append((kind, seq, parts))
            self._change.notify()

    def end(self) -> None:
        """Send nothing more. Idempotent."""
        with self._change:
            self._over = True
            self._change.notify_all()

    def _run(self) -> None:
        while True:
            with self._change:
                frames = self._next_frames()
                if frames is None:
                    return
                number, self._number = self._number, self._number + 1
                self._under_way += 1
            try:
                number, answer, busy = self._exchanged(number, frames)
                self._arrived(number, answer)
            except Exception as error:  # noqa: BLE001 - because: whatever Ray raises, the node is of no use any more
                self._lose(_in_words(error))
                return
            with self._change:
                self._under_way -= 1
                self._busy = busy
                if not self._under_way:
                    self._change.notify()

    def _next_frames(self) -> list[Outgoing] | None:
        """Wait until there is something to send, or to ask; None at the end. With ``_change`` held."""
        while not self._over and not self._waiting:
            if self._under_way:
                self._change.wait()
            elif self._busy or not self._change.wait(_LINGER_S):
                break  # somebody must be there to take what the node has to say
        if self._over:
            return None
        frames, self._waiting = self._waiting, []
        return frames

    def _exchanged(self, number: int, frames: list[Outgoing]) -> tuple[int, bytes, bool]:
        data = b"".join([part for _, _, parts in frames for part in parts])
        try:
            coming = self._agent.exchange.remote(number, data)
        except Exception as error:
            if not frames:
                raise
            # What is too large for Ray's object store; the node waits for a message of that number.
            self._on_unsent(frames, _in_words(error))
            return self._exchanged(number, [])
        del data
        answer: tuple[int, bytes, bool] = self._ray.get(coming, timeout=_PATIENCE_S)
        return answer

    def _arrived(self, number: int, frames: bytes) -> None:
        with self._arriving:
            self._early[number] = frames
            while self._next in self._early:
                arrived = self._early.pop(self._next)
                self._next += 1
                if arrived:
                    self._deliver(arrived)

    def _lose(self, reason: str) -> None:
        with self._change:
            known, self._over = self._over, True
            self._change.notify_all()
        if not known:
            self._on_lost(reason)


def frame_of(kind: int, number: int, seq: int, body: Any = b"") -> list[Any]:
    """Return a frame in pieces."""
    return [wire.HEAD.pack(len(body), kind, 0, number, seq), body]


def _in_words(error: BaseException) -> str:
    """The first lines of what Ray says, which else goes on for pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:4])[:600]}"
