"""Libraries that block their caller: they are called from the loop's thread, with nothing beside."""

import collections
import tempfile
import time
from pathlib import Path

from lane_contestants import jobs
from lane_contestants.base import Contestant

# Where joblib itself puts arrays.
_MEMORY = Path("/dev/shm")


class Mpire(Contestant):
    """``mpire.WorkerPool``, workers kept alive between calls."""

    async def open(self):
        """Make the pool."""
        import mpire

        pool = mpire.WorkerPool(n_jobs=2, start_method="forkserver", keep_alive=True)
        self._pool = self.stack.enter_context(pool)
        self.call = self._applied

    async def _applied(self, fn, *args):
        return self._pool.apply(fn, args)

    async def row2(self):
        """Keep as many calls in flight and take the oldest result."""
        waiting = collections.deque()
        calls = 0
        started = time.perf_counter()
        end = started + self.sizes.window_s
        while time.perf_counter() < end:
            while len(waiting) < self.sizes.in_flight:
                waiting.append(self._pool.apply_async(jobs.noop))
            waiting.popleft().get()
            calls += 1
        for left in waiting:
            left.get()
            calls += 1
        return {"value": calls / (time.perf_counter() - started)}

    async def map_all(self, fn, items):
        """``imap_unordered`` with the chunks that it chooses itself."""
        return sum(1 for _ in self._pool.imap_unordered(fn, items, iterable_len=len(items)))


class Joblib(Contestant):
    """``joblib.Parallel`` on loky, workers and temporary folder kept between calls."""

    async def open(self):
        """Enter the pool."""
        import joblib

        self._delayed = joblib.delayed
        self._shared = None
        self._parallel = self.stack.enter_context(joblib.Parallel(n_jobs=2))
        self.call = self._one

    async def _one(self, fn, *args):
        return self._parallel([self._delayed(fn)(*args)])[0]

    async def map_all(self, fn, items):
        """Batches that it sizes itself."""
        one = self._delayed(fn)
        return len(self._parallel(one(item) for item in items))

    async def shared_array(self):
        """An array in a file, mapped here and by the workers."""
        if self._shared is None:
            import joblib
            import numpy as np

            folder = tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)
            path = Path(self.stack.enter_context(folder)) / "array.joblib"
            joblib.dump(np.arange(self.sizes.array_bytes // 8, dtype=np.float64), path)
            self._shared = joblib.load(path, mmap_mode="r")
        return self._shared
