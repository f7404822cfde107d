"""The nodes of one opened lane and the calls that they have."""

from __future__ import annotations

import asyncio
import logging
import pickle
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from _lanewise_worker import far
from _lanewise_worker.replay import replay_log, replay_warning
from _lanewise_worker.traces import unpack_exception
from lanewise.errors import LaneUnavailableError, WorkerDiedError
from lanewise.lanes.cluster import protocol
from lanewise.lanes.cluster.link import Link
from lanewise.lanes.cluster.node_calls import ITEM_FAILED
from lanewise.lanes.cluster.packing import Outgoing
from lanewise.lanes.cluster.placement import Call, Instruction, Lost, Placement, Send, Unfit
from lanewise.lanes.cluster.protocol import NodeFacts
from lanewise.lanes.cluster.statistics import NodeStatistics
from lanewise.lanes.process.handles import Shared
from lanewise.lanes.process.results import not_loaded, not_portable
from lanewise.model.lane import Failed

_log = logging.getLogger("lanewise")

# What is said of calls that a node has.
_OF_CALLS = frozenset(
    (
        protocol.UNSENT,
        protocol.UNDEFINED,
        protocol.ANSWER,
        protocol.ANSWERS,
        protocol.FAILED,
        protocol.ITEM,
        protocol.ENDED,
    )
)


@dataclass(slots=True, eq=False)
class NodeView:
    """What the lane knows of a node. Owner: the crew."""

    facts: NodeFacts
    functions: set[int] = field(default_factory=set)
    shares: set[int] = field(default_factory=set)
    done: int = 0
    bytes_out: int = 0
    bytes_in: int = 0

    def __str__(self) -> str:
        return f"{self.facts.name} ({self.facts.address})"


class Crew:
    """Owner: the loop of the lane.

    Attributes:
        on_nodes: Called when a node came or went, with the reason for the latter.
        ending: The lane is being closed, so that nodes go.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.placement = Placement()
        self.nodes: dict[int, NodeView] = {}
        self.lost_nodes = 0
        self.lost_calls = 0
        self.ending = False
        self.on_nodes: Callable[[str | None], object] = lambda _reason: None
        self._link: Link | None = None
        self._calls: dict[int, Call] = {}
        self._shared: set[int] = set()
        # Told already: nodes that cannot be used are tried again and again.
        self._refusals: set[str] = set()
        self._changed = asyncio.Event()
        self._handlers: dict[int, Callable[[int, int, Any], None]] = {
            protocol.NODE_UP: self._node_up,
            protocol.NODE_DOWN: lambda number, _seq, body: self.node_down(number, _text(body)),
            protocol.UNSENT: self._unsent,
            protocol.UNDEFINED: self._undefined,
            protocol.ANSWER: self._answer,
            protocol.ANSWERS: self._answers,
            protocol.FAILED: self._failed,
            protocol.ITEM: self._item,
            protocol.ENDED: self._ended,
            protocol.LOG: lambda _number, _seq, body: replay_log(bytes(body)),
            protocol.WARNING: lambda _number, _seq, body: replay_warning(bytes(body)),
            protocol.OUTPUT: lambda _number, _seq, body: _print(_text(body)),
        }

    # --- the gateway ----------------------------------------------------------------------------

    def connect(self, link: Link) -> None:
        """Speak with nodes through that gateway."""
        self._link = link
        self._shared.clear()

    def disconnect(self, reason: str) -> None:
        """The gateway is gone, and with it every node. Idempotent."""
        self._link = None
        if self.nodes:
            self._nodes_down(list(self.nodes), reason)

    def frame(self, kind: int, number: int, seq: int, body: Any) -> None:
        """A frame has come that a node or the gateway sent."""
        node = self.nodes.get(number)
        if node is not None:
            node.bytes_in += len(body)
        elif kind in _OF_CALLS:
            return  # of a node that is lost: its calls have been told, or are elsewhere now
        self._handlers[kind](number, seq, body)

    # --- calls ----------------------------------------------------------------------------------

    def submit(self, call: Call) -> None:
        """Send a call to a node, or have it wait for one.

        Raises:
            LaneUnavailableError: No node could ever run it.
        """
        if not self.placement.could_run(call):
            raise LaneUnavailableError(self._too_large(call), withdrawn=True)
        self._calls[call.payload.seq] = call
        self._do(self.placement.submit(call))

    def cancel(self, call: Call) -> bool:
        """Nobody waits for a call; return whether it was running and is being stopped."""
        instructions = self.placement.cancel(call)
        if call.state != "sent":
            self._forget(call)
        self._do(instructions)
        return call.state == "sent"

    def grant(self, call: Call, room: int) -> None:
        """Give a stream room for more items."""
        self._tell(call, protocol.CREDIT, protocol.ROOM.pack(room))

    def stop_stream(self, call: Call) -> None:
        """Have a stream's generator closed when it yields next."""
        self._tell(call, protocol.STOP)

    def drop_share(self, number: int) -> None:
        """The last handle of a shared object has gone."""
        for node in self.nodes.values():
            node.shares.discard(number)
        if number in self._shared and self._link is not None:
            self._shared.discard(number)
            self._link.send(protocol.DROP, number)

    async def drained(self) -> None:
        """Wait until no node has a call, and none waits for one."""
        while self._calls:
            self._changed.clear()
            await self._changed.wait()

    def stop_all(self, words: str) -> list[str]:
        """Let go of every call, which fail with those words; return the functions' names."""
        names = []
        for call in list(self._calls.values()):
            out: Outgoing = call.payload
            if not out.future.done():
                names.append(out.name)
                _fail(out, WorkerDiedError(f"{out.name} {words}", call=out.name))
        self._calls.clear()
        return names

    def statistics(self) -> tuple[NodeStatistics, ...]:
        """Return what every node has and did."""
        placed = self.placement.nodes
        return tuple(
            NodeStatistics(
                number,
                node.facts.name,
                node.facts.address,
                node.facts.cpus,
                placed[number].used,
                len(placed[number].calls),
                node.done,
                node.bytes_out,
                node.bytes_in,
            )
            for number, node in self.nodes.items()
        )

    def _too_large(self, call: Call) -> str:
        if not self.nodes:
            return "the cluster has no node that can be used now"
        most = max(node.facts.cpus for node in self.nodes.values())
        most_bytes = max(node.facts.memory_bytes for node in self.nodes.values())
        return (
            f"{call.payload.name} asks for {call.cpus:g} CPUs and {call.memory_bytes:,} bytes, and no "
            f"node has that much: the largest have {most:g} CPUs and {most_bytes:,.0f} bytes. Ask for "
            "less with @task(resources=...), or add a larger node"
        )

    # --- out ------------------------------------------------------------------------------------

    def _do(self, instructions: Iterable[Instruction]) -> None:
        for one in instructions:
            if isinstance(one, Send):
                self._send(one.call, one.node.number)
            elif isinstance(one, Lost):
                self._lost(one.call, one.node.number)
            elif isinstance(one, Unfit):
                self._forget(one.call)
                error = LaneUnavailableError(self._too_large(one.call), withdrawn=True)
                _fail(one.call.payload, error)
            else:
                self._tell(one.call, protocol.CANCEL)

    def _send(self, call: Call, number: int) -> None:
        link, node, out = self._link, self.nodes[number], call.payload
        if link is None:
            return  # every node is reported gone before long
        definition, head = out.definition, out.head
        if definition is not None and head.function not in node.functions:
            node.functions.add(head.function)
            body = pickle.dumps(tuple(definition), 5)
            link.send(protocol.DEFINE, number, head.function, [body])
        try:
            for handle in out.shares:
                if handle.number not in node.shares:
                    self._give(link, number, node, handle)
        except OSError as error:
            # Later: what comes next in the queue may fail likewise, and so on.
            body = f"its shared object cannot be passed on: {error}".encode()
            self.loop.call_soon(self._unsent, number, out.seq, body)
            return
        parts = out.frame_parts()
        node.bytes_out += sum(memoryview(part).nbytes for part in parts)
        link.send(out.kind, number, out.seq, parts)
        if out.stream is not None:
            out.stream.wake()

    def _give(self, link: Link, number: int, node: NodeView, handle: Shared[Any]) -> None:
        if handle.number not in self._shared:
            with handle.content.as_file() as (fd, sizes):
                link.pass_on(fd)
                link.send(protocol.SHARE, handle.number, 0, [sizes])
            self._shared.add(handle.number)
        link.send(protocol.GIVE, number, handle.number)
        node.shares.add(handle.number)

    def _tell(self, call: Call, kind: int, body: bytes = b"") -> None:
        if call.node is not None and self._link is not None:
            self._link.send(kind, call.node.number, call.payload.seq, [body])

    # --- nodes ----------------------------------------------------------------------------------

    def _node_up(self, number: int, _seq: int, body: Any) -> None:
        facts = NodeFacts(*pickle.loads(body))  # noqa: S301 - because: from the own gateway
        self.nodes[number] = NodeView(facts)
        self.on_nodes(None)
        memory_bytes = facts.memory_bytes or float("inf")
        self._do(self.placement.node_up(number, facts.cpus, memory_bytes))

    def node_down(self, number: int, reason: str) -> None:
        """A node is gone, or could not be used in the first place."""
        self._nodes_down([number], reason)

    def _nodes_down(self, numbers: list[int], reason: str) -> None:
        for number in numbers:
            self._note_loss(number, reason)
        instructions = self.placement.nodes_down(numbers)
        for one in instructions:
            if isinstance(one, Lost):
                self._lost(one.call, one.node.number, reason)
        for number in numbers:
            self.nodes.pop(number, None)
        self.on_nodes(reason)
        if not self.nodes:
            self._give_back(reason)
        self._do(one for one in instructions if not isinstance(one, Lost))

    def _note_loss(self, number: int, reason: str) -> None:
        node = self.nodes.get(number)
        if node is not None:
            self.lost_nodes += 1
            if not self.ending:
                _log.warning("the cluster has lost its node %s: %s", node, reason)
        elif reason not in self._refusals:
            self._refusals.add(reason)
            _log.warning("%s", reason)

    def _lost(self, call: Call, number: int, reason: str = "") -> None:
        out: Outgoing = call.payload
        if not out.future.done():  # else nobody misses it
            self.lost_calls += 1
        node = self.nodes[number]
        error = WorkerDiedError(
            f"the node {node} was lost while it had {out.name}: {reason}. The call may or may not have "
            "begun or ended there; with @task(idempotent=True) it is started again elsewhere",
            call=out.name,
            node=str(node),
        )
        self._forget(call)
        _fail(out, error)

    def _give_back(self, reason: str) -> None:
        """Calls that wait have not begun: they may go to another lane."""
        for call in self.placement.give_up():
            self._forget(call)
            words = f"the cluster has no node any more: {reason}"
            _fail(call.payload, LaneUnavailableError(words, withdrawn=True))

    def _unsent(self, number: int, seq: int, body: Any) -> None:
        call = self._calls.get(seq)
        if call is None or call.node is None or call.node.number != number:
            return
        words = f"{call.payload.name} could not be sent to the cluster: {_text(body)}"
        error = LaneUnavailableError(words, withdrawn=True)
        self._over(call, None)
        _fail(call.payload, error)

    def _undefined(self, number: int, function: int, _body: Any) -> None:
        """A function did not get there: it goes along with its next call."""
        self.nodes[number].functions.discard(function)

    # --- what nodes say -------------------------------------------------------------------------

    def _answer(self, number: int, seq: int, body: Any) -> None:
        call = self._calls.get(seq)
        if call is None:
            return
        (what, written, cost), data = protocol.beheaded(body)
        out: Outgoing = call.payload
        report = out.report
        if report is not None:
            (
                report.run_s,
                report.cpu_s,
                report.run_queue_s,
                report.held_share,
                report.samples,
            ) = cost
            report.result_bytes = len(data)
        self._done(call, number, cost[0])
        self._conclude(out, what, written, data)

    def _conclude(self, out: Outgoing, what: int, written: int, data: Any) -> None:
        if out.future.done():
            return
        began = self.loop.time()
        value = _value(out.name, what, written, data)
        if out.report is not None:
            out.report.near_s = (out.report.near_s or 0.0) + self.loop.time() - began
        if isinstance(value, Failed):
            out.future.set_exception(value.error)
        else:
            out.future.set_result(value)

    def _answers(self, number: int, seq: int, body: Any) -> None:
        call = self._calls.get(seq)
        if call is None:
            return
        (run_s,), data = protocol.beheaded(body)
        out: Outgoing = call.payload
        out.run_s = run_s
        self._done(call, number, run_s)
        if not out.future.done():
            node = self.nodes.get(number)
            answers = pickle.loads(data)  # noqa: S301 - because: bytes only, from the own node
            out.future.set_result([self._item_of(out.name, node, answer) for answer in answers])

    @staticmethod
    def _item_of(name: str, node: NodeView | None, answer: far.Answer) -> Any:
        what, written, data = answer
        if what == ITEM_FAILED:
            return Failed(_on_node(pickle.loads(data), node))  # noqa: S301 - because: lanewise's own error
        return _value(name, what, written, data)

    def _failed(self, number: int, seq: int, body: Any) -> None:
        call = self._calls.get(seq)
        if call is None:
            return
        error = pickle.loads(body)  # noqa: S301 - because: lanewise's own error, from the own node
        node = self.nodes.get(number)
        self._done(call, number, None)
        if error is None:
            error = WorkerDiedError(
                f"{call.payload.name} was stopped on its node", call=call.payload.name
            )
        _fail(call.payload, _on_node(error, node))

    def _item(self, _number: int, seq: int, body: Any) -> None:
        call = self._calls.get(seq)
        if call is None or call.payload.stream is None or call.payload.future.done():
            return
        (what, written), data = protocol.beheaded(body)
        value = _value(call.payload.name, what, written, data)
        # What an item raises goes the way of items: the consumer leaves, and the generator is closed.
        call.payload.stream.put(value)

    def _ended(self, number: int, seq: int, _body: Any) -> None:
        call = self._calls.get(seq)
        if call is None:
            return
        self._done(call, number, None)
        if not call.payload.future.done():
            call.payload.future.set_result(None)

    def _done(self, call: Call, number: int, run_s: float | None) -> None:
        node = self.nodes.get(number)
        if node is not None:
            node.done += 1
        self._over(call, run_s)

    def _over(self, call: Call, run_s: float | None) -> None:
        self._forget(call)
        self._do(self.placement.ended(call, run_s))

    def _forget(self, call: Call) -> None:
        self._calls.pop(call.payload.seq, None)
        if not self._calls:
            self._changed.set()


def _value(name: str, what: int, written: int, data: Any) -> Any:
    """Make again what a call gave; a :class:`Failed` for what it raised."""
    if what != far.RETURNED:
        error = not_portable(name, unpack_exception(bytes(data)))
        if isinstance(error, LaneUnavailableError):
            error.withdrawn = False  # of a call that this call made: this one has run
        return Failed(error)
    try:
        return far.read(data, written)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - because: what a result does when it is made again is the user's
        return Failed(not_loaded(name, error))


def _on_node(error: BaseException, node: NodeView | None) -> BaseException:
    """Say on which node a worker died."""
    if isinstance(error, WorkerDiedError) and node is not None:
        error.node = str(node)
        error.args = (f"on the node {node}: {error.args[0]}", *error.args[1:])
    return error


def _fail(out: Outgoing, error: BaseException) -> None:
    if not out.future.done():
        out.future.set_exception(error)


def _text(body: Any) -> str:
    return bytes(body).decode("utf-8", "backslashreplace")


def _print(text: str) -> None:
    """Write what a node's worker printed to this process's own stream of that name."""
    name, _, rest = text.partition("\n")
    stream = getattr(sys, name, None)
    try:
        if stream is not None:
            stream.write(rest)
            stream.flush()
    except Exception:  # noqa: BLE001 - because: it may be of the user's making, and nobody is left to tell
        return
