"""A small HTTP server for ASGI apps, one request a connection, and a client. Standard library only.

It tells an app what servers tell: the body as it comes, and that the client left when it does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any


class HttpServer:
    """Serves one app on a free port of this machine.

    Attributes:
        port: Where.
        errors: What the app raised.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self.errors: list[BaseException] = []
        self.port = 0
        self._state: dict[str, Any] = {}
        self._serving: set[asyncio.Task[Any]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[HttpServer, None]:
        async with self._lifespan(), self.running_without_lifespan():
            yield self

    @contextlib.asynccontextmanager
    async def running_without_lifespan(self) -> AsyncGenerator[HttpServer, None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _lifespan(self) -> AsyncGenerator[None, None]:
        events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self._state}
        living = asyncio.create_task(self._app(scope, events.get, answers.put))
        for event in ("startup", "shutdown"):
            events.put_nowait({"type": f"lifespan.{event}"})
            answer = asyncio.create_task(answers.get())
            await asyncio.wait((answer, living), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                answer.cancel()
                await living
            assert answer.result()["type"] == f"lifespan.{event}.complete", answer.result()
            if event == "startup":
                yield
        await living

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client's choice
        except Exception as error:
            self.errors.append(error)
            writer.write(b"HTTP/1.1 500 -\r\n\r\n")
        finally:
            self._serving.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        method, target, _ = head[0].decode().split(" ")
        pairs = [line.split(b":", 1) for line in head[1:] if line]
        headers = [(name.lower().strip(), value.strip()) for name, value in pairs]
        path, _, query = target.partition("?")
        left = int(dict(headers).get(b"content-length", b"0"))
        first = True

        async def receive() -> dict[str, Any]:
            nonlocal left, first
            if first or left:
                first = False
                content = await reader.read(left) if left else b""
                left -= len(content)
                return {"type": "http.request", "body": content, "more_body": left > 0}
            await reader.read()  # until the client has left
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                lines = [f"HTTP/1.1 {message['status']} -".encode(), b"connection: close"]
                lines += [name + b": " + value for name, value in message["headers"]]
                writer.write(b"\r\n".join([*lines, b"", b""]))
            else:
                writer.write(message.get("body", b""))
            if not writer.is_closing():
                await writer.drain()

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", self.port),
            "state": dict(self._state),
        }
        await self._app(scope, receive, send)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@contextlib.asynccontextmanager
async def asked(
    port: int, path: str, *, method: str = "GET", body: bytes = b"", **headers: str
) -> AsyncGenerator[asyncio.StreamReader, None]:
    """Ask a server for something, and leave it when the block is left."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    try:
        yield reader
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def ask(port: int, path: str, **options: Any) -> Answer:
    """Ask a server that closes the connection when it has answered."""
    async with asked(port, path, connection="close", **options) as reader:
        content = await reader.read()
    head, _, body = content.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    pairs = [line.split(": ", 1) for line in lines]
    return Answer(int(first.split(" ")[1]), {name.lower(): value for name, value in pairs}, body)
