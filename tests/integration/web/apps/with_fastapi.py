"""A service in FastAPI."""

from typing import Any

import web_jobs
from fastapi import FastAPI, Request, Response
from tests.integration.web.apps.common import OPTIONS, refuse

from lanewise.testing.calls import visit
from lanewise.web import LanewiseMiddleware, dashboard, lifespan, runtime_of


def make(gate: str) -> Any:
    app = FastAPI(lifespan=lifespan(**OPTIONS))
    app.add_middleware(LanewiseMiddleware)
    app.mount("/_lanewise", dashboard())

    @app.get("/who")
    async def who(request: Request) -> list[Any]:
        return await runtime_of(request).run(web_jobs.who)

    @app.get("/stay")
    async def stay(request: Request) -> str:
        return await runtime_of(request).run(visit, gate, "stay")

    @app.get("/refuse")
    async def refused() -> None:
        refuse()

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    return app
