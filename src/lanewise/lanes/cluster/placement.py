"""Which node runs which call: events in, instructions out, no clock and no I/O.

Who uses it tells what happened (a call came, one ended, a node came or went) and does what it is told.

What it holds to:

* A call that was sent is never sent again, unless it is idempotent and its node is lost.
* What a node has been sent never asks for more than it has; calls that take less time than a message
  are counted as less than they ask for, so that a node has some ahead and need not wait for the next.
* What no node that is left could ever run does not wait, nor keep others waiting.
* First come, first served; where the next call asks for more than any node has free, smaller ones may
  pass it, but not for ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

# A call that takes so long or longer takes a place of its own; a shorter one, its part of it, at least
# the second figure. A message to a node and back takes a millisecond or several.
HORIZON_S = 0.050
LEAST_PART = 1 / 64
# Weight of the newest run time in the average.
_NEWEST = 0.2
# An idempotent call is started at most so often.
_MAX_ATTEMPTS = 3
# So many calls are looked at behind one that does not fit anywhere, and so many may pass it.
_LOOK_BEHIND = 32
_MAX_PASSED = 64
_MAX_KNOWN = 4_096
# What rounding leaves when parts of places are added and taken away.
_NOTHING = 1e-9

State = Literal["new", "queued", "sent", "over"]


@dataclass(slots=True, eq=False)
class Call:
    """One call. Owner: the placement, until it is over.

    Attributes:
        function: What its run time is remembered under.
        payload: The user's; never looked at.
        cpus: What it asks of a node; ``memory_bytes`` likewise.
        idempotent: May be started again after its node was lost.
    """

    function: Hashable
    payload: Any = None
    cpus: float = 1.0
    memory_bytes: int = 0
    idempotent: bool = False
    state: State = "new"
    node: Node | None = None
    attempts: int = 0
    part: float = 0.0
    passed: int = 0


@dataclass(slots=True, eq=False)
class Node:
    """One node. Owner: the placement.

    Attributes:
        calls: Those that it was sent and that have not ended.
    """

    number: int
    cpus: float
    memory_bytes: float
    calls: dict[Call, None] = field(default_factory=dict)
    used: float = 0.0
    used_bytes: float = 0.0

    def has_room(self, part: float, memory_bytes: float) -> bool:
        """Whether so much is free."""
        return (
            self.used + part <= self.cpus + _NOTHING
            and self.used_bytes + memory_bytes <= self.memory_bytes
        )

    @property
    def load(self) -> float:
        """Which part of it is taken."""
        return self.used / self.cpus


class Send(NamedTuple):
    """Send that call to that node."""

    call: Call
    node: Node


class Stop(NamedTuple):
    """Have that node stop the call, and report its end when it has."""

    call: Call
    node: Node


class Lost(NamedTuple):
    """That call was in the hands of a node that is gone."""

    call: Call
    node: Node


class Unfit(NamedTuple):
    """That call waited, and of the nodes that are left none could run it."""

    call: Call


Instruction = Send | Stop | Lost | Unfit


class Placement:
    """See the module's text.

    Threads: none; one owner calls it.
    """

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self._queue: deque[Call] = deque()
        self._known_s: dict[Hashable, float] = {}

    # --- what can be asked ----------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Calls that no node has."""
        return len(self._queue)

    @property
    def queued(self) -> tuple[Call, ...]:
        """Those calls."""
        return tuple(self._queue)

    @property
    def sent(self) -> list[Call]:
        """Calls that nodes have."""
        return [call for node in self.nodes.values() for call in node.calls]

    def could_run(self, call: Call) -> bool:
        """Whether some node would have room if it had nothing else to do."""
        return any(
            call.cpus <= node.cpus and call.memory_bytes <= node.memory_bytes
            for node in self.nodes.values()
        )

    def run_time_s(self, function: Hashable) -> float | None:
        """Return the average run time of a function's calls, None where none has ended."""
        return self._known_s.get(function)

    # --- nodes ----------------------------------------------------------------------------------

    def node_up(self, number: int, cpus: float, memory_bytes: float) -> list[Instruction]:
        """A node came."""
        self.nodes[number] = Node(number, cpus, memory_bytes)
        return self._dispatched()

    def node_down(self, number: int) -> list[Instruction]:
        """A node went, and with it what it had. Idempotent."""
        return self.nodes_down([number])

    def nodes_down(self, numbers: Iterable[int]) -> list[Instruction]:
        """Nodes went together: what they had goes to none of them."""
        gone = [self.nodes.pop(number) for number in numbers if number in self.nodes]
        lost: list[Instruction] = []
        again: list[Call] = []
        for node in gone:
            for call in node.calls:
                call.node = None
                if call.idempotent and call.attempts < _MAX_ATTEMPTS:
                    call.state = "queued"
                    again.append(call)
                else:
                    call.state = "over"
                    lost.append(Lost(call, node))
            node.calls.clear()
        self._queue.extendleft(reversed(again))
        unfit = self._unfit() if gone else []
        return [*lost, *unfit, *self._dispatched()]

    # --- calls ----------------------------------------------------------------------------------

    def submit(self, call: Call) -> list[Instruction]:
        """A call came."""
        call.state = "queued"
        self._queue.append(call)
        return self._dispatched()

    def ended(self, call: Call, run_s: float | None = None) -> list[Instruction]:
        """A call that was sent has ended, in whatever way. Idempotent."""
        node = call.node
        if call.state != "sent" or node is None:
            return []
        call.state, call.node = "over", None
        del node.calls[call]
        node.used -= call.part
        node.used_bytes -= call.memory_bytes
        if not node.calls:
            node.used = node.used_bytes = 0.0  # what rounding has left
        if run_s is not None:
            self._ran(call.function, run_s)
        return self._dispatched()

    def cancel(self, call: Call) -> list[Instruction]:
        """Nobody waits for that call. One that runs keeps its place until its end is reported."""
        if call.state == "queued":
            self._queue.remove(call)
            call.state = "over"
            return self._dispatched()  # those behind it may fit
        if call.state == "sent" and call.node is not None:
            call.idempotent = False
            return [Stop(call, call.node)]
        return []

    def give_up(self) -> list[Call]:
        """Take every call out of the queue and return them."""
        calls = list(self._queue)
        self._queue.clear()
        for call in calls:
            call.state = "over"
        return calls

    # --- placing --------------------------------------------------------------------------------

    def _unfit(self) -> list[Instruction]:
        """Take out of the queue what no node could run; where there is no node, others may come."""
        if not self.nodes:
            return []
        unfit = [call for call in self._queue if not self.could_run(call)]
        if unfit:
            self._queue = deque(call for call in self._queue if self.could_run(call))
        for call in unfit:
            call.state = "over"
        return [Unfit(call) for call in unfit]

    def _ran(self, function: Hashable, run_s: float) -> None:
        known = self._known_s.get(function)
        if known is None and len(self._known_s) >= _MAX_KNOWN:
            self._known_s.pop(next(iter(self._known_s)))
        self._known_s[function] = run_s if known is None else known + _NEWEST * (run_s - known)

    def _part(self, call: Call) -> float:
        known_s = self._known_s.get(call.function)
        if known_s is None or call.memory_bytes:
            return call.cpus
        return call.cpus * min(1.0, max(known_s / HORIZON_S, LEAST_PART))

    def _dispatched(self) -> list[Instruction]:
        """Send what has room, in the order in which it came."""
        sent: list[Instruction] = []
        while self._queue:
            node = self._room_for(self._queue[0])
            if node is None:
                break
            sent.append(self._send(self._queue.popleft(), node))
        if self._queue and self.nodes:
            sent += self._passing()
        return sent

    def _passing(self) -> list[Instruction]:
        """Send what fits although a call before it does not."""
        head = self._queue[0]
        if all(
            call.cpus == head.cpus and call.memory_bytes == head.memory_bytes
            for call in list(self._queue)[1 : _LOOK_BEHIND + 1]
        ):
            return []
        sent: list[Instruction] = []
        for call in list(self._queue)[1 : _LOOK_BEHIND + 1]:
            if head.passed >= _MAX_PASSED:
                break
            if call.cpus >= head.cpus and call.memory_bytes >= head.memory_bytes:
                continue
            node = self._room_for(call)
            if node is not None:
                self._queue.remove(call)
                head.passed += 1
                sent.append(self._send(call, node))
        return sent

    def _room_for(self, call: Call) -> Node | None:
        """The least loaded node that has room."""
        part = self._part(call)
        best: Node | None = None
        for node in self.nodes.values():
            fits = call.cpus <= node.cpus and node.has_room(part, call.memory_bytes)
            if fits and (best is None or node.load < best.load):
                best = node
        return best

    def _send(self, call: Call, node: Node) -> Instruction:
        call.part = self._part(call)
        call.state, call.node = "sent", node
        call.attempts += 1
        node.calls[call] = None
        node.used += call.part
        node.used_bytes += call.memory_bytes
        return Send(call, node)
