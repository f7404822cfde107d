"""A service in Starlette."""

from __future__ import annotations

from typing import Any

import web_jobs
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from tests.integration.web.apps.common import OPTIONS, refuse

from lanewise.testing.calls import visit
from lanewise.web import LanewiseMiddleware, dashboard, lifespan, runtime_of


class PassesOn(BaseHTTPMiddleware):
    """What many services have some of."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        return await call_next(request)


OURS, THEIRS = Middleware(LanewiseMiddleware), Middleware(PassesOn)


def make(gate: str, middleware: tuple[Middleware, ...] = (OURS,)) -> Any:
    """Make the service; the first middleware is the outermost."""

    async def who(request: Request) -> Response:
        return JSONResponse(await runtime_of(request).run(web_jobs.who))

    async def stay(request: Request) -> Response:
        return PlainTextResponse(await runtime_of(request).run(visit, gate, "stay"))

    async def refused(_request: Request) -> Response:
        refuse()
        raise AssertionError

    async def echo(request: Request) -> Response:
        return Response(await request.body())

    return Starlette(
        routes=[
            Route("/who", who),
            Route("/stay", stay),
            Route("/refuse", refused),
            Route("/echo", echo, methods=["POST"]),
            Mount("/_lanewise", dashboard()),
        ],
        middleware=middleware,
        lifespan=lifespan(**OPTIONS),
    )


def streaming(items: Any) -> Any:
    """Make a service that answers with a stream and nothing else."""

    async def stream(_request: Request) -> Response:
        return StreamingResponse(items)

    return Starlette(routes=[Route("/", stream)], middleware=[OURS])
