"""Lanes: the kinds of place in which a call can run, and what every one of them offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

LaneName = Literal["event_loop", "thread", "process", "interpreter", "cluster"]
LANE_NAMES: tuple[LaneName, ...] = ("event_loop", "thread", "process", "interpreter", "cluster")

# Where two lanes are equally good, the one that asks less of its user comes first.
SIMPLEST_FIRST: tuple[LaneName, ...] = LANE_NAMES


class Lane(Protocol):
    """A place that runs calls, driven from one event loop.

    A lane is opened and closed by its owner; ``run`` is called between the two, from the loop that
    opened it.
    """

    name: LaneName

    async def open(self) -> None:
        """Make the lane ready.

        Raises:
            LaneUnavailableError: It cannot run here; the message says why.
        """

    async def run(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Run one call and return its result, or raise what it raised."""

    async def close(self) -> None:
        """Release every worker. Idempotent."""
