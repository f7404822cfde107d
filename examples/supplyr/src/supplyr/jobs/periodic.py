"""Do something again and again beside a server, in each of its processes."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable

_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def now_and_then(
    do: Callable[[], Awaitable[None]], every_s: float, name: str, failed: str
) -> AsyncGenerator[None]:
    """Await `do()` about every so many seconds inside the block; where it raises, log `failed`.

    Never at once, and several servers of one database do not do it at the same moment.
    Cancellation: leaving the block cancels what is being done.
    """

    async def again_and_again() -> None:
        while True:
            await asyncio.sleep(every_s * (0.5 + random.random()))
            try:
                await do()
            except Exception:
                _log.exception("%s", failed)

    task = asyncio.create_task(again_and_again(), name=name)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
