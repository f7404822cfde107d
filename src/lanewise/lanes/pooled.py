"""Awaiting a call that runs on a pool of the standard library."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

from lanewise.model.lane import mark_abandoned


async def outcome_of(future: Future[Any]) -> Any:
    """Await a call that was submitted to an executor.

    Cancellation: what is still queued is removed; what runs goes on, and the CancelledError says so.
    """
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError as cancelled:
        # The future was asked to cancel before this coroutine woke: it refuses once it runs.
        if not future.cancelled():
            mark_abandoned(cancelled, future)
        raise
