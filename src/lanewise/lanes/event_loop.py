"""The event-loop lane: the call runs right here, and nothing else does meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lanewise.errors import LaneUnavailableError
from lanewise.lanes.resolve import plain_function
from lanewise.model.lane import LaneName


class EventLoopLane:
    """For calls that are shorter than the loop budget: no dispatch, no copy, no hand-over.

    Cancellation: there is none, for the loop cannot do anything else before the call is over.
    """

    name: LaneName = "event_loop"

    def __init__(self) -> None:
        # owner: the loop that opened the lane.
        self._opened = False

    async def open(self) -> None:
        """Make ready: there is nothing to start."""
        self._opened = True

    async def run(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Run the call at once."""
        if not self._opened:
            raise LaneUnavailableError("the event-loop lane is closed: enter the runtime first")
        return plain_function(function, variant)(*args, **kwargs)

    async def close(self) -> None:
        """Nothing to release."""
        self._opened = False
