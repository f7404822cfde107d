"""The parent's side of the process that starts workers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from _lanewise_worker import control
from _lanewise_worker.main_module import describe_main
from lanewise.errors import LaneUnavailableError
from lanewise.lanes.process.births import Born, closing_all, connections
from lanewise.lanes.process.memory import home_of_far_side

_log = logging.getLogger("lanewise")

_READ_BYTES = 65_536
_START_S = 60.0
# How long calls are watched before what they imported is imported for workers to come; doubled each time.
_LEARN_FIRST_S = 0.5
_LEARN_LAST_S = 60.0
_STOP_S = 5.0
_BOOTSTRAP = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from _lanewise_worker.launcher import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)


@dataclass(slots=True, eq=False)
class _Process:
    """One launcher process. An old one lives on until its last worker has ended."""

    popen: subprocess.Popen[bytes]
    channel: socket.socket
    lifeline_fd: int
    messages: control.Messages = field(default_factory=control.Messages)
    requests: dict[int, asyncio.Future[int]] = field(default_factory=dict)
    workers: set[int] = field(default_factory=set)
    ready: asyncio.Future[tuple[dict[str, str], dict[str, int]]] | None = None
    retired: bool = False


class Launcher:
    """Starts workers through a process that has one thread, and hears of their end.

    Args:
        method: ``"forkserver"`` forks that process, ``"spawn"`` starts a fresh interpreter for each
            worker.
        environment: For that process and all workers.
        preload: Modules that it imports before it starts any worker.
        options: Given to each worker's main function.
        nice: By how much workers are nicer than this process.
        entry: What workers run, as ``module:function``.

    Attributes:
        on_death: Called with a worker's pid and minus its signal or its exit code; None where nobody
            could see that. The pid stays reserved until :meth:`release`.
        on_lost: Called when the process itself died, with why and the pids that it leaves.

    Owner: the loop on which :meth:`start` is awaited.
    """

    def __init__(  # noqa: PLR0913 - because: each is documented above
        self,
        *,
        method: str,
        environment: Mapping[str, str],
        preload: Sequence[str],
        options: Callable[[], dict[str, Any]],
        nice: int = 0,
        entry: str = "_lanewise_worker.worker:main",
    ) -> None:
        self._method = method
        self._environment = dict(environment)
        self._preloads = list(dict.fromkeys(preload))
        self._learned: list[str] = []
        self._refused: dict[str, str] = {}
        self._learn_after_s = _LEARN_FIRST_S
        self._options = options
        self._nice = nice
        # Set before start() by who owns the launcher.
        self.on_death: Callable[[int, int | None], None] = _nobody
        self.on_lost: Callable[[str, list[int]], None] = _nobody
        self._entry = entry
        self._current: _Process | None = None
        self._all: list[_Process] = []
        self._pidfds: dict[int, int] = {}
        self._lifelines: list[int] = []
        self._owners: dict[int, _Process] = {}
        # Workers that were started and not handed out yet: whether they have ended, and how.
        self._unclaimed: dict[int, tuple[bool, int | None]] = {}
        self._numbers = itertools.count(1)
        self._starting = asyncio.Lock()
        self._replacing: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def pids(self) -> tuple[int, ...]:
        """The launcher processes that live, the current one last."""
        return tuple(process.popen.pid for process in self._all)

    # --- lifetime -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the process and wait until it answers. When cancelled, nothing is left behind.

        Raises:
            LaneUnavailableError: It cannot be started, or ended at once.
        """
        await self._present()

    async def _present(self) -> _Process:
        """Return the process that starts workers; make one where there is none, or none any more."""
        async with self._starting:
            if self._current is None:
                process = await self._made_somehow()
                if self._closed:
                    await self._end(process)
                    raise LaneUnavailableError("the process lane was closed")
                self._install(process)
                return process
            return self._current

    async def _made_somehow(self) -> _Process:
        """Start a process with all modules; without those that were learned, where that fails."""
        learned = self._wanted(self._learned)
        try:
            return await self._made([*self._preloads, *learned])
        except LaneUnavailableError as error:
            if not learned or self._closed:
                raise
            self._refuse(learned, str(error))
            return await self._made(self._preloads)

    async def _made(self, modules: Sequence[str]) -> _Process:
        """Start a process that has imported the modules and has one thread.

        Raises:
            LaneUnavailableError: It cannot be started, or ends while it imports.
        """
        while True:
            wanted = self._wanted(modules)
            process = await self._begun(wanted)
            assert process.ready is not None
            failed, threaded = process.ready.result()
            for name, why in failed.items():
                # Not an error: what a call imports may only work inside that call.
                self._refuse([name], why)
            if not threaded:
                return process
            for name, count in threaded.items():
                self._refuse([name], f"starts {count} thread(s) when it is imported")
                _log.info(
                    "%s starts threads when it is imported: each worker imports it by itself", name
                )
            await self._end(process)  # a process with threads must not fork

    def _wanted(self, modules: Sequence[str]) -> list[str]:
        return [name for name in dict.fromkeys(modules) if name not in self._refused]

    def _refuse(self, modules: Sequence[str], why: str) -> None:
        for name in modules:
            _log.debug("workers do not find %s loaded: %s", name, why)
            self._refused[name] = why

    async def _begun(self, modules: list[str]) -> _Process:
        loop = asyncio.get_running_loop()
        making = loop.run_in_executor(None, self._popen, modules)
        try:
            process = await asyncio.shield(making)
        except asyncio.CancelledError:
            # A thread that starts a process cannot be stopped: wait for it, then end what it made.
            await asyncio.wait([making])
            if making.exception() is None:
                _abort(making.result())
            raise
        except (OSError, subprocess.SubprocessError) as error:
            raise LaneUnavailableError(
                f"the process that starts workers cannot be started: {type(error).__name__}: {error}. "
                "Usual causes: limits on processes, descriptors or memory"
            ) from error
        process.ready = loop.create_future()
        self._all.append(process)
        process.channel.setblocking(False)
        loop.add_reader(process.channel.fileno(), self._readable, process)
        try:
            async with asyncio.timeout(_START_S):
                await process.ready
        except BaseException as error:
            await self._end(process)
            if isinstance(error, TimeoutError):
                raise LaneUnavailableError(
                    f"the process that starts workers did not answer within {_START_S:g} s; it was to "
                    f"import {', '.join(modules) or 'nothing'}"
                ) from error
            raise
        return process

    def _popen(self, modules: list[str]) -> _Process:
        """Start the process. Runs in a thread, for it takes milliseconds."""
        ours, theirs = socket.socketpair()
        lifeline_read, lifeline_write = os.pipe()
        try:
            # What multiprocessing hands on to its own children: -X, -W, -O and their like.
            flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001 - because: see above
            popen = subprocess.Popen(  # noqa: S603 - because: our own interpreter and arguments
                [
                    *(sys.executable, *flags, "-c", _BOOTSTRAP, home_of_far_side()),
                    *(str(theirs.fileno()), str(lifeline_read)),
                ],
                stdin=subprocess.DEVNULL,
                env=self._environment,
                pass_fds=(theirs.fileno(), lifeline_read),
                process_group=0,
            )
            try:
                control.send(ours, self._config(flags, modules))
            except OSError:
                popen.kill()
                popen.wait()
                raise
        except BaseException:
            ours.close()
            os.close(lifeline_write)
            raise
        finally:
            theirs.close()
            os.close(lifeline_read)
        return _Process(popen, ours, lifeline_write)

    def _config(self, flags: list[str], modules: list[str]) -> dict[str, Any]:
        return {
            "preload": modules if self._method == "forkserver" else [],
            "parent_pid": os.getpid(),
            "method": self._method,
            "entry": self._entry,
            "nice": self._nice,
            "flags": flags,
            "home": home_of_far_side(),
            "path": list(sys.path),
            "argv": list(sys.argv),
            "directory": os.getcwd(),  # noqa: PTH109 - because: a string is what is sent
            "main": describe_main(),
        }

    async def close(self) -> None:
        """Kill every worker and end. Idempotent."""
        self._closed = True
        if self._replacing is not None:
            self._replacing.cancel()
            await asyncio.gather(self._replacing, return_exceptions=True)
        self._current = None
        for process in list(self._all):
            await self._end(process)
        await asyncio.gather(*self._ending)
        for pid in list(self._pidfds):
            self.release(pid)
        for fd in self._lifelines:
            os.close(fd)
        self._lifelines.clear()

    async def _end(self, process: _Process) -> None:
        loop = asyncio.get_running_loop()
        if process in self._all:
            self._all.remove(process)
            loop.remove_reader(process.channel.fileno())
        if process.ready is None or not process.ready.done():
            process.popen.kill()  # it imports, reads nothing, and has no workers
        with contextlib.suppress(OSError):
            process.channel.setblocking(True)
            process.channel.settimeout(_STOP_S)
            control.send(process.channel, ("stop",))
            process.channel.shutdown(socket.SHUT_WR)
        await _wait_for(process.popen)
        for future in process.requests.values():
            if not future.done():
                future.set_exception(LaneUnavailableError("the process lane was closed"))
        process.channel.close()
        # Last, so that workers without a launcher die too.
        if process.lifeline_fd >= 0:
            os.close(process.lifeline_fd)
            process.lifeline_fd = -1

    # --- workers --------------------------------------------------------------------------------

    async def start_worker(self) -> Born:
        """Start one worker. When cancelled, nothing of it is left.

        Raises:
            LaneUnavailableError: There is no launcher process, and none can be started.
            OSError: Descriptors, memory or processes ran out.
        """
        process = self._current or await self._present()
        number = next(self._numbers)
        request: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        born, theirs = connections()
        try:
            process.requests[number] = request
            with closing_all(theirs):
                self._say(process, ("start", number, self._options()), tuple(theirs))
            born.pid = await request
            self._claim(born.pid)
        except BaseException:
            # A worker that starts nevertheless finds its socket closed and ends.
            born.close()
            if request.done() and not request.cancelled() and request.exception() is None:
                with contextlib.suppress(OSError):
                    self._claim(request.result())
                self.kill(request.result())
            raise
        finally:
            process.requests.pop(number, None)
        return born

    def _claim(self, pid: int) -> None:
        """From here on :attr:`on_death` tells of its end.

        Raises:
            OSError: It has ended already.
        """
        if pid in self._unclaimed:
            died, status = self._unclaimed.pop(pid)
            if died:
                self.release(pid)
                raise OSError(f"a worker ended with status {status} before it could be used")

    def _ended(self, pid: int, status: int | None) -> None:
        if pid in self._unclaimed:  # who asked for it has not had a turn of the loop since
            self._unclaimed[pid] = True, status
        else:
            self.on_death(pid, status)

    def learn(self, modules: Sequence[str]) -> None:
        """Have workers to come find these modules loaded, before long.

        A new process imports them beside the present one, whatever they do, and then takes its place.
        """
        new = [name for name in self._wanted(modules) if name not in self._learned]
        self._learned += new
        if not new or self._method != "forkserver" or self._closed:
            return
        if self._replacing is None or self._replacing.done():
            self._replacing = asyncio.ensure_future(self._replace())

    async def _replace(self) -> None:
        known: list[str] = []
        while known != self._learned:
            # What is learned meanwhile goes with it; programs that learn for ever do it ever less often.
            await asyncio.sleep(self._learn_after_s)
            self._learn_after_s = min(2 * self._learn_after_s, _LEARN_LAST_S)
            before, known = known, list(self._learned)
            try:
                process = await self._made([*self._preloads, *known])
            except LaneUnavailableError as error:
                self._refuse([name for name in known if name not in before], str(error))
                continue
            self._install(process)

    def _install(self, process: _Process) -> None:
        """Have workers to come be started by this process."""
        old, self._current = self._current, process
        if old is not None:
            old.retired = True
            self._end_unused(old)

    def kill(self, pid: int) -> None:
        """Kill a worker and its process group; what else it started follows when its end is seen.

        Idempotent. The pid cannot have been given to anybody else before :meth:`release`.
        """
        process = self._owners.get(pid)
        if process is not None and process in self._all:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        elif pid in self._pidfds:  # its launcher is gone, and with it who kept the pid reserved
            with contextlib.suppress(ProcessLookupError, PermissionError):
                # While it is stopped it cannot end, so the group's number is its own.
                signal.pidfd_send_signal(self._pidfds[pid], signal.SIGSTOP)
                os.killpg(pid, signal.SIGKILL)

    def release(self, pid: int) -> None:
        """Let go of an ended worker's pid."""
        fd = self._pidfds.pop(pid, None)
        if fd is not None:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
        process = self._owners.pop(pid, None)
        if process is None:
            return
        process.workers.discard(pid)
        if process in self._all:
            self._say(process, ("reap", pid))
            self._end_unused(process)

    def _end_unused(self, process: _Process) -> None:
        """End a launcher that was replaced and has no worker left."""
        if process is self._current or not process.retired or process.workers or process.requests:
            return
        # Never cancelled: half of it would leave a process.
        ending = asyncio.ensure_future(self._end(process))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    # --- what the process says ------------------------------------------------------------------

    def _say(self, process: _Process, message: Any, fds: tuple[int, ...] = ()) -> None:
        # Blocking for a moment: messages are short, and the launcher does nothing but read them.
        with contextlib.suppress(
            BrokenPipeError, ConnectionResetError
        ):  # its end is read elsewhere
            process.channel.settimeout(_STOP_S)
            try:
                control.send(process.channel, message, fds)
            finally:
                process.channel.setblocking(False)

    def _readable(self, process: _Process) -> None:
        try:
            data = process.channel.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost(process)
            return
        for message in process.messages.feed(data):
            self._told(process, message)

    def _told(self, process: _Process, message: Any) -> None:
        kind = message[0]
        if kind == "ready" and process.ready is not None and not process.ready.done():
            process.ready.set_result((message[1], message[2]))
        elif kind == "started":
            self._started(process, message[1], message[2])
        elif kind == "failed":
            request = process.requests.pop(message[1], None)
            if request is not None and not request.done():
                request.set_exception(
                    OSError(f"a worker process could not be started: {message[2]}")
                )
        elif kind == "died":
            self._ended(message[1], message[2])

    def _started(self, process: _Process, number: int, pid: int) -> None:
        process.workers.add(pid)
        self._owners[pid] = process
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._pidfds[pid] = os.pidfd_open(pid)
        request = process.requests.pop(number, None)
        if request is not None and not request.done():
            self._unclaimed[pid] = False, None
            request.set_result(pid)
        else:
            self.kill(pid)  # nobody waits for it any more

    def _lost(self, process: _Process) -> None:
        """The launcher process died."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(process.channel.fileno())
        self._all.remove(process)
        process.channel.close()
        # Its workers may end their calls, so their lifeline stays until the lane is closed.
        self._lifelines.append(process.lifeline_fd)
        process.lifeline_fd = -1
        for pid in process.workers:
            if pid in self._pidfds:  # nobody else will tell when they end
                loop.add_reader(self._pidfds[pid], self._ended, pid, None)
        code = process.popen.wait()
        reason = f"it ended with status {code}"
        if process.ready is not None and not process.ready.done():
            process.ready.set_exception(
                LaneUnavailableError(f"the process that starts workers failed: {reason}")
            )
        for request in process.requests.values():
            if not request.done():
                request.set_exception(
                    LaneUnavailableError(f"the process that starts workers died: {reason}")
                )
        was_current = process is self._current
        if was_current:
            self._current = None
        if was_current or process.workers:
            self.on_lost(reason, sorted(process.workers))


def _nobody(*_: Any) -> None:
    """Nobody listens yet."""


async def _wait_for(popen: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a process that was told to end; it does so within milliseconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _STOP_S
    pause_s = 0.000_5
    while popen.poll() is None:
        if loop.time() > deadline:
            popen.kill()
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.02)


def _abort(process: _Process) -> None:
    process.popen.kill()
    process.popen.wait()
    process.channel.close()
    os.close(process.lifeline_fd)
