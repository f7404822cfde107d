"""The bounded front door: so many calls inside, the others wait or are sent away."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from lanewise.errors import OverloadedError

# What a refused caller is told to wait when nothing is known of how long calls take.
_DEFAULT_RETRY_S = 1.0


class Room:
    """Places for calls in flight. Owner: the runtime's loop.

    Not an asyncio.Semaphore: nearly every call finds a place at once, and then this costs a comparison.

    Attributes:
        free: Places that nobody has. Who finds one takes it with ``room.free -= 1``.
        waiting: Calls that wait for one.
        shed: Calls that waited in vain.
    """

    def __init__(self, places: int, timeout_s: float | None) -> None:
        self.free = places
        self.waiting = 0
        self.shed = 0
        self._places = places
        self._timeout_s = timeout_s
        self._queue: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Take a place, waiting for one in the order of arrival.

        Raises:
            OverloadedError: None became free in time.
        """
        if self.free:
            self.free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.leave()  # the place came in the same moment: on to the next
            else:
                # Not there where a place was given back in the same moment, which passed this turn over.
                with contextlib.suppress(ValueError):
                    self._queue.remove(turn)
            if isinstance(error, TimeoutError):
                self.shed += 1
                raise OverloadedError(
                    f"{self._places} calls are in flight and none ended within {self._timeout_s:g} s. "
                    "Shed load, or raise max_queue",
                    retry_after_s=self._timeout_s or _DEFAULT_RETRY_S,
                ) from None
            raise
        finally:
            self.waiting -= 1

    def leave(self) -> None:
        """Give a place back, to who has waited longest."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.free += 1
