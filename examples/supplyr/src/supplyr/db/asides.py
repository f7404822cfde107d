"""Changes that nobody waits for, and that may get lost: when somebody was last seen, say."""

import asyncio
import logging
from typing import Any

from supplyr.db.database import Database, Parameters

# Beyond that the database is away or very busy, and what is noted now will be noted later.
_MOST = 1000
_log = logging.getLogger(__name__)


class Asides:
    """Changes that wait for their turn to write. owner: the database on whose loop they run."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[Any, asyncio.Task[None]] = {}

    def add(self, key: Any, sql: str, parameters: Parameters) -> None:
        """Make a change soon; nothing happens where one of this key waits already."""
        if key in self._waiting or len(self._waiting) >= _MOST:
            return
        task = asyncio.get_running_loop().create_task(self._change(sql, parameters))
        self._waiting[key] = task
        task.add_done_callback(lambda _: self._waiting.pop(key, None))

    async def _change(self, sql: str, parameters: Parameters) -> None:
        try:
            async with self._database.transaction() as transaction:
                await transaction.execute(sql, parameters)
        except Exception as error:
            # Nobody waits for it, and it will be tried again before long.
            _log.warning("a note was not written: %s", error)

    async def close(self) -> None:
        """Give up what still waits."""
        tasks = list(self._waiting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
