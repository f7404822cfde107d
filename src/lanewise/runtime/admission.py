"""The front door of a lane: the waiting room's rules, kept by a loop's clock."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable

from lanewise.errors import LaneUnavailableError, OverloadedError
from lanewise.model.lane import Clock, LaneName
from lanewise.model.units import format_seconds
from lanewise.runtime.statistics import ShedReason
from lanewise.runtime.waiting_room import Instruction, Serve, Ticket, WaitingRoom

# Those who were refused together are told times that differ by up to so much either way.
_JITTER = 0.3


class Rerouted(Exception):  # noqa: N818 - because: it tells what happened, and nothing is wrong
    """Whoever waits here had better ask again where to go."""


class Door:
    """Lets calls into one lane. Owner: the runtime's loop.

    Args:
        lane: Its name.
        places: Calls that it runs at once.
        max_queue: Calls inside at once, running and waiting.
        timeout_s: How long a call may wait; None for as long as it takes.
        clock: Tells seconds. One that jumps makes waits look longer or shorter and breaks nothing: the
            loop's own clock ends what waits for too long.
    """

    def __init__(
        self,
        lane: LaneName,
        places: int,
        max_queue: int,
        timeout_s: float | None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.now_s = clock
        self.room = WaitingRoom(places, max_queue, timeout_s)
        self._lane = lane
        self._max_queue = max_queue
        self._timeout_s = timeout_s
        self._dice = random.Random()  # noqa: S311 - because: it spreads retries
        self._empty: asyncio.Event | None = None

    async def enter(self, ticket: Ticket) -> None:
        """Wait for a place; whoever gets one gives it back by :meth:`leave`.

        Raises:
            OverloadedError: There is none, or will be none in time.

        Cancellation: the call is taken back.
        """
        instructions = self.room.arrive(ticket, self.now_s())
        if ticket.is_served:
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket.payload = turn
        self._do(instructions)
        timer = None
        if self._timeout_s is not None:
            timer = turn.get_loop().call_later(self._timeout_s, self._expire, ticket)
        try:
            await turn
        except asyncio.CancelledError:
            # Its turn may have come in the same moment, before or after this was cancelled.
            if turn.done() and not turn.cancelled():
                turn.exception()  # a refusal that came then is told to nobody, and nobody is to miss it
            if ticket.is_served:
                self.leave(ticket, counts=False)
            else:
                self._do(self.room.cancel(ticket, self.now_s()))
            raise
        finally:
            if timer is not None:
                timer.cancel()
            self._look()

    def leave(self, ticket: Ticket, *, counts: bool = True) -> None:
        """Give a place back; ``counts`` says whether the call ran as long as such calls do."""
        instructions = self.room.leave(ticket, self.now_s(), counts=counts)
        if instructions:
            self._do(instructions)
            self._look()

    def reroute(self, task: str) -> None:
        """Have calls of a task that wait and may move raise :class:`Rerouted` instead."""
        for ticket in self.room.movable(task):
            self._do(self.room.cancel(ticket, self.now_s()))
            if ticket.payload is not None and not ticket.payload.done():
                ticket.payload.set_exception(Rerouted())
        self._look()

    def resize(self, places: int) -> None:
        """There are more places, or fewer."""
        self._do(self.room.resize(places, self.now_s()))
        self._look()

    def vacate(self, parts: int, work_s: float, service_s: float | None) -> None:
        """Give back what :meth:`WaitingRoom.admit` gave, or a ticket stood for."""
        room = self.room
        if room.waiting:
            self._do(room.vacate(parts, work_s, service_s, self.now_s()))
            self._look()
        else:
            room.vacate(parts, work_s, service_s, 0.0)  # the time is for those who wait

    async def drained(self) -> None:
        """Wait until nobody waits."""
        self._empty = asyncio.Event()
        while self.room.waiting:
            self._empty.clear()
            await self._empty.wait()

    def end(self) -> None:
        """Send those who wait home: the lane is being closed."""
        for ticket in self.room.end():
            if ticket.payload is not None and not ticket.payload.done():
                ticket.payload.set_exception(
                    LaneUnavailableError(
                        f"{ticket.task} was not started: the runtime was left while it waited for "
                        f"the {self._lane} lane"
                    )
                )

    def _look(self) -> None:
        if self._empty is not None and not self.room.waiting:
            self._empty.set()

    def _expire(self, ticket: Ticket) -> None:
        self._do(self.room.expire(ticket, self.now_s()))

    def _do(self, instructions: Iterable[Instruction]) -> None:
        for one in instructions:
            turn: asyncio.Future[None] | None = one.ticket.payload
            if turn is None or turn.done():
                continue
            if isinstance(one, Serve):
                turn.set_result(None)
            else:
                turn.set_exception(self._refusal(one.ticket, one.reason, one.retry_after_s))

    def _refusal(self, ticket: Ticket, reason: ShedReason, retry_after_s: float) -> OverloadedError:
        room, may_wait = self.room, format_seconds(self._timeout_s or 0.0)
        why = {
            "full": "it has no room and this is the least urgent call",
            "displaced": "it has no room and calls of a higher class came",
            "predicted_wait": f"it would probably wait over half of the {may_wait} that calls may wait",
            "queue_timeout": f"no place came free within the {may_wait} that calls may wait",
            "deadline": "the call could not end before its deadline",
        }[reason]
        return OverloadedError(
            f"{ticket.task} was refused by the {self._lane} lane: {why}. {room.serving} calls run "
            f"there and {room.waiting} wait (max_queue={self._max_queue}). Come back later, shed load "
            "earlier, or give the lane more workers",
            retry_after_s=retry_after_s * self._dice.uniform(1 - _JITTER, 1 + _JITTER),
            reason=reason,
            lane=self._lane,
        )
