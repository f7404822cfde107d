"""Ray, on this machine only. Its servers use the processor all the time."""

import functools
import tempfile

from lane_contestants.base import Contestant

_STORE_BYTES = 2_000_000_000


class Ray(Contestant):
    """``await function.remote(...)``; large arguments are put into its store by the call itself."""

    restless = True

    async def open(self):
        """Start the servers."""
        import ray

        self._shared = None
        self.stack.callback(ray.shutdown)
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            object_store_memory=_STORE_BYTES,
            # This process has a folder of its own, which is removed after it. No folder below it: the
            # paths of sockets may have about 100 characters, and Ray uses most of them.
            _temp_dir=tempfile.gettempdir(),
        )
        remote = functools.cache(ray.remote)
        self.call = lambda fn, *args: remote(fn).remote(*args)

    async def shared_array(self):
        """``ray.put``."""
        if self._shared is None:
            import numpy as np
            import ray

            array = np.arange(self.sizes.array_bytes // 8, dtype=np.float64)
            self._shared = ray.put(array)
        return self._shared

    async def close(self):
        """Drop the shared array while the store is there."""
        self._shared = None
        await super().close()
