"""Debug mode: tell of tasks whose meaning depends on where they run."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from lanewise.model.lane import SHARING_MEMORY, LaneName
from lanewise.model.task import Task
from lanewise.runtime.effects import call_telling

_MAX_TOLD = 4_096


class EffectsWatch:
    """Warns once of each task that says it may run anywhere and changes what it shares with its caller.

    Owner: the runtime's loop; calls in threads tell it of what they changed through that.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()

    def watched(
        self, task: Task[..., Any], variant: str, lane: LaneName
    ) -> Callable[..., Any] | None:
        """Return what to call in place of the task's function; None where nothing is looked at."""
        if not task.declared or task.isolation != "any" or lane not in SHARING_MEMORY:
            return None
        loop = asyncio.get_running_loop()

        def tell(changes: list[str]) -> None:
            loop.call_soon_threadsafe(self._tell, task.name, lane, changes)

        return partial(call_telling, tell, task.implementation(variant))

    def _tell(self, name: str, lane: LaneName, changes: list[str]) -> None:
        if name in self._told:
            return
        if len(self._told) >= _MAX_TOLD:
            self._told.clear()
        self._told.add(name)
        warnings.warn(
            f"while {name} ran on the {lane} lane, {', '.join(changes)} (by it, or by what ran beside "
            "it). In a process its caller would not see that, so what it means depends on where it "
            'runs: have it work on copies, or declare it @task(isolation="required")',
            RuntimeWarning,
            stacklevel=2,
        )
