"""Who is served next on one lane, who waits, and who is sent away: no clock, no loop, no I/O.

Whoever uses it tells what happened (a call came, one ended, somebody left) and is told whom to serve and
whom to refuse. The rules, in order:

* **Bulkhead.** A lane has places of its own. Another lane's flood takes none of them.
* **Priority.** Of those that wait, a higher class goes first; where room ends, the lowest goes home.
* **Fair share.** Within a class, tasks take turns. A flood of one task delays that task.
* **No vain hope.** A call that is expected to wait for half as long as it may, or longer than it has
  time, is refused when it comes, while its caller can still do something else.
* **First come, first served** within a task, while that holds what it promises. Once its oldest call has
  nearly waited for as long as one may, what was expected was wrong, and the newest goes first, since its
  caller is the likeliest to be there still (adaptive LIFO: Maurer, "Fail at Scale", ACM Queue 2015; there
  it is a queue that has not been empty for some time, which here, where vain hope is refused, only tells
  that the lane is in full use: to turn the queue then would have old calls wait in vain).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from lanewise.model.lane import PRIORITIES, Priority
from lanewise.runtime.statistics import ShedReason

# Places are counted in parts, so that calls which are known to be short may share one: their lane sends
# them together, and would else idle between them.
WHOLE = 64
# Weight of the newest service time in the mean: over a dozen calls the old ones fade.
_NEWEST = 0.1
# One that takes this many times the mean counts as no more.
_FAR_OFF = 10.0
# Told to who is refused before anything is known of service times.
_FIRST_GUESS_S = 1.0
# And never less than this: who comes back at once meets the same crowd.
_LEAST_RETRY_S = 0.05
# Parts of the time that a call may wait. Where more is expected it is refused, for what is expected may
# be wrong by a factor: a machine that others use, too, is half as fast for a second now and then. And
# where one has waited for more, it was wrong.
_HOPE = 0.5
_OLD = 0.875
# With more tasks than this waiting in one class their turns are not counted one by one.
_MAX_TURNS = 64

_RANKS: dict[Priority, int] = {name: rank for rank, name in enumerate(PRIORITIES)}


@dataclass(slots=True, eq=False)
class Ticket:
    """One call at the door. Owner: the room, until it is over.

    Attributes:
        task: Whose share it comes out of.
        priority: Its class.
        parts: How much of a place it takes, of ``WHOLE``.
        arrived_s: When it came.
        expected_s: How long it is thought to take; None takes the mean of its lane.
        deadline_s: When its time is over, or None.
        payload: The user's; never looked at.
        may_move: It may be asked to go elsewhere while it waits.
    """

    task: str
    arrived_s: float
    priority: Priority = "normal"
    parts: int = WHOLE
    expected_s: float | None = None
    deadline_s: float | None = None
    payload: Any = None
    may_move: bool = False
    state: Literal["new", "waiting", "served", "over"] = "new"
    began_s: float = 0.0
    work_s: float = 0.0

    @property
    def is_served(self) -> bool:
        """Whether it has its place."""
        return self.state == "served"


class Serve(NamedTuple):
    """It is this one's turn."""

    ticket: Ticket


class Shed(NamedTuple):
    """Send this one away; it may come again after so long."""

    ticket: Ticket
    reason: ShedReason
    retry_after_s: float


Instruction = Serve | Shed


@dataclass(slots=True, eq=False)
class _Queue:
    """What waits of one task in one class. ``work_s`` is the time of places that it stands for."""

    tickets: deque[Ticket] = field(default_factory=deque)
    work_s: float = 0.0


class WaitingRoom:
    """See the module's text.

    Args:
        places: Calls served at once.
        capacity: Calls that are inside at once, served and waiting. With ``timeout_s`` as many again
            may wait at the door, and the next one sends somebody home.
        timeout_s: How long a call may wait; None for as long as it takes.

    Threads: none; one owner calls it.
    """

    def __init__(self, places: int, capacity: int, timeout_s: float | None) -> None:
        self.places = min(places, capacity)
        self._free = self.places * WHOLE
        self._capacity = capacity
        self._timeout_s = timeout_s
        # By class, then by task; whose turn it is comes first.
        self._classes: tuple[OrderedDict[str, _Queue], ...] = tuple(
            OrderedDict() for _ in PRIORITIES
        )
        self._class_work_s = [0.0 for _ in PRIORITIES]
        self._served_work_s = 0.0
        self.waiting = 0
        self.serving = 0
        self.mean_service_s: float | None = None

    # --- what can be asked ----------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether a call that needs a whole place would be served at once."""
        return not self.waiting and self._free >= WHOLE

    def expected_wait_s(self, task: str = "", priority: Priority = "normal") -> float | None:
        """How long a call of that task and class would wait; None where nothing is known."""
        if self.has_room:
            return 0.0
        if self.mean_service_s is None:
            return None
        rank = _RANKS[priority]
        before_s = sum(self._class_work_s[:rank]) + self._turns_before_s(self._classes[rank], task)
        # Of those that are served, half of the time is over on average.
        return (before_s + self._served_work_s / 2) / self.places

    def retry_after_s(self) -> float:
        """After how long half of what waits now will have been served. Without jitter."""
        if self.mean_service_s is None:
            return _FIRST_GUESS_S
        all_s = sum(self._class_work_s) + self._served_work_s
        return max(_LEAST_RETRY_S, self.mean_service_s, all_s / self.places / 2)

    def movable(self, task: str) -> list[Ticket]:
        """Return the calls of a task that wait and may go elsewhere."""
        queues = (one.get(task) for one in self._classes)
        waiting = (ticket for queue in queues if queue is not None for ticket in queue.tickets)
        return [ticket for ticket in waiting if ticket.may_move]

    # --- what happens ---------------------------------------------------------------------------

    def resize(self, places: int, now_s: float) -> list[Instruction]:
        """There are more places, or fewer; those that are taken stay taken."""
        places = min(places, self._capacity)
        self._free += (places - self.places) * WHOLE
        self.places = places
        return self._next(now_s) if self.waiting else []

    def admit(self, parts: int, expected_s: float | None) -> float | None:
        """A call came. If it can be served at once, as mostly, do so without a ticket.

        Returns:
            What :meth:`vacate` is to be given when it ends; None where it must :meth:`arrive` instead.
        """
        if self.waiting or parts > self._free:
            return None
        mean_s = self.mean_service_s or 0.0
        work_s = mean_s if expected_s is None else expected_s * parts / WHOLE
        self.serving += 1
        self._free -= parts
        self._served_work_s += work_s
        return work_s

    def vacate(
        self, parts: int, work_s: float, service_s: float | None, now_s: float
    ) -> list[Instruction]:
        """A call has ended that held so much of a place; None for one that did not run to its end."""
        if service_s is not None:
            service_s *= parts / WHOLE
            mean_s = self.mean_service_s
            if mean_s is None:
                self.mean_service_s = service_s
            else:
                # A clock that jumped, or a machine that slept, would else have all refused for long.
                service_s = min(service_s, _FAR_OFF * mean_s) if mean_s else service_s
                self.mean_service_s = mean_s + _NEWEST * (service_s - mean_s)
        self.serving -= 1
        self._free += parts
        self._served_work_s = self._served_work_s - work_s if self.serving else 0.0
        return self._next(now_s) if self.waiting else []

    def arrive(self, ticket: Ticket, now_s: float) -> list[Instruction]:
        """A call came. Without an instruction that names it, it waits."""
        ticket.work_s = self._work_of(ticket)
        if not self.waiting and ticket.parts <= self._free:
            return [self._serve(ticket, now_s)]
        why = self._vain(ticket, now_s)
        if why is not None:
            return [self._shed(ticket, why)]
        instructions: list[Instruction] = []
        if self._timeout_s is not None and self.serving + self.waiting >= 2 * self._capacity:
            victim = self._lowest(ticket)
            if victim is ticket:
                return [self._shed(ticket, "full")]
            self._remove(victim)
            instructions.append(self._shed(victim, "displaced"))
        self._queue(ticket)
        return instructions

    def leave(self, ticket: Ticket, now_s: float, *, counts: bool = True) -> list[Instruction]:
        """A served call has ended; ``counts`` says whether it ran as long as such calls do."""
        ticket.state = "over"
        service_s = max(now_s - ticket.began_s, 0.0) if counts else None
        return self.vacate(ticket.parts, ticket.work_s, service_s, now_s)

    def cancel(self, ticket: Ticket, now_s: float) -> list[Instruction]:
        """Nobody waits for that call any more; it has not been served."""
        if ticket.state != "waiting":
            return []
        self._remove(ticket)
        ticket.state = "over"
        return self._next(now_s)  # one that takes less of a place may have stood behind it

    def expire(self, ticket: Ticket, now_s: float) -> list[Instruction]:
        """That call has waited for as long as it may."""
        if ticket.state != "waiting":
            return []
        self._remove(ticket)
        return [self._shed(ticket, "queue_timeout"), *self._next(now_s)]

    def end(self) -> list[Ticket]:
        """Send everybody who waits home; return them."""
        left = [
            one for queues in self._classes for queue in queues.values() for one in queue.tickets
        ]
        for ticket in left:
            self._remove(ticket)
            ticket.state = "over"
        return left

    # --- inside ---------------------------------------------------------------------------------

    def _work_of(self, ticket: Ticket) -> float:
        if ticket.expected_s is None:
            return self.mean_service_s or 0.0
        return ticket.expected_s * ticket.parts / WHOLE

    def _turns_before_s(self, queues: OrderedDict[str, _Queue], task: str) -> float:
        """The work that goes before one more call of a task: as many turns of each other one."""
        own = queues.get(task)
        turns = 1 + (len(own.tickets) if own is not None else 0)
        before_s = own.work_s if own is not None else 0.0
        if len(queues) > _MAX_TURNS:
            return sum(queue.work_s for queue in queues.values())
        for name, queue in queues.items():
            if name != task:
                waiting = len(queue.tickets)
                before_s += queue.work_s * min(turns, waiting) / waiting
        return before_s

    def _vain(self, ticket: Ticket, now_s: float) -> ShedReason | None:
        wait_s = self.expected_wait_s(ticket.task, ticket.priority)
        if wait_s is None:
            return None
        if ticket.deadline_s is not None:
            expected_s = ticket.work_s * WHOLE / ticket.parts
            if now_s + wait_s + expected_s > ticket.deadline_s:
                return "deadline"
        if self._timeout_s is not None and wait_s > _HOPE * self._timeout_s:
            return "predicted_wait"
        return None

    def _lowest(self, newest: Ticket) -> Ticket:
        """Who goes home when there is no room: the newest of the longest queue of the lowest class."""
        own = _RANKS[newest.priority]
        for rank in range(len(self._classes) - 1, own - 1, -1):
            if not self._classes[rank]:
                continue
            longest = max(self._classes[rank].values(), key=lambda queue: len(queue.tickets))
            if rank > own:
                return longest.tickets[-1]
            mine = self._classes[rank].get(newest.task)
            if len(longest.tickets) > 1 + (0 if mine is None else len(mine.tickets)):
                return longest.tickets[-1]
        return newest

    def _is_late(self, oldest: Ticket, now_s: float) -> bool:
        limit_s = self._timeout_s
        return limit_s is not None and now_s - oldest.arrived_s > _OLD * limit_s

    def _next(self, now_s: float) -> list[Instruction]:
        instructions: list[Instruction] = []
        while self.waiting:
            queues = next(one for one in self._classes if one)
            task, queue = next(iter(queues.items()))
            ticket = queue.tickets[-1 if self._is_late(queue.tickets[0], now_s) else 0]
            if ticket.parts > self._free:
                break
            self._remove(ticket)
            if task in queues:
                queues.move_to_end(task)
            if ticket.deadline_s is not None and now_s >= ticket.deadline_s:
                instructions.append(self._shed(ticket, "deadline"))
            else:
                instructions.append(self._serve(ticket, now_s))
        return instructions

    def _serve(self, ticket: Ticket, now_s: float) -> Serve:
        ticket.state = "served"
        ticket.began_s = now_s
        self.serving += 1
        self._free -= ticket.parts
        self._served_work_s += ticket.work_s
        return Serve(ticket)

    def _shed(self, ticket: Ticket, reason: ShedReason) -> Shed:
        ticket.state = "over"
        return Shed(ticket, reason, self.retry_after_s())

    def _queue(self, ticket: Ticket) -> None:
        ticket.state = "waiting"
        rank = _RANKS[ticket.priority]
        queues = self._classes[rank]
        queue = queues.get(ticket.task)
        if queue is None:
            queue = queues[ticket.task] = _Queue()
        queue.tickets.append(ticket)
        queue.work_s += ticket.work_s
        self._class_work_s[rank] += ticket.work_s
        self.waiting += 1

    def _remove(self, ticket: Ticket) -> None:
        rank = _RANKS[ticket.priority]
        queues = self._classes[rank]
        queue = queues[ticket.task]
        if queue.tickets[0] is ticket:
            queue.tickets.popleft()
        elif queue.tickets[-1] is ticket:
            queue.tickets.pop()
        else:
            queue.tickets.remove(ticket)
        queue.work_s -= ticket.work_s
        self._class_work_s[rank] -= ticket.work_s
        if not queue.tickets:
            del queues[ticket.task]
        if not queues:
            self._class_work_s[rank] = 0.0  # what rounding has left
        self.waiting -= 1
