"""One service, built in several ways; they differ in where the heavy function of a request runs.

lanewise    `await runtime.run(task, ...)`: the plan, bounded queues, deadlines
handler     the call stands in the `async def` handler
threads     the endpoint is `def`, so the framework runs it in its pool of threads
pool        `run_in_executor` on a plain ProcessPoolExecutor, without limits
bare        the lanewise build without its middleware, for what that costs a cheap request

All of them are SUPPLYR's app with its cheap reads, on the same database. Only for comparison.
"""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing import get_context
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
Build = Literal["lanewise", "handler", "threads", "pool", "bare"]
_POISON_TIMEOUT_S = 1.0
_LETTERS = 40
_Size = Annotated[int, Query(ge=1, le=1_000_000)]
_Label = Annotated[str, Query(max_length=40, pattern=r"^[\w.-]+$")]


class Counted:
    """Heavy requests of this server. owner: this object, under its lock (`def` has threads)."""

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
    """Make the app that SUPPLYR_LOAD_BUILD names, with SUPPLYR's own settings."""
    build = os.environ.get("SUPPLYR_LOAD_BUILD", "lanewise")
    settings = from_environment()
    app = create_app(settings)
    app.include_router(router(build, settings))
    if build == "bare":
        app.user_middleware = [
            one for one in app.user_middleware if one.cls is not LanewiseMiddleware
        ]
    if build == "pool":
        _with_pool(app, settings)
    return app


def _with_pool(app: FastAPI, settings: Settings) -> None:
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(started: Any) -> AsyncGenerator[Any]:
        # Not fork, for the app has threads; as many workers as the lanewise build has.
        pool = ProcessPoolExecutor(settings.processes, get_context("forkserver"))
        app.state.pool = pool
        async with inner(started) as state:
            yield state
        pool.shutdown(wait=False, cancel_futures=True)

    app.router.lifespan_context = lifespan


def router(build: str, settings: Settings) -> APIRouter:
    """Make the routes that the builds differ in, and one that tells what is going on."""
    made = APIRouter(prefix="/compare", include_in_schema=False)
    counted = Counted()
    notes = str(settings.data_dir / "notes.log")
    if build == "threads":
        _add_threads(made, counted, notes)
    else:
        _add_awaited(made, build, counted, notes)

    @made.get("/state")
    async def state(request: Request) -> Response:
        return JSONResponse(_state(request, build, counted))

    @made.get("/poison/{kind}")
    async def poison(request: Request, kind: str) -> Response:
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

    return made


def _add_threads(made: APIRouter, counted: Counted, notes: str) -> None:
    @made.get("/noted")
    def noted_(label: _Label, size: _Size) -> Response:
        with counted:
            return JSONResponse({"of": noted(notes, label, size)})

    @made.get("/work/{work}")
    def heavy(work: str, size: _Size) -> Response:
        with counted:
            return _answer(WORKS[work](*arguments(work, size)))


def _add_awaited(made: APIRouter, build: str, counted: Counted, notes: str) -> None:
    async def run(request: Request, function: Any, *given: Any) -> Any:
        if build == "handler":
            return function(*given)
        if build == "pool":
            pool = request.app.state.pool
            return await asyncio.get_running_loop().run_in_executor(pool, function, *given)
        return await context_of(request).runtime.run(function, *given)

    @made.get("/noted")
    async def noted_(request: Request, label: _Label, size: _Size) -> Response:
        with counted:
            return JSONResponse({"of": await run(request, noted, notes, label, size)})

    @made.get("/work/{work}")
    async def heavy(request: Request, work: str, size: _Size) -> Response:
        with counted:
            return _answer(await run(request, WORKS[work], *arguments(work, size)))


def _answer(result: Any) -> Response:
    if isinstance(result, bytes):
        return Response(result, media_type="application/octet-stream")
    return JSONResponse({"of": summary(result)})


def _state(request: Request, build: str, counted: Counted) -> dict[str, Any]:
    told = context_of(request).runtime.statistics()
    pool = getattr(request.app.state, "pool", None)
    # Private, but the only place that knows what a plain pool has taken on and not done.
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
