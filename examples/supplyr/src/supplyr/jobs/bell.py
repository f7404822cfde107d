"""Tells the runner of this process that there is something to do."""

import asyncio


class Bell:
    """Rung by whoever adds a job or asks for its end. Threads: belongs to one event loop."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake whoever listens."""
        self._rung.set()

    async def wait(self, at_most_s: float) -> None:
        """Return when it was rung since the last call, or after `at_most_s`."""
        try:
            async with asyncio.timeout(at_most_s):
                await self._rung.wait()
        except TimeoutError:
            pass
        self._rung.clear()
