"""One node as its gateway sees it: calls of an actor, each of which brings frames and takes some."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from _lanewise_worker import wire
from lanewise.lanes.cluster import protocol

# One waits on the node, while two others may be on their way. What comes meanwhile goes with the next:
# so the busier a node is, the more frames share a message.
_AT_ONCE = 3
# A node that has nothing to do is asked again only after so long whether it has something to say: by then
# there may be another call, which asks as well.
_LINGER_S = 0.05
# A node that has not answered for so long is taken for lost; it answers every two seconds at the latest.
_PATIENCE_S = 30.0

# What goes into Ray's object store, by itself or together, and so may find no room there. All else is
# small, except a definition that carries much along.
_MAY_BE_LARGE = frozenset((protocol.CALL, protocol.CHUNK, protocol.STREAM))
_SMALL_BYTES = 65_536

# A frame's kind, the call that it is about, its bytes.
Outgoing = tuple[int, int, list[Any]]


class Exchanges:
    """Nothing is said before the first :meth:`flush`.

    Threads: ``_change`` guards what waits and what has come too early; three threads of its own.

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
        self._coming: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._arriving = threading.Lock()
        self._early: dict[int, bytes] = {}
        self._next = 0
        for at in range(_AT_ONCE):
            threading.Thread(target=self._run, name=f"exchange-{at}", daemon=True).start()

    def send(self, kind: int, seq: int, parts: list[Any]) -> None:
        """Send a frame with the next message; :meth:`flush` is to be called before long."""
        with self._change:
            self._waiting.append((kind, seq, parts))

    def flush(self) -> None:
        """Send what waits, in the caller's thread, unless enough is on its way already."""
        self._begin(linger=False)

    def end(self) -> None:
        """Send nothing more. Idempotent."""
        with self._change:
            self._over = True
            self._change.notify_all()
        for _ in range(_AT_ONCE):
            self._coming.put(None)

    def _run(self) -> None:
        """Take answers, and go on when one has come."""
        while (coming := self._coming.get()) is not None:
            try:
                number, answer, busy = self._ray.get(coming, timeout=_PATIENCE_S)
                del coming
                self._arrived(number, answer)
            except Exception as error:  # noqa: BLE001 - because: whatever Ray raises, the node is of no use any more
                self._lose(in_words(error))
                return
            del answer
            with self._change:
                self._under_way -= 1
                self._busy = busy
            self._begin(linger=True)

    def _begin(self, *, linger: bool) -> None:
        """Send the next message, if it is time for one."""
        with self._change:
            if linger and not self._busy:
                self._change.wait_for(self._is_needless, _LINGER_S)
            # Somebody must be there to take what the node has to say.
            due = self._waiting or not self._under_way
            if self._over or not due or self._under_way >= _AT_ONCE:
                return
            frames, self._waiting = self._waiting, []
            number, self._number = self._number, self._number + 1
            self._under_way += 1
            self._change.notify_all()
        try:
            self._coming.put(self._sent(number, frames))
        except Exception as error:  # noqa: BLE001 - because: as above
            self._lose(in_words(error))

    def _is_needless(self) -> bool:
        return bool(self._over or self._waiting or self._under_way)

    def _sent(self, number: int, frames: list[Outgoing]) -> Any:
        try:
            return self._agent.exchange.remote(number, _joined(frames))
        except Exception as error:
            # What is too large for Ray's object store. The rest goes alone: a node that is not told does
            # not know functions, and goes on with what nobody wants. And it waits for that number.
            rest = [frame for frame in frames if _is_small(frame)]
            if len(rest) == len(frames):
                raise
            unsent = [frame for frame in frames if not _is_small(frame)]
            self._on_unsent(unsent, in_words(error))
            return self._agent.exchange.remote(number, _joined(rest))

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
            known = self._over
        self.end()
        if not known:
            self._on_lost(reason)


def frame_of(kind: int, number: int, seq: int, body: Any = b"") -> list[Any]:
    """Return a frame in pieces."""
    return [wire.HEAD.pack(len(body), kind, 0, number, seq), body]


def _joined(frames: list[Outgoing]) -> bytes:
    return b"".join([part for _, _, parts in frames for part in parts])


def _is_small(frame: Outgoing) -> bool:
    kind, _, parts = frame
    return kind not in _MAY_BE_LARGE and sum(map(len, parts)) <= _SMALL_BYTES


def in_words(error: BaseException) -> str:
    """The first lines of what Ray says, which else goes on for pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:4])[:600]}"
