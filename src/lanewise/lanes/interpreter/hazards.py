"""What the whole process must know of live interpreters: forks, and its own end."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from typing import Protocol


class HangsUp(Protocol):
    """Something whose thread ends when it is hung up."""

    def hang_up(self) -> None:
        """Say that nothing more comes. In any thread, any number of times."""


# Guard of everything below: several loops, in several threads, may open lanes.
_changing = threading.Lock()
_live: weakref.WeakSet[HangsUp] = weakref.WeakSet()
_hooked: list[bool] = []
# Not empty until it is warned: to take an item out of a list is one step on every build.
_unwarned = [True]


def lives(home: HangsUp) -> None:
    """An interpreter begins to live."""
    with _changing:
        if not _hooked:
            _hooked.append(True)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(before=_before_fork, after_in_child=_after_in_child)
            # Before threads are joined: theirs would be waited for in vain.
            threading._register_atexit(_hang_up_all)  # type: ignore[attr-defined]  # noqa: SLF001 - because: what concurrent.futures itself uses
        _live.add(home)


def has_ended(home: HangsUp) -> None:
    """Its interpreter is gone."""
    with _changing:
        _live.discard(home)


def _before_fork() -> None:
    # Without the lock, which another thread may hold: a fork must not wait for us. To look whether a set
    # is empty needs none on any build.
    if not _live:
        return
    try:
        _unwarned.pop()
    except IndexError:
        return  # another fork has
    warnings.warn(
        "this process forks while lanewise has live interpreters: the copy gets their memory without "
        "their threads, with locks as they happened to stand. Start processes with subprocess, or with "
        "multiprocessing's 'forkserver' or 'spawn', or close the interpreter lane before",
        RuntimeWarning,
        stacklevel=3,
    )


def _after_in_child() -> None:
    """The copy has none of the threads, and the lock may have been held by one of them."""
    global _changing, _live  # noqa: PLW0603 - because: the old ones may be in the middle of a change
    _changing = threading.Lock()
    _live = weakref.WeakSet()


def _hang_up_all() -> None:
    with _changing:
        homes = list(_live)
    for home in homes:
        home.hang_up()
