"""Where the runtime of a web app is: at the app, with the request, or entered on this loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lanewise.errors import LanewiseError
from lanewise.runtime.active import active_runtime
from lanewise.runtime.runtime import Runtime

STATE_KEY = "lanewise"


def runtime_of(place: Any) -> Runtime:
    """Return the runtime that serves a request or an app.

    Args:
        place: A request or websocket of Starlette, FastAPI or Litestar, an ASGI scope, or an app whose
            ``state`` a lifespan of lanewise has filled. A ``Runtime`` is returned as it is.

    Raises:
        LanewiseError: There is none.
    """
    runtime = found_runtime(place)
    if runtime is None:
        raise LanewiseError(
            f"no runtime was found at this {type(place).__name__}: give the app "
            "lifespan=lanewise.web.lifespan(...), or wrap it with lanewise.web.with_runtime(app, ...), "
            "and let the server send lifespan events"
        )
    return runtime


def found_runtime(place: Any) -> Runtime | None:
    """Return the runtime of a place as ``runtime_of`` does, or None."""
    if isinstance(place, Runtime):
        return place
    scope = place if isinstance(place, Mapping) else getattr(place, "scope", None)
    if isinstance(scope, Mapping):
        known = _of_state(scope.get("state")) or _of_app(scope)
    else:
        known = _of_state(getattr(place, "state", None))
    return known or active_runtime()


def _of_app(scope: Mapping[str, Any]) -> Runtime | None:
    for name in ("app", "litestar_app"):
        runtime = _of_state(getattr(scope.get(name), "state", None))
        if runtime is not None:
            return runtime
    return None


def _of_state(state: Any) -> Runtime | None:
    """Look into a state: a mapping in scopes, an object with attributes at apps."""
    mapped = isinstance(state, Mapping)
    found = state.get(STATE_KEY) if mapped else getattr(state, STATE_KEY, None)
    return found if isinstance(found, Runtime) else None
