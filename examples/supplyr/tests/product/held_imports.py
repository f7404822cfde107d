"""Imports that write their last block only when they may.

A test that wants to find an import under way may stand still while that goes on to its end, and
there would be nothing left to stop. All blocks but the last are written whenever that may be.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from supplyr.jobs import imports
from supplyr.jobs.run import Run


def held(may_end: Callable[[], bool]) -> Callable[..., Awaitable[None]]:
    """Return what is to take the place of `imports._write`."""
    write = imports._write

    async def write_when_allowed(run: Run, name: str, *more: Any) -> None:
        if name == f"block {run.done['staged']['blocks'] - 1}":
            while not may_end():
                await asyncio.sleep(0.02)
        await write(run, name, *more)

    return write_when_allowed
