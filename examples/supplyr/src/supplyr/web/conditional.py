"""Conditional requests: whoever has the newest version already is told so, without the body."""

import hashlib

from fastapi import Request
from starlette.responses import Response


def has_it(request: Request, tag: str) -> bool:
    """Whether `If-None-Match` names the entity tag `tag` (with its quotes).

    Weak and strong tags are the same here, as RFC 9110 has it for this header.
    """
    sent = request.headers.get("if-none-match", "")
    if sent.strip() == "*":
        return True
    return any(one.strip().removeprefix("W/") == tag for one in sent.split(","))


def tagged(request: Request, body: bytes, media_type: str) -> Response:
    """Return a body with its hash as entity tag, or 304 without it where that is known already."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    if has_it(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)
