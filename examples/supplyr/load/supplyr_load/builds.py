"""SUPPLYR's app in each of its builds, with addresses that ask for one piece of heavy work.

The builds are SUPPLYR's own (SUPPLYR_BUILD, see supplyr.web.comparison); cheap reads, database and
requests are the same in all of them. SUPPLYR_LOAD_BARE=1 leaves lanewise's middleware out, to see
what it costs a cheap request.
"""

import asyncio
import os
import threading
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Query, Request
from lanewise.errors import LanewiseError, OverloadedError, TaskTimeoutError
from lanewise.web import LanewiseMiddleware
from starlette.responses import JSONResponse, Response

from supplyr.settings import Settings, from_environment
from supplyr.web.app import create_app
from supplyr.web.context import context_of
from supplyr_load.poison import POISONS, packed_bomb
from supplyr_load.works import WORKS, arguments, noted, summary

BUILDS = ("lanewise", "handler", "threads", "pool")
_POISON_TIMEOUT_S = 1.0
_LETTERS = 40
_Size = Annotated[int, Query(ge=1, le=1_000_000)]
_Label = Annotated[str, Query(max_length=40, pattern=r"^[\w.-]+$")]
_Poison = Literal["backtracking", "bomb", "unsendable", "vanishing", "raising"]
_Work = Literal["price-list", "import", "thumbnails", "duplicates", "ranking", "password"]


class Counted:
    """Heavy requests of this server. owner: this object, under its lock (builds have threads)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.asked = self.answered = 0

    def __enter__(self) -> None:
        """One more is asked."""
        with self._lock:
            self.asked += 1

    def __exit__(self, *_: object) -> None:
        """One more has its answer, or an error."""
        with self._lock:
            self.answered += 1


def create() -> FastAPI:
    """Make the app that the environment describes."""
    settings = from_environment()
    app = create_app(settings)
    app.include_router(router(settings))
    if os.environ.get("SUPPLYR_LOAD_BARE"):
        left_out: object = LanewiseMiddleware
        app.user_middleware = [one for one in app.user_middleware if one.cls is not left_out]
    return app


def router(settings: Settings) -> APIRouter:
    """Make the routes that ask for heavy work, and one that tells what is going on."""
    made = APIRouter(prefix="/compare", include_in_schema=False)
    counted = Counted()
    notes = str(settings.data_dir / "notes.log")

    @made.get("/noted")
    async def noted_(request: Request, label: _Label, size: _Size) -> Response:
        with counted:
            made_of = await context_of(request).runtime.run(noted, notes, label, size)
        return JSONResponse({"of": made_of})

    @made.get("/heavy/{work}")
    async def heavy(request: Request, work: _Work, size: _Size) -> Response:
        with counted:
            result = await context_of(request).runtime.run(WORKS[work], *arguments(work, size))
        if isinstance(result, bytes):
            return Response(result, media_type="application/octet-stream")
        return JSONResponse({"of": summary(result)})

    @made.get("/poison/{kind}")
    async def poison(request: Request, kind: _Poison) -> Response:
        given: tuple[Any, ...] = ()
        if kind == "bomb":
            given = (await asyncio.to_thread(packed_bomb),)
        elif kind == "backtracking":
            given = (_LETTERS,)
        bounded = context_of(request).runtime.with_options(timeout_s=_POISON_TIMEOUT_S)
        try:
            await bounded.run(POISONS[kind], *given)
        except OverloadedError:
            raise
        except (LanewiseError, ValueError) as error:
            status = 504 if isinstance(error, TaskTimeoutError) else 422
            return JSONResponse({"error": type(error).__name__}, status)
        return JSONResponse({"error": None})

    @made.get("/state")
    async def state(request: Request) -> Response:
        return JSONResponse(_state(request, settings.build, counted))

    return made


def _state(request: Request, build: str, counted: Counted) -> dict[str, Any]:
    runtime = context_of(request).runtime
    told = runtime.statistics()
    # Private, but the only place that knows what a plain pool has taken on and not done.
    pool = getattr(runtime, "_pool", None)
    in_pool = len(pool._pending_work_items) if pool is not None else 0
    lanes = told.lanes.values()
    in_lanes = told.waiting + sum(lane.running + lane.waiting for lane in lanes)
    loop, workers = told.loop, told.workers
    return {
        "build": build,
        "asked": counted.asked,
        "in_flight": max(counted.asked - counted.answered, in_pool, in_lanes),
        "shed": told.shed,
        "shed_by_reason": dict(told.shed_by_reason),
        "routes": {" ".join(route): count for route, count in told.routes.items()},
        "reasons": {" ".join(route): reason for route, reason in told.reasons.items()},
        # JSON knows no infinity, which is the last bound.
        "lag": [[min(bound, 1e9), count] for bound, count in loop.histogram] if loop else [],
        "lag_max_s": loop.max_s if loop else 0.0,
        "workers": None
        if workers is None
        else {
            name: getattr(workers, name)
            for name in ("started", "died", "killed", "retired", "start_failures")
        },
        "gil_enabled": told.gil_enabled,
    }
