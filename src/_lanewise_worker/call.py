"""Run one call in a worker."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import Any


def invoke(function: Any, variant: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run one implementation of a task, or a plain function, and return its result.

    ``function`` arrived by reference; a task is known by its ``implementation`` method, so that
    nothing of lanewise need be imported here unless the task's own module does.
    """
    implementation = getattr(function, "implementation", None)
    if implementation is not None:
        function = implementation(variant)
    return function(*args, **kwargs)


def nothing(*_args: Any) -> None:
    """The call that costs nothing: what remains is the lane's own cost."""


def burn(duration_s: float) -> None:
    """Keep a core busy: the reference for what busy cores alone do to an event loop."""
    stop_at = time.perf_counter() + duration_s
    while time.perf_counter() < stop_at:
        pass


def echo(data: bytes) -> bytes:
    """Send bytes there and back: what remains beside the lane's own cost is their crossing."""
    return data


def start_worker() -> None:
    """Prepare a fresh worker: Ctrl-C is the parent's to handle, which then ends its workers."""
    with contextlib.suppress(ValueError):  # not on the main thread: nothing to shield
        signal.signal(signal.SIGINT, signal.SIG_IGN)
