"""On a build that can do without the lock: notice when some import has switched it on again."""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES

from lanewise.host.facts import free_threaded_build, gil_enabled
from lanewise.runtime.lock_flips import forget_imports, last_flip, watch_imports

_EVERY_S = 1.0


class LockWatch:
    """Asks once a second. Owner: the runtime's loop. On other builds it does nothing.

    Args:
        changed: Called with whether the lock is on now, after that changed.
    """

    def __init__(self, changed: Callable[[bool], None]) -> None:
        self._changed = changed
        self._enabled = gil_enabled()
        self._known = set(sys.modules)
        self._timer: asyncio.TimerHandle | None = None
        self._watches = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to ask."""
        if free_threaded_build():
            watch_imports()
            self._watches = True
            self._timer = loop.call_later(_EVERY_S, self._ask, loop)

    def stop(self) -> None:
        """Ask no more. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._watches:
            self._watches = False
            forget_imports()

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(_EVERY_S, self._ask, loop)
        enabled = gil_enabled()
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
