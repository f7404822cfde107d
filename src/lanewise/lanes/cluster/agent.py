"""What runs on a node: one actor, which keeps a process lane there and speaks with the gateway.

The only module that a node's Ray worker imports. Its class is used as an actor with threads: each
exchange brings frames and waits for some to take back.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.machinery
import importlib.metadata
import os
import platform
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from _lanewise_worker import far, reporting, wire
from _lanewise_worker.shares import unpack_sizes
from lanewise.errors import LaneUnavailableError
from lanewise.host.facts import library_version
from lanewise.lanes.cluster import protocol
from lanewise.lanes.cluster.line import is_ours
from lanewise.lanes.cluster.node_calls import NodeCalls
from lanewise.lanes.outbox import Outbox
from lanewise.lanes.process import ProcessLane
from lanewise.lanes.process.handles import Content
from lanewise.lanes.process.upkeep import Relay

# An exchange waits no longer: so a gateway which hears nothing for long knows that something is wrong.
POLL_S = 2.0
_READ_BYTES = 262_144
_OPEN_S = 60.0
_CLOSE_S = 5.0


class NodeAgent:
    """One node's workers. Ray's threads call its methods.

    Threads: ``_change`` guards what goes out and what came in too early; everything else belongs to the
    loop, which has a thread of its own.

    Args:
        number: What the lane calls this node.
        cpus: Calls that may compute at once.
        settings: Of the lane, see ``ClusterLane``.
    """

    def __init__(self, number: int, cpus: float, settings: dict[str, Any]) -> None:
        self._number = number
        self._cpus = cpus
        self._change = threading.Condition()
        self._early: dict[int, bytes] = {}
        self._next = 0
        self._out: list[bytes] = []
        self._out_number = 0
        self._turn = 0
        self._busy = False
        self._said: list[bytes] = []
        self._line: Outbox | None = None  # owner: the loop; None while Ray carries what is said
        self._flushing = False
        _take_the_callers_place(settings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lanewise", daemon=True)
        self._thread.start()
        self._report_to_the_lane(settings["log_levels"])
        self._lane = self._made_lane(dict(settings["workers"]))
        self._calls = NodeCalls(self._lane, number, self._say)
        self._opened = asyncio.run_coroutine_threadsafe(_open(self._lane), self._loop)

    def _made_lane(self, options: dict[str, Any]) -> ProcessLane:
        initializer = options.pop("initializer")
        return ProcessLane(
            max(1, int(self._cpus)),
            initializer=far.initialize if initializer else None,
            initargs=(initializer,) if initializer else (),
            relay=Relay(
                lambda data: self._say(wire.frame(protocol.LOG, data, number=self._number)),
                lambda data: self._say(wire.frame(protocol.WARNING, data, number=self._number)),
            ),
            **options,
        )

    # --- what the gateway calls -----------------------------------------------------------------

    def hello(self) -> protocol.NodeFacts:
        """Wait until the workers are there, and say what this node is.

        Raises:
            LaneUnavailableError: Processes cannot be started here.
        """
        self._opened.result(_OPEN_S)
        return protocol.NodeFacts(
            name=socket.gethostname(),
            address=_own_address(),
            cpus=self._cpus,
            memory_bytes=0.0,
            pid=os.getpid(),
            python=platform.python_version(),
            lanewise=library_version(),
            ray=importlib.metadata.version("ray"),
        )

    def reach(self, name: str) -> bool:
        """Connect with the gateway beside what Ray carries; False where it is on another machine."""
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.connect(name)
            if not is_ours(line):
                raise ConnectionRefusedError("a line to another user")
        except OSError:
            line.close()
            return False
        line.setblocking(False)
        self._loop.call_soon_threadsafe(self._speak_on, line)
        return True

    def exchange(self, number: int, frames: bytes) -> tuple[int, bytes, bool]:
        """Take frames, in the order of their numbers; wait for some that go back.

        One exchange waits at a time: a later one sends it home, so that the gateway need not keep more
        of them than it has something to bring.

        Returns:
            The number of what goes back, that, and whether more is to be expected.
        """
        with self._change:
            self._early[number] = frames
            while self._next in self._early:
                arrived = self._early.pop(self._next)
                self._next += 1
                if arrived:
                    self._busy = True
                    self._loop.call_soon_threadsafe(self._calls.feed, arrived)
            self._turn += 1
            turn, until_s = self._turn, time.monotonic() + POLL_S
            self._change.notify_all()
            while not self._out and turn == self._turn:
                if not self._change.wait(until_s - time.monotonic()):
                    break
            out, self._out = self._out, []
            number, self._out_number = self._out_number, self._out_number + 1
            busy = self._busy
        return number, b"".join(out), busy

    def take_share(self, number: int, sizes: bytes, data: Any) -> None:
        """Copy a shared object into memory that this node's workers map, or say why it cannot be."""
        content: Content | Exception
        try:
            content = _mapped(sizes, memoryview(data).cast("B"))
        except Exception as error:  # noqa: BLE001 - because: whoever waits for the object is told
            content = error
        self._loop.call_soon_threadsafe(self._calls.shared, number, content)

    def refuse_share(self, number: int, why: str) -> None:
        """A shared object does not come."""
        error = LaneUnavailableError(why)
        self._loop.call_soon_threadsafe(self._calls.shared, number, error)

    def close(self) -> None:
        """End every worker, at once."""
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._lane.close(0), self._loop).result(_CLOSE_S)

    # --- what goes back -------------------------------------------------------------------------

    def _say(self, frame: bytes) -> None:
        """Send a frame to the lane. On the loop."""
        self._said.append(frame)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _speak_on(self, line: socket.socket) -> None:
        """From now on, all that is said goes through a line, and what comes through it is heard."""
        self._line = Outbox(self._loop, line)
        self._loop.add_reader(line.fileno(), self._hear, line)
        with self._change:
            early, self._out = self._out, []
        self._line.send(b"".join(early))
        self._beat()

    def _hear(self, line: socket.socket) -> None:
        try:
            data = line.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._calls.feed(data)
        else:
            # The gateway is gone, and Ray ends its actors; or it has never taken this end, and speaks
            # through calls of this actor.
            self._loop.remove_reader(line.fileno())
            self._loop.remove_writer(line.fileno())
            self._line = None
            line.close()

    def _beat(self) -> None:
        """Have a gateway that hears nothing for long know that something is wrong."""
        if self._line is not None:
            self._say(wire.frame(protocol.BEAT, number=self._number))
            self._loop.call_later(POLL_S, self._beat)

    def _flush(self) -> None:
        self._flushing = False
        said, self._said = self._said, []
        if self._line is not None:
            self._line.send(b"".join(said))
            return
        with self._change:
            self._out += said
            self._busy = self._calls.is_busy
            self._change.notify_all()

    def _say_soon(self, kind: int, data: bytes) -> None:
        """Send a frame to the lane. In any thread."""
        frame = wire.frame(kind, data, number=self._number)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._say, frame)

    def _report_to_the_lane(self, levels: dict[str, int]) -> None:
        """Have log records and output of this process and of its workers go there."""
        reporting.ship_logging(lambda data: self._say_soon(protocol.LOG, data), levels)
        for name in ("stdout", "stderr"):
            setattr(sys, name, _Said(self, name))


async def _open(lane: ProcessLane) -> None:
    """No method of the actor: Ray takes a class that has coroutines for one whose calls run on a loop."""
    await lane.open()


class _Said:
    """Stands for stdout or stderr: what is written goes to the lane."""

    encoding = "utf-8"

    def __init__(self, agent: NodeAgent, name: str) -> None:
        self._agent = agent
        self._name = name

    def write(self, text: str) -> int:
        """Send it."""
        data = f"{self._name}\n{text}".encode("utf-8", "backslashreplace")
        self._agent._say_soon(protocol.OUTPUT, data)  # noqa: SLF001 - because: the same module
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""

    def isatty(self) -> bool:
        """It is none."""
        return False


def _take_the_callers_place(settings: dict[str, Any]) -> None:
    """Have workers look for modules, files and the main program where the caller's process does.

    Where this is another machine those places may not exist; then what the node has is used.
    """
    sys.path[:] = list(dict.fromkeys([*filter(os.path.exists, settings["path"]), *sys.path]))
    sys.argv[:] = settings["argv"]
    with contextlib.suppress(OSError):
        os.chdir(settings["directory"])
    main: Any = sys.modules["__main__"]
    main.__spec__ = main.__file__ = None
    program = settings["main"]
    if "module" in program:
        main.__spec__ = importlib.machinery.ModuleSpec(program["module"], None)
    elif Path(program.get("path", "")).is_file():
        main.__file__ = program["path"]


def _mapped(sizes: bytes, data: memoryview) -> Content:
    fd = os.memfd_create("lanewise-shared")
    try:
        done = 0
        while done < len(data):
            done += os.write(fd, data[done : done + 2**30])
    except BaseException:
        os.close(fd)
        raise
    return Content(unpack_sizes(sizes), fd, b"")


def _own_address() -> str:
    import ray  # noqa: PLC0415 - because: read where Ray may be missing

    ask: Any = ray.util.get_node_ip_address
    return str(ask())
