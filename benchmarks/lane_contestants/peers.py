"""Other libraries, called from asyncio."""

import asyncio
import functools
import multiprocessing

from lane_contestants import jobs
from lane_contestants.base import Contestant


class AnyioProcess(Contestant):
    """``anyio.to_process.run_sync``."""

    async def open(self):
        """Set the limit; workers start with the first calls."""
        import anyio
        from anyio import to_process

        # The worker that is to be killed is the only one, for everybody.
        options = {"cancellable": True} if self.row == 8 else {}
        limiter = anyio.CapacityLimiter(1 if self.row == 8 else 2)
        self.call = functools.partial(to_process.run_sync, limiter=limiter, **options)


class AnyioProcessUvloop(AnyioProcess):
    """The same on uvloop."""

    loop = "uvloop"


class Loky(Contestant):
    """``loop.run_in_executor(loky)``."""

    async def open(self):
        """Make the pool; its workers must not leave between two rounds."""
        import loky

        pool = loky.ProcessPoolExecutor(max_workers=2, timeout=3_600)
        self.stack.callback(pool.shutdown, wait=True, kill_workers=True)
        self.call = functools.partial(asyncio.get_running_loop().run_in_executor, pool)


class Pebble(Contestant):
    """``pebble.ProcessPool.schedule``, awaited through ``asyncio.wrap_future``."""

    async def open(self):
        """Make the pool."""
        import pebble

        self._pool = pebble.ProcessPool(
            max_workers=1 if self.row == 8 else 2,
            context=multiprocessing.get_context("forkserver"),
        )
        self.stack.callback(self._pool.join)
        self.stack.callback(self._pool.stop)
        self.call = self._scheduled

    def _scheduled(self, fn, *args):
        return asyncio.wrap_future(self._pool.schedule(fn, args=args))

    def begin(self, fn, *args):
        """The pool's own future, whose ``cancel()`` kills at once."""
        return self._pool.schedule(fn, args=args)


class Aiomultiprocess(Contestant):
    """``aiomultiprocess.Pool.apply``. Looks for work and results every 5 ms, also when there are none."""

    restless = True

    async def open(self):
        """Make the pool."""
        import aiomultiprocess

        pool = await self.stack.enter_async_context(aiomultiprocess.Pool(processes=2))
        self.call = functools.partial(self._applied, pool)

    @staticmethod
    def _applied(pool, fn):
        # It takes coroutine functions only.
        assert fn is jobs.noop
        return pool.apply(jobs.async_noop)
