"""The event-loop lane: the call runs right here, and nothing else does meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lanewise.lanes.resolve import plain_function
from lanewise.model.lane import LaneName


class EventLoopLane:
    """For calls that are shorter than the loop budget: no dispatch, no copy, no hand-over.

    Cancellation: there is none, for the loop cannot do anything else before the call is over.
    """

    name: LaneName = "event_loop"

    async def open(self) -> None:
        """Nothing to make ready."""

    async def run(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Run the call at once."""
        return plain_function(function, variant)(*args, **kwargs)

    async def close(self) -> None:
        """Nothing to release."""
