"""Files are taken from those who may send them: everybody else is refused before the body is read.

What a router depends on comes too late for that: a body with files is read, and laid on the disk,
before any dependency is asked.
"""

import re
from collections import Counter
from collections.abc import Iterable

from fastapi import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from supplyr.db.database import DatabaseError
from supplyr.web.errors import ProblemError, answer, away
from supplyr.web.identity import SAFE_METHODS, identify, unknown
from supplyr.web.limits import count

# Bodies of one account that are received at the same time: so many files may wait on the disk.
AT_ONCE = 4
# The body is not read, so the connection cannot be used again.
_CLOSE = {"connection": "close"}


class KnownSenders:
    """Lets changes at some addresses through to those who are logged in, a few at a time.

    What a form says (its token, above all) is looked at later: it is in the body.

    Args:
        app: What is wrapped.
        uploads: Patterns of whole paths.
    """

    def __init__(self, app: ASGIApp, *, uploads: Iterable[re.Pattern[str]]) -> None:
        self._app = app
        self._uploads = tuple(uploads)
        self._under_way: Counter[int] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if scope["type"] != "http" or not self._guards(scope):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            user_id = await self._sender(request)
        except ProblemError as error:
            error.headers.update(_CLOSE)
            await answer(request, error)(scope, receive, send)
            return
        except DatabaseError as error:
            await _closing(await away(request, error))(scope, receive, send)
            return
        self._under_way[user_id] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way[user_id] -= 1
            if not self._under_way[user_id]:
                del self._under_way[user_id]

    def _guards(self, scope: Scope) -> bool:
        path: str = scope["path"]
        return scope["method"] not in SAFE_METHODS and any(
            pattern.fullmatch(path) for pattern in self._uploads
        )

    async def _sender(self, request: Request) -> int:
        """Return who sends this; ProblemError for those who may not, or not now."""
        # Before anything is looked up: guessing keys costs as much as anything else.
        count(request, "write")
        identity = await identify(request)
        if identity is None:
            raise unknown(request)
        if self._under_way[identity.user_id] >= AT_ONCE:
            raise ProblemError(
                429,
                f"At most {AT_ONCE} files at once are taken from an account; wait for one.",
                code="too-many",
                headers={"retry-after": "2"},
            )
        return identity.user_id


def _closing(response: Response) -> Response:
    response.headers.update(_CLOSE)
    return response
