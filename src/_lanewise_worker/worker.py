"""The main loop of a worker process: one socket, one thread, one call at a time."""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from _lanewise_worker import wire
from _lanewise_worker.crossing import Crossing
from _lanewise_worker.running import Runner, Taker

if TYPE_CHECKING:
    from _lanewise_worker.reporting import Output

# Not more: the allocator maps and unmaps larger objects each time, which costs more than the read.
_READ_BYTES = 65_536
# After so many waits in vain in a row, one in 64 is tried.
_MAX_MISSES = 63


class Line:
    """The worker's end of its socket. Reads belong to the main thread; anybody may send.

    ``_sending`` keeps frames whole: log records come from any thread of the user's. They also come from
    signal handlers, which interrupt a send of their own thread: these wait until it is done.
    """

    def __init__(self, channel: socket.socket, awake_s: float) -> None:
        self._channel = channel
        self._awake_s = awake_s
        self._misses = 0
        self._skipped = 0
        self._sending = threading.RLock()
        # guarded by: _sending
        self._is_sending = False
        self._waiting: deque[bytes] = deque()
        self._frames = wire.Frames()

    def send(self, data: bytes) -> None:
        """Send frames; waits while the parent does not read."""
        with self._sending:
            if self._is_sending:
                self._waiting.append(data)
                return
            self._is_sending = True
            try:
                self._channel.sendall(data)
                while self._waiting:
                    self._channel.sendall(self._waiting.popleft())
            finally:
                self._is_sending = False

    def receive(self, *, wait: bool = True) -> list[tuple[int, int, int, int, Any]] | None:
        """Return the frames that have arrived, None once the parent is gone.

        Without ``wait`` the list may be empty.
        """
        frames = self._soon() if wait and self._awake_s else None
        if frames:
            return frames
        while True:
            try:
                data = self._channel.recv(_READ_BYTES, 0 if wait else socket.MSG_DONTWAIT)
            except BlockingIOError:
                return []
            except ConnectionError:
                return None
            if not data:
                return None
            frames = self._frames.feed(data)
            if frames or not wait:
                return frames

    def _soon(self) -> list[wire.Frame]:
        """Stay awake for a moment: where calls follow one another, the next one comes at once.

        To be woken costs more than a short call. Each time that nothing comes, the next trials are left
        out, twice as many as before, so a worker whose calls come seldom hardly ever does this.
        """
        if self._skipped < self._misses:
            self._skipped += 1
            return []
        self._skipped = 0
        receive, end = self._channel.recv, time.perf_counter() + self._awake_s
        while True:
            try:
                data = receive(_READ_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                if time.perf_counter() > end:
                    self._misses = min(2 * self._misses + 1, _MAX_MISSES)
                    return []
                os.sched_yield()  # the parent may need this very core
            except ConnectionError:
                return []  # which the next read tells
            else:
                self._misses = 0
                return self._frames.feed(data)


class Worker:
    """One worker. Owner of everything in it: its main thread, or an interpreter's only one.

    Args:
        line: On which frames are spoken.
        words: The words that are shared with the parent.
        make_runner: Given how to take the frames that come while a call runs, makes what runs calls.
    """

    def __init__(
        self, line: Line, words: memoryview, make_runner: Callable[[Taker], Runner]
    ) -> None:
        self._line = line
        self._words = words
        self._inbox: deque[tuple[int, int, int, int, Any]] = deque()
        self._runner = make_runner(self._take)
        self._handlers: dict[int, Callable[[int, int, int, Any], None]] = {
            wire.CALL: self._runner.call,
            wire.DEFINE: self._runner.define,
            wire.CHUNK: self._runner.chunk,
            wire.STREAM: self._runner.stream,
            wire.SHARE: self._runner.shares.add,
            wire.DROP: self._runner.shares.drop,
            wire.FREED: self._runner.crossing.freed,
            wire.FORGET: self._runner.crossing.forget,
            wire.TRIM: self._runner.crossing.trim,
        }

    def serve(self) -> None:
        """Serve until the parent says so, or is gone."""
        words, inbox, handlers = self._words, self._inbox, self._handlers
        calls = (wire.CALL, wire.CHUNK, wire.STREAM)
        while True:
            if not inbox:
                frames = self._line.receive()
                if frames is None:
                    return
                inbox.extend(frames)
            kind, flags, number, seq, body = inbox.popleft()
            if kind in calls:
                # A recall that is seen here is exact: nothing was noted as begun.
                if words[wire.RECALLED] >= seq:
                    self._line.send(wire.frame(wire.SKIPPED, seq=seq))
                    continue
                if (
                    kind == wire.CHUNK
                ):  # what stands there is another chunk's, should this one die early
                    words[wire.JOURNALED] = words[wire.FLUSHED] = 0
                words[wire.STARTED] = seq
                # The parent recalls first and looks at STARTED later, this side does it the other way
                # round, so at least one of them sees the other; who skips here says so.
                if words[wire.RECALLED] >= seq:
                    self._line.send(wire.frame(wire.SKIPPED, seq=seq))
                    continue
            elif kind == wire.EXIT:
                return
            handler = handlers.get(kind)
            if handler is not None:  # credit for a stream that has ended meanwhile has none
                handler(flags, number, seq, body)

    def _take(self, *, wait: bool) -> tuple[int, int, int, int, Any] | None:
        """Return the next frame for a call that runs and must listen (a stream).

        Raises:
            EOFError: The parent is gone.
        """
        if not self._inbox:
            frames = self._line.receive(wait=wait)
            if frames is None:
                raise EOFError("the parent is gone")
            self._inbox.extend(frames)
        if not self._inbox:
            return None
        frame = self._inbox.popleft()
        if frame[0] in (wire.FREED, wire.FORGET, wire.DROP, wire.TRIM):
            self._handlers[frame[0]](*frame[1:])
            return None
        return frame


def main(channel_fd: int, side_fd: int, page_fd: int, options: dict[str, Any]) -> None:
    """Run one worker to its end.

    Args:
        channel_fd: The stream socket on which frames are spoken.
        side_fd: The socket over which descriptors of shared memory are passed.
        page_fd: The page that is shared with the parent, -1 where there is none.
        options: ``log_levels``, ``initializer`` (pickled function and arguments), ``authkey`` (the
            parent's, for multiprocessing's managers), ``awake_s`` (how long to look for the next call
            before sleeping), or nothing.
    """
    # Ctrl-C is the parent's to handle. A handler and not SIG_IGN, which what a call starts would
    # inherit.
    signal.signal(signal.SIGINT, _ignore)
    channel = socket.socket(fileno=channel_fd)
    channel.setblocking(True)
    side = socket.socket(fileno=side_fd)
    side.setblocking(True)
    page = memoryview(
        mmap.mmap(page_fd, wire.PAGE_BYTES) if page_fd >= 0 else bytearray(wire.PAGE_BYTES)
    )
    if page_fd >= 0:
        os.close(page_fd)
    line = Line(channel, options.get("awake_s", 0.0))
    output = _reporting(line, options)
    words = page[: wire.JOURNAL_AT].cast("Q")
    crossing = Crossing(line, side)
    worker = Worker(line, words, lambda take: Runner(line, crossing, words, page, output, take))
    authkey = options.get("authkey")
    if authkey is not None:
        import multiprocessing  # noqa: PLC0415 - because: rare

        multiprocessing.current_process().authkey = authkey
    initializer = options.get("initializer")
    if initializer is not None and not _initialized(line, output, initializer):
        return
    line.send(wire.frame(wire.READY, number=os.getpid()))
    try:
        worker.serve()
    except (BrokenPipeError, ConnectionResetError, EOFError):
        return  # the parent is gone, and with it everybody who would want to know
    finally:
        output.settle()
    _leave()


def _reporting(line: Line, options: dict[str, Any]) -> Output:
    from _lanewise_worker import reporting  # noqa: PLC0415 - because: brings logging and warnings

    def send_log(data: bytes) -> None:
        line.send(wire.frame(wire.LOG, data))

    def send_warning(data: bytes) -> None:
        line.send(wire.frame(wire.WARNING, data))

    reporting.ship_logging(send_log, options.get("log_levels", {}))
    reporting.ship_warnings(send_warning)
    return reporting.capture_output()


def _initialized(line: Line, output: Output, initializer: bytes) -> bool:
    """Run the initializer; where it fails the parent is told and this worker is of no use."""
    from _lanewise_worker import traces  # noqa: PLC0415 - because: rare

    try:
        function, args = pickle.loads(initializer)  # noqa: S301 - because: from the parent
        function(*args)
    except BaseException as error:  # noqa: BLE001 - because: whatever it is, the parent must know
        output.settle()
        line.send(wire.frame(wire.ERROR, traces.pack_exception(error), seq=0))
        return False
    output.settle()
    return True


def _leave() -> None:
    """Run what the user's modules registered for the end of the process."""
    import atexit  # noqa: PLC0415 - because: once, at the end

    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()  # noqa: SLF001 - because: the launcher's child ends by os._exit, which runs none
    with contextlib.suppress(Exception):
        sys.stdout.flush()


def _ignore(_signal: int, _frame: Any) -> None:
    """Do nothing."""
