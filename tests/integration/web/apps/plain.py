"""A service without any framework."""

from __future__ import annotations

import json
from typing import Any

import web_jobs
from tests.integration.web.apps.common import OPTIONS, refuse

import lanewise.web
from lanewise.testing.calls import visit
from lanewise.web import LanewiseMiddleware, dashboard, runtime_of


def make(gate: str) -> Any:
    pages = dashboard()

    async def respond(send: Any, status: int, body: bytes) -> None:
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        path = scope["path"]
        if path.startswith("/_lanewise"):
            await pages({**scope, "root_path": "/_lanewise"}, receive, send)
        elif path == "/who":
            await respond(send, 200, json.dumps(await lanewise.run(web_jobs.who)).encode())
        elif path == "/stay":
            told = await runtime_of(scope).run(visit, gate, "stay")
            await respond(send, 200, told.encode())
        elif path == "/refuse":
            refuse()
        elif path == "/echo":
            await respond(send, 200, await whole_body(receive))
        else:
            await respond(send, 404, b"")

    return lanewise.web.with_runtime(LanewiseMiddleware(app), **OPTIONS)


async def whole_body(receive: Any) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message["body"])
        more = message.get("more_body", False)
    return b"".join(parts)
