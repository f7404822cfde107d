"""A stream whose generator runs in a worker: the consumer's side, the same for every lane of workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol, TypeAlias, TypeVar

from lanewise.lanes.streaming import END, StreamSink


class StreamedCall(Protocol):
    """A call as a lane's bookkeeping knows it; its payload has ``future`` and ``stream``."""

    payload: Any

    @property
    def state(self) -> str:
        """``queued``, ``sent`` or ``over``."""


C = TypeVar("C", bound=StreamedCall)
C_contra = TypeVar("C_contra", bound=StreamedCall, contravariant=True)


class StreamCrew(Protocol[C_contra]):
    """Whoever has the workers."""

    def submit(self, call: C_contra) -> None:
        """Send it, or have it wait."""

    def grant(self, call: C_contra, room: int, /) -> None:
        """Let the generator make so many more items."""

    def stop_stream(self, call: C_contra) -> None:
        """Have the generator closed when it yields next."""

    def cancel(self, call: C_contra) -> object:
        """Remove the call, or kill its worker."""


Begun: TypeAlias = "tuple[StreamCrew[C], C, Callable[[asyncio.CancelledError], None]]"


async def remote_stream(begin: Callable[[], Begun[C]], close_s: float) -> AsyncGenerator[Any, None]:
    """Submit a call that streams and yield its items as they come.

    Args:
        begin: Makes the call, when the first item is asked for; returns it, who has its workers, and
            what stops it as its terms say when the consumer is cancelled.
        close_s: How long a generator whose consumer left may take to close before it is killed.
    """
    crew, call, cancelled = begin()
    future = call.payload.future
    sink = call.payload.stream = StreamSink()
    future.add_done_callback(lambda _: sink.wake())
    crew.submit(call)

    def grant(room: int) -> bool:
        if call.state != "sent":
            return False
        crew.grant(call, room)
        return True

    try:
        while (item := await sink.next(future, grant)) is not END:
            yield item
    except asyncio.CancelledError as error:
        cancelled(error)
        future.cancel()  # however it ends, nobody asks any more
        raise
    finally:
        await _left(crew, call, future, close_s)


async def _left(crew: StreamCrew[C], call: C, future: asyncio.Future[Any], close_s: float) -> None:
    """The consumer has left: let the generator close, or have its worker killed."""
    if future.done() or call.state == "over":
        return
    try:
        if call.state == "sent":
            crew.stop_stream(call)
            await asyncio.wait([future], timeout=close_s)
    finally:
        if not future.done():
            crew.cancel(call)
        elif not future.cancelled():
            future.exception()  # seen: nobody else will ask
