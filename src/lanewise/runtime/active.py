"""Which runtime serves code that was not handed one."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import weakref
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from lanewise.errors import LanewiseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lanewise.runtime.runtime import Runtime

P = ParamSpec("P")
T = TypeVar("T")

# Of the code itself: set inside `async with`, and by whatever calls code of a user.
active: contextvars.ContextVar[Runtime | None] = contextvars.ContextVar(
    "lanewise_runtime", default=None
)
# Of the loop, newest last. Servers enter a runtime in one task and serve requests in others, which never
# see the first one's context. Owner: the lock, for loops of several threads share this; each list belongs
# to its loop.
_lock = threading.Lock()
_entered: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, list[Runtime]] = (
    weakref.WeakKeyDictionary()
)


def entered(runtime: Runtime) -> None:
    """Let what runs on this loop find a runtime."""
    with _lock:
        here = _entered.setdefault(asyncio.get_running_loop(), [])
    here.append(runtime)


def left(runtime: Runtime) -> None:
    """Let nothing find it any more. Idempotent."""
    with _lock:
        here = _entered.get(asyncio.get_running_loop(), [])
    with contextlib.suppress(ValueError):
        here.remove(runtime)


def active_runtime() -> Runtime | None:
    """Return the runtime whose ``async with`` this is inside of, or else the newest on this loop."""
    return active.get() or _of_loop()


def _of_loop() -> Runtime | None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # none runs here
        return None
    with _lock:
        here = _entered.get(loop)
    return here[-1] if here else None


async def run(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run ``fn`` on the runtime whose ``async with`` is active, or else the newest one of this loop.

    The second is for servers: a lifespan enters the runtime, and requests, which are served in tasks that
    do not descend from it, find it all the same.

    Raises:
        LanewiseError: None is active here.
    """
    runtime = active_runtime()
    if runtime is None:
        raise LanewiseError(
            "no runtime is active here: call this inside `async with lanewise.Runtime(...):`, "
            "give the web app lifespan=lanewise.web.lifespan(...), or call run() of the runtime that "
            "you keep"
        )
    return await runtime.run(fn, *args, **kwargs)
