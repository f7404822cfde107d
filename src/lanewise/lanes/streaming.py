"""Where a stream's items arrive, and a generator that runs in a thread."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from _lanewise_worker.wire import STREAM_WINDOW
from lanewise.model.lane import Failed

# Comes after the last item. No StopAsyncIteration, which an item may have raised itself.
END: Any = object()


@dataclass(slots=True, eq=False)
class StreamSink:
    """Items that have come and were not taken yet. Owner: the loop.

    Attributes:
        credit: How many more the generator may still make before it waits.
    """

    items: deque[Any] = field(default_factory=deque)
    awaited: asyncio.Future[None] | None = None
    credit: int = STREAM_WINDOW

    def put(self, item: Any) -> None:
        """An item, or a :class:`Failed`, came."""
        self.items.append(item)
        self.wake()

    def wake(self) -> None:
        """Something changed: whoever waits should look."""
        if self.awaited is not None and not self.awaited.done():
            self.awaited.set_result(None)

    async def change(self) -> None:
        """Wait until something changes."""
        self.awaited = asyncio.get_running_loop().create_future()
        await self.awaited

    async def next(self, ended: asyncio.Future[Any], grant: Callable[[int], bool]) -> Any:
        """Return the next item of a generator elsewhere, or ``END``; raise what it raised.

        Args:
            ended: Has how the whole stream ended.
            grant: Gives the generator room for so many more items; False where it has not begun.
        """
        while True:
            if self.credit <= STREAM_WINDOW // 2 and grant(STREAM_WINDOW - self.credit):
                self.credit = STREAM_WINDOW
            if self.items:
                break
            if ended.done():
                ended.result()
                return END
            await self.change()
        item = self.items.popleft()
        self.credit -= 1
        if isinstance(item, Failed):
            raise item.error
        return item


class ThreadStream:
    """Runs a generator in a thread, a bounded number of items ahead of its consumer.

    Threads: ``_produce`` runs in the executor's thread, everything else belongs to the loop. The
    semaphore counts room for items; ``_left`` tells the thread that nobody wants more.
    """

    def __init__(self, make: Callable[[], Any], context: contextvars.Context) -> None:
        self._make = make
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._room = threading.Semaphore(STREAM_WINDOW)
        self._left = threading.Event()
        self._sink = StreamSink()
        self._ended = False

    def start(self, executor: Executor) -> asyncio.Future[None]:
        """Begin; the future ends when the generator is closed."""
        running = asyncio.wrap_future(executor.submit(self._produce))
        running.add_done_callback(self._end)
        return running

    async def next(self) -> Any:
        """Return the next item.

        Raises:
            StopAsyncIteration: There is none.
        """
        while not self._sink.items:
            if self._ended:
                raise StopAsyncIteration
            await self._sink.change()
        item = self._sink.items.popleft()
        self._room.release()
        if isinstance(item, Failed):
            raise item.error
        return item

    def leave(self, running: asyncio.Future[None]) -> None:
        """Nobody wants more: the generator is closed when it yields next, or never begins."""
        self._left.set()
        self._room.release()
        running.cancel()

    def _end(self, running: asyncio.Future[None]) -> None:
        self._ended = True
        if not running.cancelled():
            running.exception()
        self._sink.wake()

    def _produce(self) -> None:
        try:
            items = iter(self._context.run(self._make))
            try:
                while True:
                    self._room.acquire()
                    if self._left.is_set():
                        return
                    try:
                        item = self._context.run(next, items)
                    except StopIteration:
                        return
                    self._loop.call_soon_threadsafe(self._sink.put, item)
            finally:
                close = getattr(items, "close", None)
                if close is not None:
                    self._context.run(close)
        except Exception as error:  # noqa: BLE001 - because: it is the generator's own, for the consumer
            self._loop.call_soon_threadsafe(self._sink.put, Failed(error))
