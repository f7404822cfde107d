"""Answers that are kept for a while: made once, however many ask at the same time."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

_Answer = TypeVar("_Answer")


class Kept(Generic[_Answer]):
    """Answers by key, the ones asked for least recently forgotten first. owner: the event loop.

    Args:
        for_s: How long an answer is good.
        most: How many are kept.
        clock: Seconds that only grow.
    """

    def __init__(
        self, for_s: float, most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._for_s = for_s
        self._most = most
        self._clock = clock
        self._answers: OrderedDict[str, tuple[float, asyncio.Task[_Answer]]] = OrderedDict()

    async def get(self, key: str, make: Callable[[], Coroutine[Any, Any, _Answer]]) -> _Answer:
        """Return the answer of a key, made now if there is none.

        What fails is not kept; everybody who waits for it gets the error. Who leaves does not
        take the answer along: others wait for it, and the next to ask finds it.
        """
        kept = self._answers.get(key)
        if kept is None or self._is_over(*kept):
            kept = (self._clock(), asyncio.get_running_loop().create_task(make()))
            self._answers[key] = kept
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        return await asyncio.shield(kept[1])

    def _is_over(self, since_s: float, task: "asyncio.Task[_Answer]") -> bool:
        if not task.done():
            return False
        failed = task.cancelled() or task.exception() is not None
        return failed or self._clock() - since_s > self._for_s

    async def close(self) -> None:
        """Give up what is being made."""
        tasks = [task for _, task in self._answers.values()]
        self._answers.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
