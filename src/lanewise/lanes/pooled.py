"""What the thread and the process lane share: awaiting a call on an executor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from lanewise.model.lane import mark_abandoned


async def await_on(pool: Executor, call: Callable[..., Any], *args: Any) -> Any:
    """Submit a call and await its outcome.

    Cancellation: what is still queued is removed; what runs goes on, and the CancelledError says so.
    """
    future = pool.submit(call, *args)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError as cancelled:
        # The future was asked to cancel before this coroutine woke: it refuses once it runs.
        if not future.cancelled():
            mark_abandoned(cancelled)
        raise
