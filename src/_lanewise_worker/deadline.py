"""How much time a call has left, wherever it runs."""

from __future__ import annotations

import contextvars
import time

# A moment of time.monotonic(), which on Linux and macOS is one clock for all processes of a machine.
DEADLINE: contextvars.ContextVar[float | None] = contextvars.ContextVar(
    "lanewise_deadline", default=None
)


def deadline() -> float | None:
    """Return the seconds that the running call has left, or None where it has no timeout.

    Counted from the call's submission, queueing included; negative once the time is over. Seen by
    the call itself on every lane, so that long work can stop early, or hand the rest of its time on
    to a database or another service::

        rows = query(timeout_s=lanewise.deadline())
    """
    moment = DEADLINE.get()
    return None if moment is None else moment - time.monotonic()
