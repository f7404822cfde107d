"""The process between a lane and its cluster: the only one on the caller's side that imports Ray.

Ray keeps threads, handlers and a connection for the whole life of a process, ends the process when its
cluster is gone for good, and blocks whoever calls it. Here it may: the caller's process has a socket to
this one, kills it when it must, and starts another.

Run as ``python -m lanewise.lanes.cluster.gateway CHANNEL SIDE``, both of them descriptors of sockets.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import platform
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from _lanewise_worker import wire
from _lanewise_worker.crossing import receive_fd
from _lanewise_worker.orphans import become_subreaper
from lanewise.lanes.cluster import private, protocol
from lanewise.lanes.cluster.agent import NodeAgent
from lanewise.lanes.cluster.exchanges import Exchanges, Outgoing, frame_of, in_words
from lanewise.lanes.cluster.line import Line, reached
from lanewise.lanes.cluster.protocol import NodeFacts

_READ_BYTES = 262_144
# How often it is looked which nodes there are.
_LOOK_S = 0.5
# A cluster that has not said for so long which nodes it has cannot be reached.
_SILENT_S = 15.0
_START_S = 60.0
_FIND_S = 5.0
# A node that could not be used is tried again after so long.
_AGAIN_S = 15.0
_END_S = 8.0
_THREADS_OF_AN_ACTOR = 8
# What the end of a worker's process and of an actor may take.
_AGENT_CLOSE_S = 2.0
# How long it is asked what became of a node whose line has ended.
_CAUSE_S = 1.0


class _Node:
    """One node that was met. Owner: the gateway; ``exchanges`` is set once it can be used.

    Attributes:
        line: To its agent, where that is on this machine.
    """

    def __init__(self, number: int, node_id: str) -> None:
        self.number = number
        self.node_id = node_id
        self.agent: Any = None
        self.line: socket.socket | None = None
        self.exchanges: Exchanges | Line | None = None
        self.given: set[int] = set()
        self.failed_s: float | None = None


class Gateway:
    """Threads: ``_writing`` keeps frames to the lane whole, ``_nodes_change`` guards the table of nodes.

    The main thread reads what the lane says; one thread looks which nodes there are; each node has three
    of its own.
    """

    def __init__(
        self, ray: Any, settings: dict[str, Any], channel: socket.socket, side: socket.socket
    ) -> None:
        self._ray = ray
        self._settings = settings
        self._channel = channel
        self._side = side
        self._writing = threading.Lock()
        self._nodes_change = threading.Lock()
        self._nodes: dict[int, _Node] = {}
        self._by_id: dict[str, _Node] = {}
        self._numbers = 0
        self._shares: dict[int, tuple[bytes, Any]] = {}
        self._seen_s = time.monotonic()
        self._over = threading.Event()
        # What looking around met last; empty where it went well.
        self._trouble = ""

    # --- the lane -------------------------------------------------------------------------------

    def tell(self, kind: int, number: int = 0, seq: int = 0, body: bytes = b"") -> None:
        """Send the lane a frame. In any thread."""
        self._deliver(b"".join(frame_of(kind, number, seq, body)))

    def _deliver(self, frames: bytes) -> None:
        with (
            self._writing,
            contextlib.suppress(OSError),
        ):  # else the lane is gone, which its reader tells
            self._channel.sendall(frames)

    def serve(self, said: Iterator[list[wire.Frame]]) -> None:
        """Do what the lane says until it says no more."""
        self.tell(protocol.OPENED)
        threading.Thread(target=self._look_around, name="look-around", daemon=True).start()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()
        for frames in said:
            touched: dict[int, Exchanges | Line] = {}
            for kind, _flags, number, seq, body in frames:
                self._obey(kind, number, seq, body, touched)
            # Together: what has come together need not cost a message each.
            for exchanges in touched.values():
                exchanges.flush()

    def _obey(
        self, kind: int, number: int, seq: int, body: Any, touched: dict[int, Exchanges | Line]
    ) -> None:
        if kind == protocol.SHARE:
            self._share(number, bytes(body))
        elif kind == protocol.GIVE:
            self._give(number, seq)
        elif kind == protocol.DROP:
            self._drop(number)
        else:
            with self._nodes_change:
                node = self._nodes.get(number)
            if (
                node is not None and node.exchanges is not None
            ):  # else the lane hears that it is gone
                node.exchanges.send(kind, seq, frame_of(kind, number, seq, body))
                touched[number] = node.exchanges

    # --- shared objects -------------------------------------------------------------------------

    def _share(self, number: int, sizes: bytes) -> None:
        fd = receive_fd(self._side)
        try:
            memory = mmap.mmap(fd, os.fstat(fd).st_size, prot=mmap.PROT_READ)
        finally:
            os.close(fd)
        try:
            stored: Any = self._ray.put(pickle.PickleBuffer(memory))
        except Exception as error:  # noqa: BLE001 - because: the calls that need it are told
            stored = error
        self._shares[number] = sizes, stored

    def _give(self, number: int, share: int) -> None:
        with self._nodes_change:
            node = self._nodes.get(number)
        if node is None or share not in self._shares:
            return
        sizes, stored = self._shares[share]
        node.given.add(share)
        if isinstance(stored, Exception):
            node.agent.refuse_share.remote(share, f"the object store has no room: {stored}")
            return
        taken = node.agent.take_share.remote(share, sizes, stored).future()
        taken.add_done_callback(partial(_tell_if_not_taken, node.agent, share))

    def _drop(self, share: int) -> None:
        self._shares.pop(share, None)
        with self._nodes_change:
            having = [node for node in self._nodes.values() if share in node.given]
        for node in having:
            node.given.discard(share)
            if node.exchanges is not None:
                kind = protocol.FORGET
                node.exchanges.send(kind, share, frame_of(kind, node.number, share))
                node.exchanges.flush()

    # --- nodes ----------------------------------------------------------------------------------

    def _look_around(self) -> None:
        """Meet nodes that have come, and let go of those that are gone."""
        while not self._over.wait(_LOOK_S):
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - because: the next look may fare better, and without any nodes come and go unseen
                self._note(f"{type(error).__name__}: {error}")
            else:
                self._trouble = ""

    def _look(self) -> None:
        alive = {
            node["NodeID"]: node
            for node in self._ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU", 0) >= 1
        }
        self._seen_s = time.monotonic()
        with self._nodes_change:
            gone = [node for key, node in self._by_id.items() if key not in alive]
            new = [key for key in alive if self._is_new(key)]
            for node in gone:
                if node.failed_s is not None:  # it never was a node of ours
                    del self._by_id[node.node_id]
        for node in gone:
            self._lost(node, "the cluster says that the node is gone")
        for key in new:
            self._meet(key, alive[key])

    def _note(self, trouble: str) -> None:
        """Tell it once on stderr, whose end the lane tells should this process end."""
        if trouble != self._trouble:
            self._trouble = trouble
            sys.stderr.write(f"the cluster's nodes cannot be looked at: {trouble}\n")
            sys.stderr.flush()

    def _is_new(self, node_id: str) -> bool:
        known = self._by_id.get(node_id)
        if known is None:
            return True
        return known.failed_s is not None and time.monotonic() - known.failed_s > _AGAIN_S

    def _watch(self) -> None:
        """End this process where the cluster does not answer any more, whatever blocks its threads."""
        while not self._over.wait(_LOOK_S):
            if time.monotonic() - self._seen_s > _SILENT_S:
                words = f"the cluster's head has not answered for {_SILENT_S:g} s. {self._trouble}"
                self.tell(protocol.TROUBLE, body=words.strip().encode())
                private.clear_away(self._settings["directory"])
                os._exit(1)

    def _meet(self, node_id: str, facts: dict[str, Any]) -> None:
        with self._nodes_change:
            self._numbers += 1
            node = _Node(self._numbers, node_id)
            self._by_id[node_id] = self._nodes[node.number] = node
        # Each in a thread of its own: one that does not start must not keep others from it.
        threading.Thread(target=self._start, args=(node, facts), daemon=True).start()

    def _start(self, node: _Node, facts: dict[str, Any]) -> None:
        try:
            said = self._started(node, facts)
            why = _misfit(said, self._settings)
            if why is not None:
                raise RuntimeError(why)
        except Exception as error:  # noqa: BLE001 - because: whatever it is, the lane is told and goes on without the node
            self._refuse(node, facts, str(error))
            return
        said = said._replace(memory_bytes=facts["Resources"].get("memory", 0.0))
        # In one: who loses the node waits for the table, and tells so afterwards; who has a call for it
        # waits too, and finds the exchanges.
        with self._nodes_change:
            if node.number not in self._nodes:
                self._kill(node)  # lost again while it was being met, which the lane has heard
                return
            node.exchanges = self._way_to(node)
            self.tell(protocol.NODE_UP, node.number, body=pickle.dumps(tuple(said), 5))
        node.exchanges.flush()

    def _way_to(self, node: _Node) -> Exchanges | Line:
        if node.line is not None:
            return Line(node.line, self._deliver, partial(self._broken, node))
        return Exchanges(
            self._ray,
            node.agent,
            self._deliver,
            partial(self._unsent, node),
            partial(self._lost, node),
        )

    def _broken(self, node: _Node, reason: str) -> None:
        """A line has ended; Ray knows best why, if it knows it already."""
        try:
            self._ray.get(node.agent.hello.remote(), timeout=_CAUSE_S)
        except self._ray.exceptions.GetTimeoutError:
            pass
        except Exception as error:  # noqa: BLE001 - because: the cause is what is asked for
            reason = in_words(error)
        self._lost(node, reason)

    def _started(self, node: _Node, facts: dict[str, Any]) -> NodeFacts:
        from ray.util.scheduling_strategies import (  # noqa: PLC0415 - because: only a gateway has Ray
            NodeAffinitySchedulingStrategy,
        )

        cpus = int(min(facts["Resources"]["CPU"], self._settings["cpus"] or sys.maxsize))
        actor = self._ray.remote(NodeAgent).options(
            num_cpus=cpus,
            max_concurrency=_THREADS_OF_AN_ACTOR,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False),
        )
        node.agent = actor.remote(node.number, cpus, self._settings["node"])
        try:
            said = NodeFacts(*self._ray.get(node.agent.hello.remote(), timeout=_START_S))
        except self._ray.exceptions.GetTimeoutError:
            raise RuntimeError(
                f"its {cpus} CPU(s) were not free within {_START_S:g} s: other work of the cluster has "
                "them, or it cannot start processes"
            ) from None
        node.line = reached(self._ray, node.agent)
        return said

    def _refuse(self, node: _Node, facts: dict[str, Any], why: str) -> None:
        with self._nodes_change:
            node.failed_s = time.monotonic()
            self._nodes.pop(node.number, None)
        self._kill(node)
        name = facts.get("NodeManagerHostname") or facts.get("NodeManagerAddress")
        lines = [line for line in why.splitlines() if line.strip()]
        # Ray puts the cause last, after where it happened.
        words = why if len(lines) < 4 else f"{lines[0]} ... {lines[-1]}"  # noqa: PLR2004 - because: what is read at a glance
        body = f"the node {name} cannot be used: {words}".encode()
        self.tell(protocol.NODE_DOWN, node.number, body=body)

    def _lost(self, node: _Node, reason: str) -> None:
        with self._nodes_change:
            if self._nodes.pop(node.number, None) is None:
                return
            if self._by_id.get(node.node_id) is node and node.failed_s is None:
                del self._by_id[node.node_id]
        if node.exchanges is not None:
            node.exchanges.end()
        self.tell(protocol.NODE_DOWN, node.number, body=reason.encode())
        self._kill(node)

    def _unsent(self, node: _Node, frames: list[Outgoing], reason: str) -> None:
        for kind, seq, _ in frames:
            said = protocol.UNDEFINED if kind == protocol.DEFINE else protocol.UNSENT
            self.tell(said, node.number, seq, reason.encode())

    def _kill(self, node: _Node) -> None:
        if node.line is not None and node.exchanges is None:  # which would close it
            node.line.close()
        if node.agent is not None:
            with contextlib.suppress(Exception):
                self._ray.kill(node.agent)

    # --- the end --------------------------------------------------------------------------------

    def end(self) -> None:
        """End every actor of this lane, and with them all that they run."""
        self._over.set()
        with self._nodes_change:
            nodes = list(self._nodes.values())
        closing = []
        for node in nodes:
            if node.exchanges is not None:
                node.exchanges.end()
            if node.agent is not None:
                with contextlib.suppress(Exception):
                    closing.append(node.agent.close.remote())
        with contextlib.suppress(Exception):
            self._ray.wait(closing, num_returns=len(closing), timeout=_AGENT_CLOSE_S)
        for node in nodes:
            self._kill(node)


def _tell_if_not_taken(agent: Any, share: int, taken: Any) -> None:
    """Have calls that wait for a shared object on a node fail where it did not get there."""
    error = taken.exception()
    if error is not None:
        with contextlib.suppress(Exception):
            agent.refuse_share.remote(share, f"it did not get there: {error}")


def _misfit(node: NodeFacts, settings: dict[str, Any]) -> str | None:
    """Say why a node's versions keep calls from it; None where they fit."""
    here = platform.python_version()
    if node.python.split(".")[:2] != here.split(".")[:2]:
        return (
            f"it runs Python {node.python}, and this program {here}: values would not cross safely"
        )
    if node.lanewise != settings["lanewise"]:
        return (
            f"it has lanewise {node.lanewise}, and this program {settings['lanewise']}: install the same "
            "version on both"
        )
    return None


def _said(channel: socket.socket) -> Iterator[list[wire.Frame]]:
    """Yield what the lane says, as it comes, until it is gone."""
    frames = wire.Frames()
    while True:
        try:
            data = channel.recv(_READ_BYTES)
        except OSError:
            data = b""
        if not data:
            return
        whole = frames.feed(data)
        if whole:
            yield whole


def _find(address: str) -> None:
    """See that something listens at an address: Ray itself would look for it for minutes.

    Raises:
        OSError: Nothing does.
    """
    if address != "auto":
        host, _, port = address.removeprefix("ray://").rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), _FIND_S).close()


def _joined(settings: dict[str, Any]) -> Any:
    """Start a private Ray, or join the cluster; return the module.

    Raises:
        Exception: It cannot be had.
    """
    if settings["address"] != "local":
        _find(settings["address"])  # first: to import Ray takes a second
    import ray  # noqa: PLC0415 - because: may be missing, which is told in words

    options: dict[str, Any] = {"address": settings["address"]}
    if settings["address"] == "local":
        options = private.start_options(
            settings["cpus"], settings["directory"], settings["object_store_bytes"]
        )
    elif settings["code"]:
        options["runtime_env"] = {"py_modules": settings["code"]}
    ray.init(log_to_driver=False, configure_logging=False, namespace="lanewise", **options)
    return ray


def _watch_the_lane(
    channel: socket.socket, settings: dict[str, Any], joined: threading.Event
) -> None:
    """End what this process does when the lane is gone.

    While the cluster is being joined, which may take minutes, nobody reads what the lane says. And a
    killed program's end of the socket stays open for as long as a process that it forked has it.
    """
    poller = select.poll()
    poller.register(channel, 0)  # that it was hung up is told anyway
    while os.getppid() == settings["parent"] and not poller.poll(_LOOK_S * 1_000):
        continue
    if joined.is_set():
        _end_in_time(settings)
        with contextlib.suppress(OSError):
            channel.shutdown(socket.SHUT_RDWR)  # the reader ends, and then all else
        return
    private.clear_away(settings["directory"])
    os._exit(1)


def _served(gateway: Gateway, said: Iterator[list[wire.Frame]]) -> None:
    # A service manager that ends a service tells all of its processes at once. This one is needed while
    # calls end, and goes with its lane. No SIG_IGN, which processes of Ray would inherit.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: None)
    try:
        gateway.serve(said)
    except Exception as error:  # noqa: BLE001 - because: whatever it is, the lane is told, and nothing is left behind
        gateway.tell(protocol.TROUBLE, body=f"{type(error).__name__}: {error}".encode())


def _end_in_time(settings: dict[str, Any]) -> None:
    """End this process a little later, whatever blocks its end."""

    def end() -> None:
        private.clear_away(settings["directory"])
        os._exit(1)

    timer = threading.Timer(_END_S, end)
    timer.daemon = True
    timer.start()


def main(channel_fd: int, side_fd: int) -> None:
    """Serve one lane until it is gone or says so."""
    channel, side = socket.socket(fileno=channel_fd), socket.socket(fileno=side_fd)
    said = _said(channel)
    first = next(said, None)
    if first is None:
        return
    settings: dict[str, Any] = pickle.loads(first[0][4])  # noqa: S301 - because: from the process that started this one
    is_private = settings["address"] == "local"
    if is_private:
        become_subreaper()
    joined = threading.Event()
    watching = channel, settings, joined
    threading.Thread(target=_watch_the_lane, args=watching, daemon=True).start()
    try:
        ray = _joined(settings)
    except Exception as error:  # noqa: BLE001 - because: whatever it is, the lane is told
        body = f"{type(error).__name__}: {error}".encode()
        with contextlib.suppress(OSError):
            channel.sendall(b"".join(frame_of(protocol.TROUBLE, 0, 0, body)))
    else:
        joined.set()
        gateway = Gateway(ray, settings, channel, side)
        _served(gateway, said)
        _end_in_time(settings)
        gateway.end()
        with contextlib.suppress(Exception):
            ray.shutdown()
    if is_private:
        private.clear_away(settings["directory"])
    # Not by returning: threads that wait for Ray would be waited for.
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
