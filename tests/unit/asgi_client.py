"""Plays an ASGI server and its client for one request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from lanewise.web import LanewiseMiddleware

LEFT = {"type": "http.disconnect"}


def body(content: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": content, "more_body": more}


def scope(
    method: str = "GET", path: str = "/", /, headers: Any = (), **others: Any
) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": list(headers),
        **others,
    }


class Client:
    """What a client says comes out of ``receive``; what it is told is in ``sent``.

    Attributes:
        sent: The messages of the answer.
        asked: How often ``receive`` was called.
        was_asked: Set from the first time on.
        waiting: Set while somebody waits in ``receive`` for what has not been said yet.
    """

    def __init__(self, *said: dict[str, Any]) -> None:
        self._said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for message in said:
            self.say(message)
        self._has_left = False
        self.sent: list[dict[str, Any]] = []
        self.asked = 0
        self.was_asked = asyncio.Event()
        self.waiting = asyncio.Event()

    def say(self, message: dict[str, Any]) -> None:
        self._said.put_nowait(message)

    def leave(self) -> None:
        self.say(LEFT)

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        self.was_asked.set()
        if self._has_left:
            return LEFT
        if self._said.empty():
            self.waiting.set()
        try:
            message = await self._said.get()
        finally:
            self.waiting.clear()
        self._has_left = message is LEFT
        return message

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    # --- the answer -----------------------------------------------------------------------------

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


async def get(app: Any, path: str = "/", method: str = "GET", /, **others: Any) -> Client:
    """Ask an app for something and return the client when it has answered."""
    client = Client(body())
    await app(scope(method, path, **others), client.receive, client.send)
    return client


async def answer(send: Any, content: bytes = b"ok", status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": content})


@contextlib.asynccontextmanager
async def serving(
    app: Any, client: Client, **options: Any
) -> AsyncGenerator[asyncio.Task[None], None]:
    """The task in which a server runs the app; nothing may be left of it afterwards."""
    before = asyncio.all_tasks()
    middleware = LanewiseMiddleware(app, **options)
    task = asyncio.create_task(middleware(scope(), client.receive, client.send))
    try:
        yield task
    finally:
        assert task.done()
        assert asyncio.all_tasks() == before
        assert task.cancelling() == 0 or task.cancelled()


class Work:
    """An app that works until it is told to stop, and knows whether it was cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.cancelled = 0

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        await self.before(receive, send)
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        await self.after(receive, send)

    async def before(self, receive: Any, send: Any) -> None:
        pass

    async def after(self, receive: Any, send: Any) -> None:
        await answer(send)


async def turns(count: int = 20) -> None:
    """Let whatever is ready on the loop have its turn."""
    for _ in range(count):
        await asyncio.sleep(0)
