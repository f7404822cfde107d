"""Answers that are kept for a while: made once, however many ask at the same time."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[_Answer]):
    """An answer that is made or being made, since when, and the one that is given until it is."""

    since_s: float
    task: "asyncio.Task[_Answer]"
    before: "asyncio.Task[_Answer] | None" = None

    @property
    def is_good(self) -> bool:
        """Whether it is made and nothing failed."""
        return self.task.done() and not self.task.cancelled() and self.task.exception() is None


class Kept(Generic[_Answer]):
    """Answers by key, the ones asked for least recently forgotten first. owner: the event loop.

    Args:
        for_s: How long an answer is good.
        most: How many are kept.
        clock: Seconds that only grow.
        old_for_s: For so long after that it is still given, while the next one is made: nobody
            has to wait for what somebody else asks for all the time.
    """

    def __init__(
        self,
        for_s: float,
        most: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        old_for_s: float = 0.0,
    ) -> None:
        self._for_s = for_s
        self._most = most
        self._clock = clock
        self._old_for_s = old_for_s
        self._answers: OrderedDict[str, _Entry[_Answer]] = OrderedDict()

    async def get(
        self,
        key: str,
        make: Callable[[], Coroutine[Any, Any, _Answer]],
        *,
        for_s: float | None = None,
        worth: Callable[[_Answer], bool] | None = None,
    ) -> _Answer:
        """Return the answer of a key, made now if there is none.

        What fails is not kept; everybody who waits for it gets the error. Who leaves does not
        take the answer along: others wait for it, and the next to ask finds it.

        Args:
            key: Of the answer.
            make: Makes it.
            for_s: How long this one is good, if not as long as the others.
            worth: Whether an answer is worth keeping at all; None keeps every one.
        """
        good_for_s = self._for_s if for_s is None else for_s
        kept = self._answers.get(key)
        if kept is None or self._is_over(kept, good_for_s, worth):
            kept = self._begin(key, make, self._still_good(kept, good_for_s, worth))
        self._answers.move_to_end(key)
        if kept.before is not None and not kept.is_good:
            return kept.before.result()
        return await asyncio.shield(kept.task)

    def _begin(
        self,
        key: str,
        make: Callable[[], Coroutine[Any, Any, _Answer]],
        before: "asyncio.Task[_Answer] | None",
    ) -> _Entry[_Answer]:
        task = asyncio.get_running_loop().create_task(make())
        self._answers[key] = kept = _Entry(self._clock(), task, before)
        while len(self._answers) > self._most:
            self._answers.popitem(last=False)
        return kept

    def _is_over(
        self,
        kept: _Entry[_Answer],
        good_for_s: float,
        worth: Callable[[_Answer], bool] | None,
    ) -> bool:
        if not kept.task.done():
            return False
        if not kept.is_good or (worth is not None and not worth(kept.task.result())):
            return True
        return self._clock() - kept.since_s > good_for_s

    def _still_good(
        self,
        kept: _Entry[_Answer] | None,
        good_for_s: float,
        worth: Callable[[_Answer], bool] | None,
    ) -> "asyncio.Task[_Answer] | None":
        """Return what can be given while the next answer is made."""
        if kept is None or not kept.is_good:
            return None
        if worth is not None and not worth(kept.task.result()):
            return None
        age_s = self._clock() - kept.since_s
        return kept.task if age_s <= good_for_s + self._old_for_s else None

    async def close(self) -> None:
        """Give up what is being made."""
        tasks = [kept.task for kept in self._answers.values()]
        self._answers.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
