"""What the contract suite runs: module-level, so that another process can import it."""

from __future__ import annotations

import contextvars
import itertools
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

from _lanewise_worker.deadline import deadline
from lanewise.model.task import task

CONTEXT: contextvars.ContextVar[str] = contextvars.ContextVar("lanewise_contract", default="unset")

_REPLY_BYTES = 1


class ExpectedError(Exception):
    """Raised on purpose: of a type that nothing else raises."""


def describe(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments as they arrived."""
    return args, kwargs


def square(number: int) -> int:
    """Return the square."""
    return number * number


@task
def greet(name: str, *, greeting: str = "hello") -> str:
    """Greet; the default variant."""
    return f"{greeting} {name}, by default"


@greet.variant("loud")
def greet_loud(name: str, *, greeting: str = "hello") -> str:
    """Greet; the variant that can be told from the default."""
    return f"{greeting} {name}, loud".upper()


def raise_expected(message: str) -> None:
    """Raise an :class:`ExpectedError`."""
    raise ExpectedError(message)


def raise_stop_iteration() -> None:
    """Raise what a bare ``next()`` on an empty iterator raises."""
    next(iter(()))


def append_item(items: list[str], item: str) -> int:
    """Change an argument."""
    items.append(item)
    return len(items)


def same(value: Any) -> Any:
    """Return the argument itself."""
    return value


def read_context() -> str:
    """Return the context variable as this place sees it."""
    return CONTEXT.get()


def where() -> tuple[int, int]:
    """Return the process and the thread that this runs in."""
    return os.getpid(), threading.get_ident()


def count_up(stop: int) -> Iterator[int]:
    """Yield the numbers below ``stop``."""
    yield from range(stop)


def count_and_raise(stop: int) -> Iterator[int]:
    """Yield the numbers below ``stop``, then raise an :class:`ExpectedError`."""
    yield from range(stop)
    raise ExpectedError("midway")


def count_and_tell(address: str) -> Iterator[int]:
    """Yield numbers without end; tell a gate when it is closed."""
    try:
        yield from itertools.count()
    finally:
        visit(address, "closed")


def raise_with_cause() -> None:
    """Raise an :class:`ExpectedError` that another error caused."""
    try:
        int("not a number")
    except ValueError as error:
        raise ExpectedError("on purpose") from error


def remaining_s() -> float | None:
    """Return how much time this call has left."""
    return deadline()


def end_the_process() -> None:
    """End the process that this runs in as a crash does: nothing is cleaned up."""
    os._exit(9)


def visit(address: str, name: str) -> str:
    """Tell a :class:`~lanewise.testing.gate.Gate` that this call runs, and wait until it is let go.

    Args:
        address: The gate's.
        name: What the gate is to call this visit.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.connect(address)
        line.sendall(name.encode() + b"\n")
        line.recv(_REPLY_BYTES)  # returns when the gate answers, or is gone
    return name
