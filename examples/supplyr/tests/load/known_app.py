"""A server that takes a known time: what the generator tells of it can be checked."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """/wait/MS answers after so long; /stall/MS blocks the loop; /status/N; /chunked; /close."""
    if scope["type"] != "http":
        return
    _, what, *rest = scope["path"].split("/")
    status, body, headers = 200, b"ok", [(b"content-length", b"2")]
    if what == "wait":
        await asyncio.sleep(float(rest[0]) / 1e3)
    elif what == "stall":
        time.sleep(float(rest[0]) / 1e3)
    elif what == "status":
        status = int(rest[0])
    elif what == "chunked":
        headers = []
        body = b"x" * 70_000
    elif what == "close":
        headers.append((b"connection", b"close"))
    elif what == "vanish":
        os._exit(1)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if what == "chunked":
        await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": body})
