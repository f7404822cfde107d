"""A server process whose supervisor is gone ends too: nobody would stop or restart it any more.

Servers that run several processes start them through multiprocessing. When the supervisor is
killed, its children go on serving, and a new server finds the port taken.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

# For requests that are under way and jobs that are given back; then the end does not wait.
_GRACE_S = 3.0
_log = logging.getLogger(__name__)


@asynccontextmanager
async def ends_with_supervisor() -> AsyncGenerator[None]:
    """Inside the block, SIGTERM this process when the one that started it has ended.

    Does nothing in a process that multiprocessing did not start. The kernel tells of the end: a
    pipe whose other end the supervisor alone holds.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        yield
        return
    loop = asyncio.get_running_loop()
    sentinel = os.dup(parent.sentinel)

    def gone() -> None:
        loop.remove_reader(sentinel)
        _log.warning("the supervisor has ended; so does this server process")
        # Some servers stop their loop before they wait for what is still open.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, _GRACE_S)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(sentinel, gone)
    try:
        yield
    finally:
        loop.remove_reader(sentinel)
        os.close(sentinel)
