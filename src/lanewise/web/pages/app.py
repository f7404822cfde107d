"""The ASGI app that answers operators: a live page, JSON, metrics, readiness and liveness."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from lanewise.errors import LanewiseError
from lanewise.runtime.runtime import Runtime
from lanewise.web.exchange import App, Receive, Scope, Send
from lanewise.web.finding import found_runtime
from lanewise.web.metrics import CONTENT_TYPE, metrics_text
from lanewise.web.pages.document import VERSION, statistics_document, written
from lanewise.web.pages.rendering import page
from lanewise.web.readiness import Limits, reasons_against
from lanewise.web.recent import Recent, Taken
from lanewise.web.task_labels import TaskLabels

# However many people look, the numbers are put together no more often than this.
_FRESH_S = 0.25
_WINDOW_S = 10.0
_NOT_ENTERED = "no runtime is entered here"
_HTML = b"text/html; charset=utf-8"
_JSON = b"application/json"
_TEXT = b"text/plain; charset=utf-8"

_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class _Answer(NamedTuple):
    status: int
    media_type: bytes
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


def dashboard(
    runtime: Runtime | None = None, *, ready_loop_lag_s: float = 0.25, ready_wait_s: float = 10.0
) -> App:
    """Make an ASGI app that shows what a runtime does. It only reads.

    ::

        app.mount("/_lanewise", lanewise.web.dashboard())                   # FastAPI, Starlette
        asgi("/_lanewise", is_mount=True)(lanewise.web.dashboard())         # Litestar: a route handler

    ================== ====================================================================
    ``/``              the live page: one file, nothing from elsewhere
    ``statistics.json`` the snapshot, with a ``version`` of its form
    ``metrics``        for Prometheus
    ``ready``          200, or 503 with the reasons: ``{"ready": false, "reasons": [...]}``
    ``live``           200: the event loop answers
    ================== ====================================================================

    The page names tasks, files and lines of the service, so put it where its operators alone get at it.

    Args:
        runtime: None takes the one of the app that this is mounted in (see ``lanewise.web.lifespan``),
            or the one that was entered on this loop.
        ready_loop_lag_s: Not ready while more than a tenth of the loop's heartbeats of the last ten
            seconds were later than this.
        ready_wait_s: Not ready while calls of a lane wait longer than this for a place, on average or
            because none of them ends. ``math.inf`` switches a limit off.

    Returns:
        An ASGI app for HTTP. Paths count from where it is mounted; others get 404, methods that could
        change anything 405.

    Threads: belongs to the event loop of the runtime.
    """
    return _Dashboard(runtime, Limits(ready_loop_lag_s, ready_wait_s))


class _Dashboard:
    """Owner: the event loop that serves it."""

    def __init__(self, runtime: Runtime | None, limits: Limits) -> None:
        self._runtime = runtime
        self._limits = limits
        self._labels = TaskLabels()
        self._recent = Recent(_WINDOW_S)
        self._written: tuple[float, Runtime, bytes] | None = None
        self._answers: dict[str, Callable[[Scope], _Answer]] = {
            "": self._page,
            "statistics.json": self._statistics,
            "metrics": self._metrics,
            "ready": self._ready,
            "live": self._live,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - because: some frameworks look for the name
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            raise RuntimeError(
                f"the dashboard serves HTTP, not {scope['type']}: mount it in an app"
            )
        answer = self._answer(scope)
        headers = [
            (b"content-type", answer.media_type),
            (b"content-length", str(len(answer.body)).encode()),
            *_HEADERS,
            *answer.headers,
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": body})

    def _answer(self, scope: Scope) -> _Answer:
        make = self._answers.get(_path(scope))
        if make is None:
            return _Answer(404, _TEXT, b"There is nothing here.\n")
        if scope["method"] not in {"GET", "HEAD"}:
            return _Answer(405, _TEXT, b"This only reads.\n", ((b"allow", b"GET, HEAD"),))
        return make(scope)

    def _page(self, _scope: Scope) -> _Answer:
        body, policy = page()
        return _Answer(200, _HTML, body, ((b"content-security-policy", policy),))

    def _live(self, _scope: Scope) -> _Answer:
        return _Answer(200, _JSON, written({"live": True}))

    def _statistics(self, scope: Scope) -> _Answer:
        runtime = self._found(scope)
        now_s = time.monotonic()
        kept = self._written
        if kept is not None and kept[1] is runtime and now_s - kept[0] < _FRESH_S:
            return _Answer(200, _JSON, kept[2])
        taken = _taken(runtime)
        if runtime is None or taken is None:
            return _Answer(503, _JSON, written({"version": VERSION, "error": _NOT_ENTERED}))
        document = statistics_document(taken.statistics)
        document["ready"] = self._reasons(taken)
        body = written(document)
        self._written = (now_s, runtime, body)
        return _Answer(200, _JSON, body)

    def _metrics(self, scope: Scope) -> _Answer:
        taken = _taken(self._found(scope))
        if taken is None:
            return _Answer(503, _TEXT, f"{_NOT_ENTERED}\n".encode())
        text = metrics_text(taken.statistics, labels=self._labels)
        return _Answer(200, CONTENT_TYPE.encode(), text.encode())

    def _ready(self, scope: Scope) -> _Answer:
        taken = _taken(self._found(scope))
        reasons = [_NOT_ENTERED] if taken is None else self._reasons(taken)
        body = written({"ready": not reasons, "reasons": reasons})
        return _Answer(503 if reasons else 200, _JSON, body)

    def _reasons(self, taken: Taken) -> list[str]:
        return reasons_against(taken, self._recent.since(taken), self._limits)

    def _found(self, scope: Scope) -> Runtime | None:
        return self._runtime or found_runtime(scope)


def _taken(runtime: Runtime | None) -> Taken | None:
    """Take a snapshot, or return None where there is no runtime or it is not entered."""
    if runtime is None:
        return None
    try:
        return Taken(time.monotonic(), runtime.statistics())
    except LanewiseError:
        return None


def _path(scope: Scope) -> str:
    """Return the path below the mount, without slashes around it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    # By the specification the path begins with the mount's; some servers and frameworks cut it off.
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :]
    return path.strip("/")
