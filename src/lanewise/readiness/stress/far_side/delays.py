"""Short waits between the steps of some functions, so that threads meet in the middle of them.

Any interleaving that comes of it is one that a free-threaded build allows; most would come once in
a million runs. Correct code holds its locks through the waits.
"""

from __future__ import annotations

import _thread
import random
import threading
import time
from collections.abc import Iterable
from types import CodeType

from .steps import Step, Watch

_WAITS_S = (0.0, 0.0, 0.00002, 0.0001, 0.0005)
_ONE_IN = 4
_MANY = 200  # waits of one thread before they become rare: a loop of a million steps must come to its end


class _Thread(threading.local):
    """One thread's own state."""

    def __init__(self) -> None:
        self.steps = 0
        self.rng = random.Random(_thread.get_ident())  # noqa: S311 - because: waits, not secrets


class Delays:
    """Waits in some functions, in whichever thread runs them."""

    def __init__(self, codes: Iterable[CodeType]) -> None:
        self._mine = _Thread()
        self._watch = Watch(codes, self._on_step)

    def install(self) -> None:
        """Begin; before the threads that are to be delayed."""
        self._watch.start()
        self._watch.join()

    def _on_step(self, _step: Step) -> None:
        mine = self._mine
        mine.steps += 1
        often = _ONE_IN * max(1, mine.steps // (_MANY * _ONE_IN))
        if mine.rng.randrange(often) == 0:
            time.sleep(mine.rng.choice(_WAITS_S))
