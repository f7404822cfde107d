"""On a build that can do without the lock: notice when some import has switched it on again."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import warnings
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES

from lanewise.host.facts import free_threaded_build, gil_enabled
from lanewise.runtime.lock_flips import forget_imports, last_flip, watch_imports

_EVERY_S = 1.0
# Longer than loading a shared object takes.
_MOMENT_S = 0.1


class LockWatch:
    """Asks after each import that may have done it, and once a second.

    Owner: the runtime's loop, but for :meth:`_imported`. On other builds it does nothing.

    Args:
        changed: Called with whether the lock is on now, after that changed.
    """

    def __init__(self, changed: Callable[[bool], None]) -> None:
        self._changed = changed
        self._enabled = gil_enabled()
        self._known = set(sys.modules)
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._doubts = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to ask."""
        if free_threaded_build():
            self._loop = loop
            watch_imports(self._imported)
            # What was asked when the runtime was made may have met such a moment too.
            self._enabled = gil_enabled()
            self._changed(self._enabled)
            loop.call_later(_MOMENT_S, self._look)
            self._timer = loop.call_later(_EVERY_S, self._ask, loop)

    def stop(self) -> None:
        """Ask no more. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is not None:
            self._loop = None
            forget_imports(self._imported)

    def _imported(self) -> None:
        """Some import has switched the lock on. Called in its thread, whichever that is."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(self._look)

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(_EVERY_S, self._ask, loop)
        self._look()

    def _look(self) -> None:
        if self._loop is None:  # it was stopped meanwhile
            return
        enabled = gil_enabled()
        if enabled and not self._enabled and last_flip() is None and not self._doubts:
            # Each load of an extension module switches it on for its own moment, in whatever thread.
            self._doubts = True
            self._loop.call_later(_MOMENT_S, self._look)
            return
        self._doubts = False
        if enabled != self._enabled:
            self._enabled = enabled
            self._changed(enabled)
            if enabled:
                warnings.warn(
                    f"the GIL is on again: {self._culprits()} does not declare that it can do without. "
                    "Threads take turns from now on, and routes follow that. Use a version of that "
                    "package which supports free threading, or PYTHON_GIL=0 at your own risk",
                    RuntimeWarning,
                    stacklevel=2,
                )
        self._known = set(sys.modules)

    def _culprits(self) -> str:
        """The module that did it, with the imports that led there, or those among which it is."""
        flip = last_flip()
        if flip is not None:
            return str(flip)
        new = [
            name
            for name, module in list(sys.modules.items())
            if name not in self._known
            and str(getattr(module, "__file__", "")).endswith(tuple(EXTENSION_SUFFIXES))
        ]
        return "one of the modules " + ", ".join(sorted(new)) if new else "some extension module"
