"""Lanes: the kinds of place in which a call can run, and what every one of them offers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

LaneName = Literal["event_loop", "thread", "process", "interpreter", "cluster"]
LANE_NAMES: tuple[LaneName, ...] = ("event_loop", "thread", "process", "interpreter", "cluster")

# Where two lanes are equally good, the one that asks less of its user comes first.
SIMPLEST_FIRST: tuple[LaneName, ...] = LANE_NAMES


# Where a call sees its caller's own objects; to every other lane they must be sent.
SHARING_MEMORY: frozenset[LaneName] = frozenset(("event_loop", "thread"))

# Tells seconds, from wherever they are counted.
Clock = Callable[[], float]

OnCancel = Literal["stop", "kill", "abandon"]

# Of those that wait for a lane the first class goes first; where room ends, the last goes home.
Priority = Literal["high", "normal", "low"]
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")


@dataclass(slots=True, eq=False)
class CallReport:
    """What a lane saw of one call. Owner: who made the call; the lane fills it in while that runs.

    Attributes:
        watch: The lane is asked for what it could not tell without looking: the three last ones.
        queue: It is asked for ``run_queue_s`` alone.
        run_s: Time in the function itself.
        cpu_s: Time on cores.
        near_s: Time that this side spent packing arguments and unpacking the result.
        args_bytes: What crossed, there; ``result_bytes`` and back.
        run_queue_s: Time in the function ready to run and without a core.
        held_share: Share of the function's time under the lock, from so many ``samples``.
    """

    watch: bool = False
    queue: bool = False
    run_s: float | None = None
    cpu_s: float | None = None
    near_s: float | None = None
    args_bytes: int | None = None
    result_bytes: int | None = None
    run_queue_s: float | None = None
    held_share: float | None = None
    samples: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which conditions a call runs.

    Attributes:
        deadline: Moment of ``time.monotonic()`` at which the call's time is over, or None. The lane
            only tells it to the call; who awaits it enforces it.
        on_cancel: What happens to a running call that nobody waits for any more.
        idempotent: The call may be started again after its worker died.
        report: Where the lane is to note what it sees of the call, or None.
    """

    deadline: float | None = None
    on_cancel: OnCancel = "stop"
    idempotent: bool = False
    report: CallReport | None = None

    def reporting_to(self, report: CallReport) -> Terms:
        """Return the same terms with another report. ``dataclasses.replace`` takes ten times as long."""
        return Terms(self.deadline, self.on_cancel, self.idempotent, report)


PLAIN_TERMS = Terms()


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
        terms: Terms = PLAIN_TERMS,
    ) -> Any:
        """Run one call and return its result, or raise what it raised.

        Cancellation: a call that has not started never will. One that runs is stopped where the lane
        can and ``terms.on_cancel`` does not say otherwise; else it is abandoned, and the
        CancelledError marked with :func:`mark_abandoned`.
        """

    def stream(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms = PLAIN_TERMS,
    ) -> AsyncGenerator[Any, None]:
        """Run a generator function and yield its items as they come.

        The generator runs ahead of its consumer by a bounded number of items. Closing the iterator
        closes the generator where it runs, so that its ``finally`` is reached.
        """

    async def close(self, grace_s: float | None = None) -> None:
        """Release every worker. Idempotent.

        Args:
            grace_s: Seconds that calls in flight may take to end; then those that can be killed are.
                None waits for as long as they take.
        """


class ChunkLane(Lane, Protocol):
    """A lane that can carry many items of one function as one call."""

    async def run_chunk(
        self,
        function: Callable[..., Any],
        variant: str,
        items: Sequence[Any],
        terms: Terms = PLAIN_TERMS,
    ) -> tuple[list[Any], float | None]:
        """Run ``function(item)`` for each item, one after another in one worker.

        Returns:
            For each item what it gave, or a :class:`Failed` that holds what it raised; and the seconds
            that all took, where they are known.
        """


@dataclass(frozen=True, slots=True)
class Failed:
    """What an item of a chunk raised."""

    error: BaseException


class GoesOn(Protocol):
    """What an abandoned call goes on as: a future of the standard library, say."""

    def add_done_callback(self, fn: Callable[[Any], object], /) -> None:
        """Have something called when it has ended, in whatever thread that is."""


def mark_abandoned(cancelled: BaseException, running: GoesOn | None = None) -> None:
    """Note on a CancelledError that the call which was cancelled goes on running, and as what.

    An attribute, and no exception class of its own, since ``asyncio.timeout`` looks for
    CancelledError itself and not for what derives from it.
    """
    cancelled.lanewise_abandoned = running or True  # type: ignore[attr-defined]  # because: see above


def mark_killed(cancelled: BaseException) -> None:
    """Note on a CancelledError that the process which ran the call is killed for it."""
    cancelled.lanewise_killed = True  # type: ignore[attr-defined]  # because: see mark_abandoned


def was_killed(cancelled: BaseException) -> bool:
    """Whether the cancelled call was stopped by killing its process."""
    return bool(getattr(cancelled, "lanewise_killed", False))


def abandoned_call(cancelled: BaseException) -> GoesOn | None:
    """What an abandoned call goes on as, where its lane gave that."""
    running = getattr(cancelled, "lanewise_abandoned", None)
    return None if running is None or running is True else cast("GoesOn", running)


def was_abandoned(cancelled: BaseException) -> bool:
    """Whether the cancelled call goes on running."""
    return bool(getattr(cancelled, "lanewise_abandoned", False))
