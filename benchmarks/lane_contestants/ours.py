"""lanewise itself."""

import asyncio
import functools

from lane_contestants.base import Contestant, best_chunk_size


class Lanewise(Contestant):
    """``await rt.run(...)`` on a runtime whose only lane is processes."""

    async def open(self):
        """Enter the runtime that the row asks for."""
        self._with = {}
        self._shared = None
        if self.row != 7:
            self._runtime = await self._entered(1 if self.row == 8 else 2)
            self.call = self._runtime.run

    async def _entered(self, processes):
        import lanewise

        runtime = lanewise.Runtime(lanes=("process",), processes=processes)
        return await self.stack.enter_async_context(runtime)

    async def map_all(self, fn, items):
        """``rt.map``, in order."""
        count = 0
        async for _ in self._runtime.map(fn, items, ordered=True):
            count += 1
        return count

    async def shared_array(self):
        """``rt.share``."""
        if self._shared is None:
            import numpy as np

            array = np.arange(self.sizes.array_bytes // 8, dtype=np.float64)
            self._shared = self._runtime.share(array)
        return self._shared

    async def call_with(self, workers):
        """A runtime for each number of workers."""
        if workers not in self._with:
            self._with[workers] = (await self._entered(workers)).run
        return self._with[workers]

    async def close(self):
        """Give the shared array back first."""
        self._shared = None
        await super().close()


class LanewiseUvloop(Lanewise):
    """The same on uvloop."""

    loop = "uvloop"


class LanewiseExecutor(Contestant):
    """``loop.run_in_executor(lanewise.Executor())``."""

    chunk_size = 256

    async def open(self):
        """Make the executor."""
        import lanewise

        self._pool = self.stack.enter_context(lanewise.Executor(max_workers=2))
        self.call = functools.partial(asyncio.get_running_loop().run_in_executor, self._pool)

    async def warm(self):
        """Find a chunk size where one is needed."""
        await (best_chunk_size(self) if self.row == 3 else super().warm())

    async def map_all(self, fn, items):
        """``Executor.map``, blocking, as synchronous programs use it."""
        return sum(1 for _ in self._pool.map(fn, items, chunksize=self.chunk_size))
