"""A ``Runtime`` for as long as a web app runs: entered when it starts, left when it stops."""

from __future__ import annotations

import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Literal, TypeAlias

from lanewise.runtime.active import active
from lanewise.runtime.runtime import Runtime
from lanewise.web.exchange import App, Message, Receive, Scope, Send
from lanewise.web.finding import STATE_KEY

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Any]]


def lifespan(*, inner: Lifespan | None = None, **runtime_options: Any) -> Lifespan:
    """Make a lifespan that has a ``Runtime`` at ``app.state.lanewise``.

    ::

        app = FastAPI(lifespan=lanewise.web.lifespan(plan="lanewise.toml"))
        app = Starlette(routes=..., lifespan=lanewise.web.lifespan(processes=2))
        app = Litestar(route_handlers=..., lifespan=[lanewise.web.lifespan()])

        @app.post("/reports")
        async def report(request: Request) -> Response:
            page = await lanewise.web.runtime_of(request).run(render, await request.body())

    Args:
        inner: A lifespan of your own. It runs inside, so it finds the runtime entered, and what it yields
            is passed on.
        **runtime_options: Of :class:`lanewise.Runtime`. A new one is made whenever the app starts.

    Returns:
        A function of the app that returns an asynchronous context manager.

    Raises:
        PlanError: When the app starts: the plan cannot be read.
        ValueError: When the app starts: an option has a value that it cannot have.
        LaneUnavailableError: When the app starts: no lane can be opened.

    Cancellation: the runtime is left in bounded time, see its ``grace_s``.
    """

    @asynccontextmanager
    async def manage(app: Any) -> AsyncGenerator[Any, None]:
        async with Runtime(**runtime_options) as runtime:
            setattr(app.state, STATE_KEY, runtime)
            try:
                if inner is None:
                    yield None
                else:
                    async with inner(app) as yielded:
                        yield yielded
            finally:
                delattr(app.state, STATE_KEY)

    return manage


def with_runtime(app: App, **runtime_options: Any) -> App:
    """Wrap an ASGI app so that a ``Runtime`` is entered while its server runs.

    ::

        async def app(scope, receive, send):
            result = await lanewise.run(work, 7)
            ...

        app = lanewise.web.with_runtime(app, plan="lanewise.toml")

    Below it ``lanewise.run`` and ``lanewise.web.runtime_of(scope)`` find the runtime. The wrapped app
    gets the lifespan's events if it takes them; one that does not know of them is left in peace.

    Args:
        app: Any ASGI app.
        **runtime_options: Of :class:`lanewise.Runtime`. A new one is made whenever the server starts.

    Returns:
        An ASGI app. The server must send lifespan events (uvicorn: not ``--lifespan off``).
    """
    return _WithRuntime(app, runtime_options)


class _WithRuntime:
    """Threads: belongs to the event loop of the server that started it."""

    def __init__(self, app: App, options: dict[str, Any]) -> None:
        self._app = app
        self._options = options
        self._runtime: Runtime | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        runtime = self._runtime
        if runtime is None:  # the server sends no lifespan events, and whoever needs one is told so
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})[STATE_KEY] = runtime
        token = active.set(runtime)
        try:
            await self._app(scope, receive, send)
        finally:
            active.reset(token)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the server's events, and let the app have them."""
        async with AsyncExitStack() as stack:
            phase: Literal["new", "starting", "started", "stopping", "over"] = "new"

            async def ask() -> Message:
                nonlocal phase
                message = await receive()
                if message["type"] == "lifespan.startup":
                    phase = "starting"
                    await self._enter(stack, send)
                elif message["type"] == "lifespan.shutdown":
                    phase = "stopping"
                return message

            async def tell(message: Message) -> None:
                nonlocal phase
                if message["type"] == "lifespan.startup.complete":
                    phase = "started"
                else:  # startup failed, or shutdown is complete or has failed
                    phase = "over"
                    await stack.aclose()
                await send(message)

            try:
                await self._app(scope, ask, tell)
            except Exception:
                # Apps that know of no lifespan raise before they ask for anything.
                if phase != "new":
                    raise
            while phase != "over":  # what the app has left undone
                if phase in {"new", "started"}:
                    await ask()
                else:
                    done = "startup" if phase == "starting" else "shutdown"
                    await tell({"type": f"lifespan.{done}.complete"})

    async def _enter(self, stack: AsyncExitStack, send: Send) -> None:
        try:
            self._runtime = await stack.enter_async_context(Runtime(**self._options))
        except Exception:
            await send({"type": "lifespan.startup.failed", "message": traceback.format_exc()})
            raise
        stack.callback(self._forget)

    def _forget(self) -> None:
        self._runtime = None
