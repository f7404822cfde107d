"""``InlineLane``: no thread, no process, and a record of every call."""

from __future__ import annotations

import contextvars
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

from _lanewise_worker.deadline import DEADLINE
from lanewise.errors import LaneUnavailableError
from lanewise.lanes.resolve import plain_function
from lanewise.model.lane import PLAIN_TERMS, LaneName, Terms


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One call as it was made and as it ended.

    Attributes:
        function: What was given to the lane, a task or a plain function.
        result: What it returned; None where it raised.
        error: What it raised, or None.
    """

    function: Callable[..., Any]
    variant: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any = None
    error: BaseException | None = None


class InlineLane:
    """A lane for unit tests: runs each call at once, where it is made, and records it.

    ::

        lane = InlineLane("process")       # stands in for any lane
        await lane.open()
        assert await lane.run(match, "default", (rows,), {}) == pairs
        assert lane.calls[0].function is match

    Args:
        name: The lane that it stands in for.

    Cancellation: there is none, for each call is over before anything else can happen.
    """

    def __init__(self, name: LaneName = "event_loop") -> None:
        self.name: LaneName = name
        # owner: the loop that opened the lane.
        self._calls: list[RecordedCall] = []
        self._is_open = False

    @property
    def calls(self) -> tuple[RecordedCall, ...]:
        """Every call so far, in the order in which they ended. Kept when the lane is closed."""
        return tuple(self._calls)

    async def open(self) -> None:
        """Begin to take calls. Idempotent."""
        self._is_open = True

    async def run(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms = PLAIN_TERMS,
    ) -> Any:
        """Run the call at once and record it.

        Raises:
            LaneUnavailableError: The lane is not open; such a call is not recorded.
        """
        if not self._is_open:
            raise LaneUnavailableError("the inline lane is closed: open it first")
        context = contextvars.copy_context()
        context.run(DEADLINE.set, terms.deadline)
        try:
            result = context.run(plain_function(function, variant), *args, **kwargs)
        except BaseException as error:
            self._calls.append(RecordedCall(function, variant, args, kwargs, error=error))
            raise
        self._calls.append(RecordedCall(function, variant, args, kwargs, result=result))
        return result

    async def stream(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms = PLAIN_TERMS,
    ) -> AsyncGenerator[Any, None]:
        """Run a generator function as its items are asked for; recorded with the list of them."""
        del terms
        if not self._is_open:
            raise LaneUnavailableError("the inline lane is closed: open it first")
        given: list[Any] = []
        error: BaseException | None = None
        try:
            for item in plain_function(function, variant)(*args, **kwargs):
                given.append(item)
                yield item
        except Exception as raised:
            error = raised
            raise
        finally:
            self._calls.append(RecordedCall(function, variant, args, kwargs, given, error))

    async def close(self, grace_s: float | None = None) -> None:  # noqa: ARG002 - because: the signature of every lane
        """Take no more calls. Idempotent."""
        self._is_open = False
