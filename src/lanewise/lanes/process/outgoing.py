"""What the lane knows of a call beside what the pool's bookkeeping needs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from _lanewise_worker.codec import Encoded
from lanewise.lanes.process.handles import Shared
from lanewise.lanes.streaming import StreamSink
from lanewise.model.lane import CallReport, Failed


@dataclass(slots=True, eq=False)
class Outgoing:
    """One call as it crosses. Owner: the lane's loop.

    Attributes:
        name: Of the function, for messages.
        kind: The frame's kind: a call, a chunk, a stream.
        number: The function's number; 0 where the body brings the function along.
        flags: The frame's, without what depends on how the body travels.
        body: The pickled arguments, or what is too large for a frame.
        extra: Deadline and context, or nothing.
        shares: Handles that the arguments hold; the worker must have them first.
        definition: The function, pickled, for a worker that does not know its number.
        items: How many a chunk has.
        parts: Results of a chunk's first items that came early; a list for chunks only.
        stream: Where a stream's items arrive.
        report: Where to note what is seen of the call.
        module: Where the function comes from; empty where that is not known.
    """

    future: asyncio.Future[Any]
    name: str
    kind: int
    number: int
    flags: int
    body: bytes | Encoded
    extra: bytes = b""
    shares: tuple[Shared[Any], ...] = ()
    definition: bytes = b""
    items: int = 0
    parts: list[Any] | None = None
    stream: StreamSink | None = None
    report: CallReport | None = None
    module: str = ""


@dataclass(slots=True, frozen=True)
class ChunkLost:
    """A chunk whose worker died.

    Attributes:
        results: What its first items had given.
        error: What the item gives that ran, the next one, if there is one.
        is_exact: The items after that one have not begun. If not, that is unknown.
    """

    results: list[Any]
    error: Failed
    is_exact: bool
