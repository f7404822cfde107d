"""The main loop of an interpreter with its own lock: the worker's loop, beside its parent in one process.

Frames come and go over a socket, whose wake-up needs nobody's lock but this interpreter's own. Large
values do not travel: they are handed over through two queues of the standard library, which are only
ever asked for what is known to be there. (To wait in such a queue means to look again and again.)
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import pickle
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from _lanewise_worker import reporting, views, wire
from _lanewise_worker.codec import decode, encode
from _lanewise_worker.crossing import unpack_inline
from _lanewise_worker.main_module import install_lazy_main
from _lanewise_worker.probe import FACTS
from _lanewise_worker.running import Runner
from _lanewise_worker.worker import Line, Worker


class QueueCrossing:
    """How values leave and enter this interpreter. Owner: its thread.

    Args:
        take: Returns what the parent put, without waiting.
        put: Hands something to the parent.
    """

    def __init__(self, take: Callable[[], Any], put: Callable[[Any], None]) -> None:
        self._take = take
        self._put = put

    def close(self) -> None:
        """Let go of the queues, whose own end needs an interpreter that still works."""
        self._take = self._put = _closed

    def load(self, flags: int, body: Any) -> Any:
        """Make the value of a frame again; read-only buffers in it are the parent's own memory."""
        if flags & wire.SEGMENT:
            return views.take(self._take(), views.lent)
        return unpack_inline(body) if flags & wire.BUFFERS else decode(body)

    def dump(self, value: Any) -> tuple[int, bytes]:
        """Turn a value into flags and a frame's body.

        Raises:
            Exception: Whatever pickling raises.
        """
        if type(value) is memoryview:
            value = views.View(value)
        encoded = encode(value)
        if isinstance(encoded, bytes):
            return 0, encoded
        views.put(self._put, encoded)
        return wire.SEGMENT, b""

    def settle(self) -> None:
        """Nothing is kept."""

    def freed(self, _flags: int, _number: int, _seq: int, _body: Any) -> None:
        """The parent has copied a result. To have woken up for that lets go of the result's memory."""

    def forget(self, _flags: int, _number: int, _seq: int, _body: Any) -> None:
        """Nothing is kept."""

    def trim(self, _flags: int, _number: int, _seq: int, _body: Any) -> None:
        """Nothing is kept."""

    def take_fd(self) -> int:
        """Return the descriptor that the parent duplicated for this interpreter: it is one process."""
        fd: int = self._take()
        return fd


class InterpreterRunner(Runner):
    """Runs what arrives. Owner: the interpreter's thread."""

    _facts = b""

    def call(self, flags: int, number: int, seq: int, body: Any) -> None:
        """Run one call and send how it ended, in one piece with what it cost."""
        outcome = self._outcome(flags, number, seq, body)
        if self._facts:
            outcome, self._facts = self._facts + outcome, b""
        self._line.send(outcome)
        del outcome
        self._after()

    def _watched(
        self,
        seq: int,
        context: contextvars.Context,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        # Nothing watches the lock here: it is this interpreter's own, and nobody waits for it.
        began, cpu_s = time.perf_counter(), time.thread_time()
        try:
            return context.run(function, *args, **kwargs)
        finally:
            cpu_s = time.thread_time() - cpu_s
            wall_s = time.perf_counter() - began
            facts = FACTS.pack(wall_s, cpu_s, 0.0, -1.0, 0)
            self._facts = wire.frame(wire.FACTS, facts, seq=seq)

    def _dump_results(self, results: list[Any], failed: dict[int, bytes]) -> tuple[int, bytes]:
        return super()._dump_results(list(views.wrapped(tuple(results))), failed)


class _Output:
    """This interpreter's stdout and stderr, which share the process's descriptors."""

    def settle(self) -> bool:
        """Write out what was printed, so that it comes before what the parent prints next."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # closed, replaced or absent: the user's doing
                stream.flush()
        return False


def main(channel_fd: int, inbox_id: int, outbox_id: int, packed: bytes) -> None:
    """Serve the parent until it says that it is enough, or hangs up.

    Args:
        channel_fd: The socket on which frames are spoken; it is closed here.
        inbox_id: The queue from which large values come.
        outbox_id: The queue that takes large results.
        packed: Pickled options: ``log_levels``, ``main`` (see main_module.py), ``awake_s``.
    """
    interpreters = importlib.import_module("concurrent.interpreters")
    inbox, outbox = interpreters.Queue(inbox_id), interpreters.Queue(outbox_id)
    options = pickle.loads(packed)  # noqa: S301 - because: from the own process
    channel = socket.socket(fileno=channel_fd)
    channel.setblocking(True)
    install_lazy_main(options["main"])
    line = Line(channel, options["awake_s"])
    reporting.ship_logging(
        lambda data: line.send(wire.frame(wire.LOG, data)), options["log_levels"]
    )
    reporting.ship_warnings(lambda data: line.send(wire.frame(wire.WARNING, data)))
    # The parent reads neither: a worker here cannot die and leave something to be read.
    page = memoryview(bytearray(wire.PAGE_BYTES))
    words = page[: wire.JOURNAL_AT].cast("Q")
    crossing = QueueCrossing(inbox.get_nowait, outbox.put_nowait)
    worker = Worker(
        line,
        words,
        lambda take: InterpreterRunner(line, crossing, words, page, _Output(), take),
    )
    line.send(wire.frame(wire.READY))
    try:
        # The parent may hang up at any moment.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, EOFError), channel:
            worker.serve()
    finally:
        crossing.close()


def _closed(*_args: Any) -> Any:
    raise EOFError("the parent has hung up")
