"""For machines that watch: alive, ready, metrics. Always answered on the event loop itself."""

import asyncio
import json

from fastapi import APIRouter, Request
from lanewise.web import metrics_text
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Message

from supplyr.web.context import context_of

router = APIRouter(include_in_schema=False)
_DATABASE_S = 1.0
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/healthz")
async def healthz() -> Response:
    """The event loop answers; nothing else is asked, so a busy database restarts nobody."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Whether requests should be sent here: the database answers within a second, and lanes do."""
    context = context_of(request)
    reasons = await _reasons_of_lanes(request)
    try:
        async with asyncio.timeout(_DATABASE_S):
            await context.database.fetch_one("SELECT 1 AS one")
    except Exception as error:
        reasons.append(f"the database does not answer ({type(error).__name__})")
    told = {"ready": not reasons, "reasons": reasons}
    return JSONResponse(told, 200 if not reasons else 503, {"cache-control": "no-store"})


async def _reasons_of_lanes(request: Request) -> list[str]:
    """Return why lanewise finds that this process should get no requests now."""
    body: list[bytes] = []

    async def send(message: Message) -> None:
        body.append(message.get("body", b""))

    scope = {**request.scope, "path": "/ready", "root_path": "", "method": "GET"}
    await request.app.state.lanes(scope, request.receive, send)
    reasons: list[str] = json.loads(b"".join(body))["reasons"]
    return reasons


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Lanes, queues, refusals and the loop's lag, for Prometheus."""
    runtime = context_of(request).runtime
    return PlainTextResponse(metrics_text(runtime.statistics()), media_type=_METRICS)
