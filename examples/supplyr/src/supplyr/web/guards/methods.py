"""What every address does with HEAD, OPTIONS and methods that it does not take."""

import asyncio
from collections.abc import Iterable, Sequence

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Methods:
    """HEAD works where GET does, OPTIONS tells what does, and so does every 405.

    Args:
        app: What is wrapped.
        routers: Those whose routes are known. Other addresses are left to the app.
    """

    def __init__(self, app: ASGIApp, *, routers: Iterable[APIRouter]) -> None:
        self._app = app
        self._routes: Sequence[APIRoute] = [
            route for router in routers for route in router.routes if isinstance(route, APIRoute)
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        if method == "HEAD":
            await self._head(scope, receive, send)
            return
        allowed = self._allowed(scope["path"]) if method == "OPTIONS" else ()
        if allowed:
            answer = Response(status_code=204, headers={"allow": ", ".join(allowed)})
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, self._telling(scope["path"], send))

    def _allowed(self, path: str) -> list[str]:
        """Return the methods of all routes that have a path; the router knows the first alone."""
        found: set[str] = set()
        for route in self._routes:
            if route.path_regex.fullmatch(path):
                found |= route.methods or set()
        if "GET" in found:
            found.add("HEAD")
        return sorted({*found, "OPTIONS"}) if found else []

    def _telling(self, path: str, send: Send) -> Send:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 405:
                allowed = self._allowed(path)
                if allowed:
                    MutableHeaders(scope=message)["allow"] = ", ".join(allowed)
            await send(message)

        return told

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask for what GET would give, and keep the body. What streams is told to stop."""
        over = asyncio.Event()

        async def empty(message: Message) -> None:
            if message["type"] != "http.response.body":
                await send(message)
            elif not over.is_set():
                over.set()
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        async def until_over() -> Message:
            # A reader of this is told of the end as if the client had left: there is no more to do.
            coming = asyncio.ensure_future(receive())
            ended = asyncio.ensure_future(over.wait())
            try:
                await asyncio.wait({coming, ended}, return_when=asyncio.FIRST_COMPLETED)
                return {"type": "http.disconnect"} if over.is_set() else coming.result()
            finally:
                coming.cancel()
                ended.cancel()

        asked = {**scope, "method": "GET"}
        await self._app(asked, until_over, self._telling(scope["path"], empty))
