"""A service in Litestar."""

from typing import Any

import web_jobs
from litestar import Litestar, Request, asgi, get, post
from tests.integration.web.apps.common import OPTIONS, refuse

from lanewise import OverloadedError, TaskTimeoutError
from lanewise.testing.calls import visit
from lanewise.web import LanewiseMiddleware, dashboard, lifespan, overloaded_handler, runtime_of


def make(gate: str) -> Any:
    @get("/who")
    async def who(request: Request) -> list[Any]:
        return await runtime_of(request).run(web_jobs.who)

    @get("/stay")
    async def stay(request: Request) -> str:
        return await runtime_of(request).run(visit, gate, "stay")

    @get("/refuse")
    async def refused() -> None:
        refuse()

    @post("/echo", media_type="application/octet-stream", status_code=200)
    async def echo(request: Request) -> bytes:
        return await request.body()

    pages = asgi("/_lanewise", is_mount=True, copy_scope=True)(dashboard())
    return Litestar(
        route_handlers=[who, stay, refused, echo, pages],
        lifespan=[lifespan(**OPTIONS)],
        middleware=[LanewiseMiddleware],
        exception_handlers={
            OverloadedError: overloaded_handler,
            TaskTimeoutError: overloaded_handler,
        },
        openapi_config=None,
    )
