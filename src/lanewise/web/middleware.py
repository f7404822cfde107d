"""``LanewiseMiddleware``: overload becomes 503, work ends when its client leaves, deadlines are kept."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Iterable
from contextvars import ContextVar, Token
from types import CoroutineType
from typing import Any

from lanewise.runtime.ambient import request_deadline
from lanewise.web.exchange import App, Exchange, Message, Receive, Scope, Send
from lanewise.web.overload import answer_to
from lanewise.web.request_context import new_id, parsed_deadline, parsed_id, request_id
from lanewise.web.sweep import Sweeps

# What nginx calls a client that closed the connection first. Nobody reads it but logs and metrics.
_LEFT: tuple[Message, ...] = (
    {"type": "http.response.start", "status": 499, "headers": [(b"content-length", b"0")]},
    {"type": "http.response.body", "body": b""},
)

# Timers of some loops go by whole milliseconds, and may be early by as much.
_TIMER_S = 0.005

_Set = list[tuple[ContextVar[Any], Token[Any]]]


class LanewiseMiddleware:
    """An ASGI middleware that lets a service behave well when it has too much to do.

    ::

        app.add_middleware(LanewiseMiddleware)          # FastAPI, Starlette
        Litestar(..., middleware=[LanewiseMiddleware])  # and see overloaded_handler
        app = LanewiseMiddleware(app)                   # any other ASGI app

    For each HTTP request:

    * An ``OverloadedError`` that leaves the app before it has begun to answer becomes a 503 with
      ``Retry-After`` and a small ``application/problem+json`` body. So does an exception group of nothing
      else. Once the response has begun, the error goes on.
    * When the client leaves before the response is complete, the app's task is cancelled, once; calls on
      lanes then stop as ``on_cancel`` says. An app that waits in ``receive()`` at that moment is told
      instead, as it wants to be. What must not be cut short belongs in ``asyncio.shield`` or in a
      background task. Noticed are requests that take longer than 10 to 20 ms.
    * A header says how long the client waits, in whole milliseconds above 0 ("1500"). No call on any lane
      is given more time than what is left of that, and a ``TaskTimeoutError`` that leaves the app when it
      is over becomes a 504. Other values are ignored, and fail no request.
    * The request's id, from its header, is in ``lanewise.web.request_id`` while it is served.

    Responses are left as they are, and other scopes (websocket, lifespan) are passed on untouched.

    Args:
        app: What is wrapped.
        deadline_header: Its name; None takes no deadline from requests. Behind Envoy or Istio,
            ``"x-envoy-expected-rq-timeout-ms"`` is set already.
        max_deadline_s: A client that says it waits longer is taken to wait so many seconds; None for no
            bound. Requests without the header have no deadline.
        request_id_header: Its name; None takes no ids from requests. Ids that are longer than 128
            characters or not printable ASCII are ignored.
        generate_request_ids: Give an id to requests that have none.
        cancel_on_disconnect: Whether work ends when its client leaves.

    Raises:
        ValueError: ``max_deadline_s`` is not above 0.

    Cancellation: one from outside (the server stops) goes through the app and on; it is never swallowed.

    Threads: may serve several event loops at once.
    """

    def __init__(  # noqa: PLR0913 - because: each is documented above and has a default
        self,
        app: App,
        *,
        deadline_header: str | None = "x-request-timeout-ms",
        max_deadline_s: float | None = 300.0,
        request_id_header: str | None = "x-request-id",
        generate_request_ids: bool = False,
        cancel_on_disconnect: bool = True,
    ) -> None:
        if max_deadline_s is not None and not max_deadline_s > 0:
            raise ValueError(f"max_deadline_s={max_deadline_s!r} must be above 0, or None")
        self.app = app
        self._deadline_header = _name(deadline_header)
        self._id_header = _name(request_id_header)
        self._wanted = frozenset(filter(None, (self._deadline_header, self._id_header)))
        self._max_deadline_s = max_deadline_s
        self._generates = generate_request_ids
        self._watches = cancel_on_disconnect
        self._sweeps = Sweeps()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope, see the class."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = self._told(scope)
        exchange = Exchange(receive, send)
        try:
            work = self.app(scope, exchange.receive, exchange.send)
            if not self._watches:
                await work
                return
            if type(work) is not CoroutineType:  # compiled apps have others
                work = _awaited(work)
            # The first step by hand: who waits for nothing is done then, and need not be watched.
            try:
                waits_for = work.send(None)
            except StopIteration:
                return
            await exchange.go_on(work, waits_for, self._sweeps)
        except BaseException as error:
            if not await _answered(error, exchange, send):
                raise
        finally:
            if exchange.is_watched:
                await exchange.stop()
            if told is not None:
                for variable, token in told:
                    variable.reset(token)

    def _told(self, scope: Scope) -> _Set | None:
        """Set what the request says of itself; return how that is taken back."""
        named: str | None = None
        waits: float | None = None
        wanted = self._wanted
        for name, value in scope["headers"]:
            if name in wanted:
                if name == self._id_header:
                    named = named or parsed_id(value)
                else:
                    waits = waits or parsed_deadline(value, self._max_deadline_s)
        if named is None and self._generates:
            named = new_id()
        if named is None and waits is None:
            return None
        told: _Set = []
        if named is not None:
            told.append((request_id, request_id.set(named)))
        if waits is not None:
            told.append((request_deadline, request_deadline.set(waits)))
        return told


def _name(header: str | None) -> bytes | None:
    """Return a header's name as servers hand it over."""
    return None if header is None else header.lower().encode("latin-1")


async def _awaited(work: Awaitable[None]) -> None:
    await work


async def _answered(error: BaseException, exchange: Exchange, send: Send) -> bool:
    """End an exchange whose app raised; return False where the error goes on."""
    ours = exchange.end()
    if isinstance(error, asyncio.CancelledError):
        if not ours:
            return False
        if not exchange.started:
            # The client is gone, but a middleware further out may insist that there be a response.
            with contextlib.suppress(OSError):
                await _send_all(_LEFT, send)
        return True
    answer = None if exchange.started else answer_to(error, _is_late())
    if answer is None:
        return False
    await _send_all(answer, send)
    return True


def _is_late() -> bool:
    """Whether the client's time is over, or as good as."""
    until = request_deadline.get()
    return until is not None and time.monotonic() >= until - _TIMER_S


async def _send_all(messages: Iterable[Message], send: Send) -> None:
    for message in messages:
        await send(message)
