"""What happens to arguments and items on the way of a call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeVar

from lanewise.errors import TaskTimeoutError
from lanewise.lanes.process import Shared

T = TypeVar("T")


def local_arguments(args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """On lanes that share this process's memory a handle stands for what it holds here."""
    if Shared not in map(type, args) and not (kwargs and Shared in map(type, kwargs.values())):
        return args, kwargs
    return (
        tuple([value.get() if type(value) is Shared else value for value in args]),
        {name: value.get() if type(value) is Shared else value for name, value in kwargs.items()},
    )


def quickly_local(args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """As :func:`local_arguments`; None where there is no handle, or one that takes long to get."""
    handles = [one for one in (*args, *kwargs.values()) if type(one) is Shared]
    if not handles or not all(one.is_quickly_got for one in handles):
        return None
    return local_arguments(args, kwargs)


async def until(
    items: AsyncGenerator[T, None], deadline: float | None, name: str, timeout_s: float | None
) -> AsyncIterator[T]:
    """Pass items on until the deadline.

    Raises:
        TaskTimeoutError: It came first.
    """
    while True:
        left_s = None if deadline is None else deadline - time.monotonic()
        try:
            async with asyncio.timeout(left_s) as scope:
                item = await anext(items)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise TaskTimeoutError(
                f"{name} did not yield all its items within {timeout_s:g} s"
            ) from error
        yield item
