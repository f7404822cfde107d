"""trio-parallel, under trio."""

import functools
import time

from lane_contestants import jobs
from lane_contestants.base import Contestant


class TrioParallel(Contestant):
    """``trio_parallel.run_sync``."""

    loop = "trio"

    def drive(self, main):
        """``trio.run``."""
        import trio

        trio.run(main)

    async def open(self):
        """Open a context; its workers start with the first calls."""
        import trio
        import trio_parallel

        context = await self.stack.enter_async_context(trio_parallel.open_worker_context())
        # The worker that is to be killed is the only one, for everybody.
        limiter = trio.CapacityLimiter(1 if self.row == 8 else 2)
        self.call = functools.partial(
            context.run_sync, limiter=limiter, kill_on_cancel=self.row == 8
        )

    async def readable(self, fd):
        """Wait until something can be read."""
        import trio

        await trio.lowlevel.wait_readable(fd)

    async def sleep(self, seconds):
        """Let time pass."""
        import trio

        await trio.sleep(seconds)

    async def together(self, count, caller):
        """A nursery of callers."""
        import trio

        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(caller)

    async def kill_once(self, started):
        """Cancel the scope in which the call is awaited."""
        import trio

        scope = trio.CancelScope()

        async def run():
            with scope:
                await self.call(jobs.spin_until_killed, started.path)
                raise RuntimeError("the call to be killed ended before")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await self.readable(started.fd)
            started.read()
            begun = time.perf_counter()
            scope.cancel()
            await self.call(jobs.noop)
            return time.perf_counter() - begun
