"""``ClusterLane``: calls on other machines, by way of Ray, awaited on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import importlib.util
import logging
import os
import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from functools import partial
from typing import Any

from _lanewise_worker.main_module import describe_main
from _lanewise_worker.replay import collect_levels
from lanewise.errors import LaneUnavailableError
from lanewise.host.facts import library_version, usable_cores
from lanewise.lanes.cluster import protocol
from lanewise.lanes.cluster.connection import Connection
from lanewise.lanes.cluster.crew import Crew
from lanewise.lanes.cluster.packing import Outgoing, Packer
from lanewise.lanes.cluster.placement import Call
from lanewise.lanes.cluster.statistics import ClusterStatistics
from lanewise.lanes.process.handles import HandleBook
from lanewise.lanes.remote_stream import Begun, remote_stream
from lanewise.lanes.resolve import identity_of
from lanewise.model.lane import PLAIN_TERMS, LaneName, Terms, mark_abandoned, mark_killed

_log = logging.getLogger("lanewise")

# What a stream's generator may take to close before its worker is killed; the node waits for a second.
_STREAM_CLOSE_S = 3.0
_OBJECT_STORE_BYTES = 500_000_000
MISSING = (
    "the cluster lane needs Ray, which is not installed: pip install 'lanewise[cluster]' "
    "(Python 3.11 to 3.14, with the GIL)"
)


class ClusterLane:
    """Worker processes on the nodes of a Ray cluster.

    On each node one actor keeps a process lane of lanewise's own: so a call that crashes, is stopped or
    grows too large costs its worker process, as it does on this machine, and no actor. What a node is
    sent never asks for more than it has; what waits, waits here.

    Cancellation: a queued call is removed; a running one is killed with its worker, unless its terms
    say ``abandon``.

    Args:
        address: ``"local"`` starts a private Ray on this machine; ``"auto"`` joins the one that the
            environment names (``RAY_ADDRESS``) or that runs here; else ``"host:port"`` or
            ``"ray://host:port"``.
        cpus: Of each node no more than this is taken; None takes all that it has.
        propagate: Context variables whose values go with each call.
        handles: Shared objects that calls may refer to; None makes room for the lane's own.
        workers: Options of the process lane on each node: ``worker_memory_bytes``,
            ``max_calls_per_worker``, ``worker_nice``, ``preload``.
        initializer: Called with ``initargs`` in every worker before its first call.
        code: Directories of packages that Ray brings to the nodes; others must be there already.
        object_store_bytes: Of a private Ray.

    Raises:
        ValueError: There is no such context variable, or the address is none.

    Threads: belongs to the loop that opened it.
    """

    name: LaneName = "cluster"

    def __init__(  # noqa: PLR0913 - because: each is documented above and has a default
        self,
        address: str = "local",
        *,
        cpus: float | None = None,
        propagate: Iterable[str | contextvars.ContextVar[Any]] = (),
        handles: HandleBook | None = None,
        workers: dict[str, Any] | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        code: Iterable[str | os.PathLike[str]] = (),
        object_store_bytes: int = _OBJECT_STORE_BYTES,
    ) -> None:
        self.address = _checked(address)
        self.handles = HandleBook() if handles is None else handles
        self.handles.on_gone.append(self._handle_gone)
        # Told when calls can go there, with None, or cannot any more, with the reason.
        self.on_change: Callable[[str | None], None] | None = None
        # Told when nodes came or went.
        self.on_nodes: Callable[[], None] | None = None
        self._cpus = cpus
        self._workers = dict(workers or {})
        self._initializer = initializer, initargs
        self._code = [os.fspath(place) for place in code]
        self._object_store_bytes = object_store_bytes
        self._packer = Packer(self.handles, propagate)
        # owner: the loop that opened the lane.
        self._crew: Crew | None = None
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()
        self._closing = False

    # --- lifetime -------------------------------------------------------------------------------

    async def open(self) -> None:
        """Reach the cluster and wait until a node's workers are ready. Idempotent.

        Raises:
            LaneUnavailableError: Ray is not installed, the cluster cannot be reached, or none of its
                nodes can be used.
            NotPortableError: The initializer cannot cross.
        """
        await self._open(keep_trying=False)

    async def open_when_reached(self) -> str | None:
        """The same, but where the cluster cannot be reached, go on trying.

        Returns:
            None, or why calls cannot go there yet; ``on_change`` is called when they can.

        Raises:
            LaneUnavailableError: Ray is not installed.
        """
        return await self._open(keep_trying=True)

    async def _open(self, *, keep_trying: bool) -> str | None:
        async with self._opening:
            if self._crew is not None:
                return None
            if importlib.util.find_spec("ray") is None:
                raise LaneUnavailableError(MISSING, reasons={self.name: MISSING})
            loop = asyncio.get_running_loop()
            crew = Crew(loop)
            connection = Connection(loop, crew, self._settings(), self._changed)
            crew.on_nodes = partial(self._nodes_changed, connection)
            why = None
            try:
                await connection.open()
            except LaneUnavailableError as error:
                if not keep_trying:
                    raise
                why = str(error)
            connection.keep()
            self._crew, self._connection, self._closing = crew, connection, False
            return why

    def _settings(self) -> dict[str, Any]:
        initializer = self._packer.initializer(*self._initializer)
        cpus = self._cpus
        if cpus is None and self.address == "local":
            cpus = usable_cores()
        return {
            "address": self.address,
            "cpus": cpus,
            "object_store_bytes": self._object_store_bytes,
            "code": self._code,
            "lanewise": library_version(),
            "node": {
                "path": list(sys.path),
                "argv": list(sys.argv),
                "directory": os.getcwd(),  # noqa: PTH109 - because: a string is what is sent
                "main": describe_main(),
                "log_levels": collect_levels(),
                "workers": {**self._workers, "initializer": initializer},
            },
        }

    async def close(self, grace_s: float | None = None) -> None:
        """End the lane: calls in flight may take ``grace_s`` to end, then they are killed.

        Leaves nothing behind on any node; of a private Ray no process, no port and no file. Idempotent.
        """
        crew, self._crew = self._crew, None
        connection, self._connection = self._connection, None
        if crew is None or connection is None:
            return
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await crew.drained()
        finally:
            self._packer.forget()
            killed = crew.stop_all("was stopped, for it had not ended when the runtime was left")
            if killed:
                names = ", ".join(sorted(set(killed)))
                _log.warning("%d call(s) on the cluster were killed: %s", len(killed), names)
            await connection.close()

    @property
    def unavailable(self) -> str | None:
        """Why calls cannot go there now; None where they can."""
        return "it is closed" if self._connection is None else self._connection.unavailable

    def _nodes_changed(self, connection: Connection, reason: str | None) -> None:
        connection.nodes_changed(reason)
        if self.on_nodes is not None:
            self.on_nodes()

    def _changed(self, reason: str | None) -> None:
        if self._crew is not None and reason is not None:
            _log.warning(
                "the cluster cannot be used, and calls stay on this machine until it can: %s",
                reason,
            )
        elif self._crew is not None:
            _log.info("the cluster can be used again")
        if self.on_change is not None:
            self.on_change(reason)

    # --- calls ----------------------------------------------------------------------------------

    async def run(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms = PLAIN_TERMS,
    ) -> Any:
        """Run the call in a worker of some node; arguments and result are copies.

        Raises:
            NotPortableError: The function, an argument or the result cannot cross.
            WorkerDiedError: The worker died while it ran this call, or its node was lost.
            LaneUnavailableError: There is no node that could run it.
        """
        crew = self._entered()
        call = self._packer.call(protocol.CALL, function, variant, args, kwargs, terms)
        crew.submit(call)
        try:
            return await call.payload.future
        except asyncio.CancelledError as cancelled:
            _cancelled(crew, call, terms, cancelled)
            raise

    async def run_chunk(
        self,
        function: Callable[..., Any],
        variant: str,
        items: Sequence[Any],
        terms: Terms = PLAIN_TERMS,
    ) -> tuple[list[Any], float | None]:
        """Run ``function(item)`` for each item in one worker, one after another.

        Where the worker dies, the item that ran is :class:`Failed`, and those after it go to another
        worker of the node. Where the node is lost, all of them fail.

        Returns:
            For each item what it gave or a :class:`Failed`; and the seconds that all took.
        """
        crew = self._entered()
        call = self._packer.call(protocol.CHUNK, function, variant, tuple(items), {}, terms)
        crew.submit(call)
        out: Outgoing = call.payload
        try:
            return await out.future, out.run_s
        except asyncio.CancelledError as cancelled:
            _cancelled(crew, call, terms, cancelled)
            raise

    def stream(
        self,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms = PLAIN_TERMS,
    ) -> AsyncGenerator[Any, None]:
        """Run a generator function on some node and yield its items as they come."""

        def begin() -> Begun[Call]:
            crew = self._entered()
            call = self._packer.call(protocol.STREAM, function, variant, args, kwargs, terms)
            return crew, call, partial(_cancelled, crew, call, terms)

        return remote_stream(begin, _STREAM_CLOSE_S)

    def run_time_s(self, function: Callable[..., Any], variant: str = "default") -> float | None:
        """Return how long calls of a function took on average; None where none has ended."""
        if self._crew is None:
            return None
        return self._crew.placement.run_time_s((identity_of(function), variant))

    @property
    def places(self) -> int:
        """How many calls of one CPU the nodes can run at once."""
        if self._crew is None:
            return 0
        return int(sum(node.facts.cpus for node in self._crew.nodes.values()))

    def statistics(self) -> ClusterStatistics | None:
        """Return a snapshot, None while the lane is closed."""
        crew = self._crew
        if crew is None:
            return None
        return ClusterStatistics(
            crew.statistics(),
            crew.placement.waiting,
            crew.lost_nodes,
            crew.lost_calls,
            self.unavailable,
        )

    def _entered(self) -> Crew:
        crew = self._crew
        if crew is None:
            raise LaneUnavailableError("the cluster lane is closed: enter the runtime first")
        if not crew.nodes:
            why = f"the cluster cannot be used now: {self.unavailable}"
            raise LaneUnavailableError(why, reasons={self.name: why}, withdrawn=True)
        return crew

    def _handle_gone(self, number: int) -> None:
        """In any thread: the last reference to a handle went."""
        crew = self._crew
        if crew is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and so is the cluster
                crew.loop.call_soon_threadsafe(crew.drop_share, number)


def _cancelled(crew: Crew, call: Call, terms: Terms, cancelled: asyncio.CancelledError) -> None:
    out: Outgoing = call.payload
    if terms.on_cancel == "abandon" and call.state == "sent":
        if out.stream is not None:
            crew.stop_stream(call)  # nobody takes items any more: it ends when it yields next
        mark_abandoned(cancelled)
    elif crew.cancel(call):
        mark_killed(cancelled)


def _checked(address: str) -> str:
    if address in ("local", "auto"):
        return address
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not host or not colon or not port.isdecimal():
        raise ValueError(
            f"cluster={address!r} must be 'local', 'auto', 'host:port' or 'ray://host:port'"
        )
    return address
