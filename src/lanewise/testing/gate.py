"""Hold calls where they are, in whatever thread or process they run, without sleeping."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

# Longer than any machine needs to start a call; only a call that never comes waits so long.
_PATIENCE_S = 30.0


class Gate:
    """Calls of :func:`lanewise.testing.calls.visit` announce themselves here and wait.

    ::

        async with Gate() as gate:
            running = asyncio.create_task(rt.run(visit, gate.address, "one"))
            await gate.visited("one")     # it runs now, wherever that is
            gate.open()                   # let it and every later one go on

    Attributes:
        address: What to give to ``visit``.
        visits: The names that came, in order.

    Threads: belongs to the event loop that entered it.
    """

    def __init__(self) -> None:
        self._directory = tempfile.mkdtemp(prefix="lanewise-gate-")
        self.address = str(Path(self._directory) / "gate")
        self.visits: list[str] = []
        # owner: the loop that entered the gate, all of the following.
        self._is_open = asyncio.Event()
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._receive, self.address)
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Let everybody go and take the gate away."""
        self.open()
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*self._serving)
        shutil.rmtree(self._directory, ignore_errors=True)

    def open(self) -> None:
        """Let those who wait go on, and all who come later."""
        self._is_open.set()

    async def visited(self, name: str) -> None:
        """Wait until a visit of that name has come.

        Raises:
            TimeoutError: It never came.
        """
        async with asyncio.timeout(_PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: name in self.visits)

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self._serving.add(serving)
        try:
            line = await reader.readline()
            async with self._changed:
                self.visits.append(line.decode().strip())
                self._changed.notify_all()
            await self._is_open.wait()
        finally:
            writer.close()
            self._serving.discard(serving)
