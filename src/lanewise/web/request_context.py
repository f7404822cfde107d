"""What a request says of itself, as context variables: its id, and until when its client waits."""

from __future__ import annotations

import contextvars
import os
import time

from lanewise.runtime.ambient import request_deadline

request_id: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "lanewise_request_id", default=None
)
"""The id of the request that is being served, or None. :class:`lanewise.web.LanewiseMiddleware` sets it.

``Runtime(propagate=["lanewise.web:request_id"])`` takes it along into worker processes.
"""

# An id goes into logs and to other services: what is longer, or more than printable ASCII, is no id.
_LONGEST_ID = 128
# Fifteen digits of milliseconds are 31,000 years; int() of longer ones would cost more than it is worth.
_LONGEST_NUMBER = 15


def parsed_id(value: bytes) -> str | None:
    """Return a request id, or None for one that is empty, too long or not printable ASCII."""
    if not 0 < len(value) <= _LONGEST_ID or not value.isascii():
        return None
    text = value.decode("ascii")
    return text if text.isprintable() else None


def new_id() -> str:
    """Return a new request id: 32 hexadecimal digits."""
    return os.urandom(16).hex()


def parsed_deadline(value: bytes, most_s: float | None) -> float | None:
    """Return the moment of ``time.monotonic()`` that a header means, or None for a bad value.

    Args:
        value: A whole number of milliseconds above 0, in decimal digits.
        most_s: Seconds from now that it may be at most; None for no bound.
    """
    digits = value.strip()
    if not digits.isdigit() or len(digits) > _LONGEST_NUMBER:
        return None
    left_s = int(digits) / 1000
    if not left_s:
        return None
    if most_s is not None and left_s > most_s:
        left_s = most_s
    moment = time.monotonic() + left_s
    # Somebody further out, as another instance of the middleware, may have less patience.
    outer = request_deadline.get()
    return moment if outer is None else min(moment, outer)
