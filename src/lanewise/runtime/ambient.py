"""What surrounds a call without being one of its arguments."""

from __future__ import annotations

import contextvars

# Moment of time.monotonic() at which whoever asked stops waiting, or None. A web front sets it from a
# request's header; every call that is made below it, on whatever lane, then has no more time than that.
request_deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar(
    "lanewise_request_deadline", default=None
)
