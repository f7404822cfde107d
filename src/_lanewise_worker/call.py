"""What every lane has in common when it calls a function."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class FarSideError(Exception):
    """Something that cannot cross, told in words.

    ``what`` is ``"arguments"`` (the call never started) or ``"exception"`` (it ran and raised).
    """

    def __init__(self, what: str, words: str) -> None:
        super().__init__(what, words)
        self.what = what
        self.words = words


def call_plainly(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call a function whose outcome a future is to carry.

    Raises:
        RuntimeError: The function raised StopIteration, which no future can carry (a coroutine that
            awaits it would end instead; PEP 479 decides alike for generators), or SystemExit, which
            asyncio would take for the end of the whole service.
    """
    try:
        return function(*args, **kwargs)
    except (StopIteration, SystemExit) as error:
        raise RuntimeError(f"the call raised {type(error).__name__}: {error}") from error


def nothing(*_args: Any) -> None:
    """The call that costs nothing: what remains is the lane's own cost."""


def burn(duration_s: float) -> None:
    """Keep a core busy: the reference for what busy cores alone do to an event loop."""
    stop_at = time.perf_counter() + duration_s
    while time.perf_counter() < stop_at:
        pass


def echo(data: bytes) -> bytes:
    """Send bytes there and back: what remains beside the lane's own cost is their crossing."""
    return data


def each(function: Callable[..., Any], items: tuple[tuple[Any, ...], ...]) -> list[Any]:
    """Call a function with each of some tuples of arguments; return the results."""
    return [function(*args) for args in items]
