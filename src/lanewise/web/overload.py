"""Overload as an answer: 503, and when to come again. And 504 where the client's time was over."""

from __future__ import annotations

import importlib
import json
import math
import sys
from http import HTTPStatus
from typing import Any

from lanewise.errors import OverloadedError, TaskTimeoutError

# Retry-After has whole seconds; what a lane proposes is never more than minutes, and this keeps it so.
_LONGEST_S = 3_600
_MEDIA_TYPE = "application/problem+json"


def answer_to(error: BaseException, late: bool) -> tuple[dict[str, Any], ...] | None:  # noqa: FBT001 - because: a fact, not a switch
    """Return the ASGI messages that an exception is answered with, or None where it is none of ours.

    Args:
        error: Overload, a call that took too long, or a group, as task groups raise it, of nothing else
            than the one or the other. Of several overloads the one that asks for the longest time counts.
        late: Whether the time that the client waits is over: only then is it to blame for a call that
            took too long.
    """
    parts = _parts(error)
    if parts and all(isinstance(part, OverloadedError) for part in parts):
        return _messages(503, max(map(retry_after, parts)))
    if late and parts and all(isinstance(part, TaskTimeoutError) for part in parts):
        return _messages(504, None)
    return None


def _parts(error: BaseException) -> list[BaseException]:
    """Return what a group is made of, or the exception itself."""
    if isinstance(error, BaseExceptionGroup):
        return [part for one in error.exceptions for part in _parts(one)]
    return [error]


def retry_after(error: Any) -> int:
    """Return the whole seconds of an overload's ``Retry-After`` header: rounded up, 1 at least."""
    wanted_s: float = error.retry_after_s
    if not math.isfinite(wanted_s):
        return _LONGEST_S if wanted_s > 0 else 1
    return min(max(1, math.ceil(wanted_s)), _LONGEST_S)


def _problem(status: int, seconds: int | None) -> bytes:
    """Return the body (RFC 9457). It says nothing of lanes and tasks, which are no client's business."""
    detail = (
        "The request was not served within the time that the client waits."
        if seconds is None
        else f"The service has more to do than it can do in time. Try again in {seconds} s."
    )
    title = HTTPStatus(status).phrase
    told = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return json.dumps(told).encode()


def _messages(status: int, seconds: int | None) -> tuple[dict[str, Any], ...]:
    body = _problem(status, seconds)
    headers = [
        (b"content-type", _MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    if seconds is not None:
        headers.append((b"retry-after", str(seconds).encode()))
    return (
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


def overloaded_handler(request: Any, error: Any) -> Any:
    """Answer overload with 503 and ``Retry-After``: an exception handler for web frameworks.

    Litestar turns exceptions into answers before any middleware sees them, so it needs this one::

        Litestar(..., exception_handlers={OverloadedError: lanewise.web.overloaded_handler})

    Starlette and FastAPI do not need it below :class:`lanewise.web.LanewiseMiddleware`; without that,
    ``app.add_exception_handler(OverloadedError, lanewise.web.overloaded_handler)`` does the same.
    Registered for ``TaskTimeoutError`` as well, it answers that with 504.

    Args:
        request: The framework's request.
        error: An ``OverloadedError`` or ``TaskTimeoutError``.

    Returns:
        The framework's response.
    """
    seconds = retry_after(error) if isinstance(error, OverloadedError) else None
    status = 504 if seconds is None else 503
    respond = importlib.import_module(_framework_of(request)).Response
    return respond(
        content=_problem(status, seconds),
        status_code=status,
        headers={} if seconds is None else {"retry-after": str(seconds)},
        media_type=_MEDIA_TYPE,
    )


def _framework_of(request: Any) -> str:
    """Which module has the response class: by the request's ancestors, since apps derive their own."""
    litestar = sys.modules.get("litestar")
    if litestar is not None and isinstance(request, litestar.Request):
        return "litestar"
    return "starlette.responses"
