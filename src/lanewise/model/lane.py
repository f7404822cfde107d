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
    opened it. ``lanewise.testing.LaneContract`` is the suite that every lane must pass.
    """

    name: LaneName

    async def open(self) -> None:
        """Make the lane ready. Idempotent; when cancelled, nothing is left behind.

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
        """Run one call and return its result, or raise what it raised.

        Cancellation: a call that has not started never will. One that runs and cannot be stopped is
        abandoned: the CancelledError is then marked with :func:`mark_abandoned`.
        """

    async def close(self) -> None:
        """Release every worker. Idempotent."""


def mark_abandoned(cancelled: BaseException) -> None:
    """Note on a CancelledError that the call which was cancelled goes on running.

    An attribute, and no exception class of its own, since ``asyncio.timeout`` looks for
    CancelledError itself and not for what derives from it.
    """
    cancelled.lanewise_abandoned = True  # type: ignore[attr-defined]  # because: see above


def was_abandoned(cancelled: BaseException) -> bool:
    """Whether the cancelled call goes on running."""
    return bool(getattr(cancelled, "lanewise_abandoned", False))
