"""Requests that are too large are refused before they are read."""

import re
from collections.abc import Iterable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from supplyr.web.errors import problem


class _TooLargeError(HTTPException):
    """Raised into whoever reads the body. FastAPI lets HTTP errors through, and no others."""


class BodyLimit:
    """Bounds the body of a request: by what it declares, and by what really comes.

    Args:
        app: What is wrapped.
        max_bytes: For everything but uploads.
        max_upload_bytes: For addresses that match one of `uploads`.
        uploads: Patterns of whole paths.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        max_upload_bytes: int,
        uploads: Iterable[re.Pattern[str]],
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_upload_bytes = max_upload_bytes
        self._uploads = tuple(uploads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        if _declared(scope) > limit:
            await self._refuse(limit, scope, receive, send)
            return
        seen = 0
        started = False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _TooLargeError(413, _words(limit), {"connection": "close"})
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, counted, watched)
        except _TooLargeError:
            if started:
                raise
            await self._refuse(limit, scope, receive, send)

    def _limit(self, path: str) -> int:
        if any(pattern.fullmatch(path) for pattern in self._uploads):
            return self._max_upload_bytes
        return self._max_bytes

    async def _refuse(self, limit: int, scope: Scope, receive: Receive, send: Send) -> None:
        # The rest of the body is not read, so the connection cannot be used again.
        headers = {"connection": "close"}
        refusal = problem(413, _words(limit), code="too-large", headers=headers)
        await refusal(scope, receive, send)


def _words(limit: int) -> str:
    return f"The request is larger than the {limit:,} bytes that are accepted here."


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
