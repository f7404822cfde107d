"""Which import has switched the lock on: module, file, and the import statements that led there.

CPython says so in a warning whose place is its own import machinery, and only for the first such module.
So the loader of extension modules is wrapped, once for the process and while some runtime is entered: it
asks before and after whether the lock is on. Only on builds that can do without it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from types import FrameType
from typing import Any

from lanewise.host.facts import free_threaded_build, gil_enabled

# Frames of the import system itself, and of this wrapper.
_NOT_TOLD = ("<frozen importlib", __file__)
_LONGEST_CHAIN = 8


@dataclass(frozen=True, slots=True)
class LockFlip:
    """The lock was switched on.

    Attributes:
        module: By loading this one; ``file`` is where it lies.
        chain: The import statements that led to it, as ``file:line``, the nearest first.
    """

    module: str
    file: str
    chain: tuple[str, ...]

    def __str__(self) -> str:
        way = ", ".join(f"imported from {place}" for place in self.chain[:1])
        way += "".join(f", that from {place}" for place in self.chain[1:])
        return f"{self.module} ({self.file})" + (f", {way}" if way else "")


class _Hook:
    """The wrapped loader. Owner of everything here: its lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: list[Callable[[], None]] = []
        self._original: Callable[..., Any] | None = None
        self._ours: Callable[..., Any] | None = None
        self.flip: LockFlip | None = None

    def enter(self, told: Callable[[], None]) -> None:
        with self._lock:
            self._users.append(told)
            if len(self._users) > 1 or not free_threaded_build():
                return
            original = ExtensionFileLoader.create_module
            self._original, self._ours = original, self._wrapped(original)
            ExtensionFileLoader.create_module = self._ours  # type: ignore[method-assign]  # because: that is how one sees each load

    def leave(self, told: Callable[[], None]) -> None:
        with self._lock:
            self._users.remove(told)
            if self._users or self._original is None:
                return
            # Somebody else may have wrapped it since, and holds ours: then it stays, and does no harm.
            if ExtensionFileLoader.create_module is self._ours:
                ExtensionFileLoader.create_module = self._original  # type: ignore[method-assign]  # because: as above
            self._original = self._ours = None

    def _note(self, flip: LockFlip) -> None:
        with self._lock:
            if self.flip is None:  # what comes later found it on already
                self.flip = flip
            users = list(self._users)
        for told in users:
            told()

    def _wrapped(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def create_module(loader: ExtensionFileLoader, spec: ModuleSpec) -> Any:
            if gil_enabled():
                return original(loader, spec)
            try:
                return original(loader, spec)
            finally:
                # Each load switches the lock on for its own moment; here that is over.
                if gil_enabled():
                    frame = sys._getframe()  # noqa: SLF001 - because: the stack of an import, which traceback would read from files
                    self._note(LockFlip(spec.name, str(spec.origin), _chain(frame)))

        return create_module


_HOOK = _Hook()


def watch_imports(told: Callable[[], None]) -> None:
    """Begin to look at what imports do to the lock.

    Args:
        told: Called when one has switched it on, in the thread that imports. It must not block. Each
            needs a :func:`forget_imports`.
    """
    _HOOK.enter(told)


def forget_imports(told: Callable[[], None]) -> None:
    """Look no more, once everybody who looked has said so."""
    _HOOK.leave(told)


def last_flip() -> LockFlip | None:
    """Return what has switched the lock on while somebody looked; None where nothing has."""
    return _HOOK.flip


def _chain(frame: FrameType | None) -> tuple[str, ...]:
    """The places in users' code that are on the stack, the nearest first."""
    places: list[str] = []
    while frame is not None and len(places) < _LONGEST_CHAIN:
        file = frame.f_code.co_filename
        if not file.startswith(_NOT_TOLD):
            places.append(f"{file}:{frame.f_lineno}")
        frame = frame.f_back
    return tuple(places)
