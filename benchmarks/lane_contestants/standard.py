"""The standard library's pools.

Both start their workers from a fork server: it is the default from 3.14 on, and what the others use.
"""

import asyncio
import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from lane_contestants.base import Contestant, best_chunk_size


class StandardExecutor(Contestant):
    """``loop.run_in_executor(ProcessPoolExecutor())``."""

    chunk_size = 256

    async def open(self):
        """Make the pool."""
        self._with = {}
        if self.row != 7:
            self.call = await self.call_with(2)

    async def call_with(self, workers):
        """A pool for each number of workers."""
        if workers not in self._with:
            context = multiprocessing.get_context("forkserver")
            self._pool = self.stack.enter_context(ProcessPoolExecutor(workers, context))
            loop = asyncio.get_running_loop()
            self._with[workers] = functools.partial(loop.run_in_executor, self._pool)
        return self._with[workers]

    async def warm(self):
        """Find a chunk size where one is needed."""
        await (best_chunk_size(self) if self.row == 3 else super().warm())

    async def map_all(self, fn, items):
        """``Executor.map``, blocking."""
        return sum(1 for _ in self._pool.map(fn, items, chunksize=self.chunk_size))


class StandardExecutorUvloop(StandardExecutor):
    """The same on uvloop."""

    loop = "uvloop"


class StandardPool(Contestant):
    """``multiprocessing.Pool.imap_unordered``."""

    chunk_size = 256

    async def open(self):
        """Make the pool."""
        context = multiprocessing.get_context("forkserver")
        self._pool = self.stack.enter_context(context.Pool(2))

    async def warm(self):
        """Find a chunk size."""
        await best_chunk_size(self)

    async def map_all(self, fn, items):
        """``imap_unordered``, blocking."""
        return sum(1 for _ in self._pool.imap_unordered(fn, items, chunksize=self.chunk_size))
