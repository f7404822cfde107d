"""The session's handle on one bench process: start it, ask it, watch it, end it."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Self

from lanewise.errors import MeasureError
from lanewise.measuring.channel import Channel, ChannelClosedError
from lanewise.measuring.gil_sampler import GilSampler

# Ticks come at irregular distances, so that they cannot fall into step with the load.
_TICK_EVERY_S = (0.0003, 0.0008)
_TICK = struct.Struct("=q")
_START_TIMEOUT_S = 60.0
_KEPT_OUTPUT_BYTES = 4_096


class BenchDiedError(MeasureError):
    """The bench process is gone: user code crashed it, or it was killed for taking too long.

    Attributes:
        timed_out: The second; a larger size will hardly be faster.
    """

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class Bench:
    """One bench process. Owner: the session's thread; a context manager, killed on leaving.

    Args:
        python: The interpreter to run it under, or None for this one.
        search_path: Folders that it finds modules in, before those of the environment.

    Raises:
        MeasureError: It cannot be started.
    """

    def __init__(self, python: str | None = None, search_path: Sequence[str] = ()) -> None:
        self._library: str | None = None
        self._rng = random.Random(0)  # noqa: S311 - because: jitter, not secrecy
        commands, far_commands = socket.socketpair()
        self._ticks, far_ticks = socket.socketpair()
        self._ticks.setblocking(False)
        self.channel = Channel(commands)
        # guarded by: _output_lock, with output_bytes
        self.output: deque[bytes] = deque()
        self._output_lock = threading.Lock()
        self.output_bytes = 0
        try:
            self._process = self._start(python, search_path, far_commands, far_ticks)
        except BaseException:
            self._release()
            raise
        finally:
            far_commands.close()
            far_ticks.close()
        self._drain = threading.Thread(target=self._drain_output, name="bench-output", daemon=True)
        self._drain.start()
        try:
            self.facts = self.ask("hello", timeout_s=_START_TIMEOUT_S)
        except BaseException:
            self.close()
            raise

    def _start(
        self,
        python: str | None,
        search_path: Sequence[str],
        commands: socket.socket,
        ticks: socket.socket,
    ) -> subprocess.Popen[bytes]:
        environment = dict(os.environ)
        paths = [*search_path, *filter(None, [environment.get("PYTHONPATH")])]
        if python is not None:
            self._library = _library_alone()
            paths.insert(0, self._library)
        if paths:
            environment["PYTHONPATH"] = os.pathsep.join(paths)
        command = [python or sys.executable, "-m", "lanewise.cli.bench_process"]
        try:
            return subprocess.Popen(  # noqa: S603 - because: the interpreter is the user's own choice
                [*command, str(commands.fileno()), str(ticks.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(commands.fileno(), ticks.fileno()),
                env=environment,
                # Ctrl-C in the terminal is the session's to handle; and the group can be killed whole.
                start_new_session=True,
            )
        except OSError as error:
            raise MeasureError(
                f"the interpreter {python or sys.executable!r} cannot be started: {error}. "
                "Give --python the path of an executable CPython 3.11 or later"
            ) from error

    def _drain_output(self) -> None:
        """Keep the tail of what user code prints, so that it never blocks on a full pipe.

        Runs on its own thread; the session reads ``output`` under the same lock.
        """
        stream = self._process.stdout
        assert stream is not None
        kept = 0
        with contextlib.suppress(OSError, ValueError):
            while data := _read_some(stream):
                with self._output_lock:
                    self.output.append(data)
                    self.output_bytes += len(data)
                    kept += len(data)
                    while kept - len(self.output[0]) > _KEPT_OUTPUT_BYTES:
                        kept -= len(self.output.popleft())

    def last_words(self) -> str:
        """The tail of what the bench printed."""
        with self._output_lock:
            kept = list(self.output)
        return b"".join(kept).decode(errors="replace").strip()[-_KEPT_OUTPUT_BYTES:]

    def ask(self, command: str, *, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        """Send a command and wait for its answer.

        Raises:
            MeasureError: The bench answered with an error.
            BenchDiedError: It is gone, or did not answer in time and was killed.
        """
        self._send(command, arguments)
        return self._answer(command, time.monotonic() + timeout_s)

    def ask_sampled(
        self, command: str, sampler: GilSampler, *, timeout_s: float, **arguments: Any
    ) -> dict[str, Any]:
        """Like :meth:`ask`, reading the lock word all the while."""
        self._send(command, arguments)
        deadline = time.monotonic() + timeout_s
        sampler.sample_until(lambda: self.channel.readable(0), timeout_s)
        return self._answer(command, deadline)

    def ask_ticking(self, command: str, *, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        """Like :meth:`ask`, sending ticks for the loop's lag all the while."""
        self._send(command, arguments)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.channel.readable(self._rng.uniform(*_TICK_EVERY_S)):
                break
            # A full buffer means a loop that has been blocked for seconds: enough ticks wait there.
            with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                self._ticks.send(_TICK.pack(time.monotonic_ns()))
        return self._answer(command, deadline)

    def _send(self, command: str, arguments: dict[str, Any]) -> None:
        try:
            self.channel.send({"command": command, **arguments})
        except ChannelClosedError:
            raise self._died(command) from None

    def _answer(self, command: str, deadline: float) -> dict[str, Any]:
        try:
            reply = self.channel.receive(max(0.0, deadline - time.monotonic()))
        except ChannelClosedError:
            raise self._died(command) from None
        if reply is None:
            self.kill()
            raise BenchDiedError("it did not return in time and was stopped", timed_out=True)
        if "error" in reply:
            raise MeasureError(reply["message"])
        answer: dict[str, Any] = reply["ok"]
        return answer

    def _died(self, command: str) -> BenchDiedError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self._drain.join(timeout=1)
        code = self._process.returncode
        how = "was closed" if code is None else _describe_exit(code)
        words = self.last_words()
        said = f". Its last words: {words[-800:]}" if words else ""
        return BenchDiedError(f"the measured process {how} during {command!r}{said}")

    def kill(self) -> None:
        """End the process and everything that it started. Idempotent."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Let the bench release its lanes for two seconds, then kill what is left. Idempotent."""
        if self._process.poll() is None:
            with contextlib.suppress(ChannelClosedError):
                self.channel.send({"command": "bye"})
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=2)
        self.kill()
        self._drain.join(timeout=1)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._release()

    def _release(self) -> None:
        """Close and remove what this side holds. Idempotent."""
        self.channel.socket.close()
        self._ticks.close()
        if self._library is not None:
            shutil.rmtree(self._library, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _read_some(stream: IO[bytes]) -> bytes:
    return os.read(stream.fileno(), 1 << 16)


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


def _library_alone() -> str:
    """A directory that holds lanewise and nothing else, for another interpreter's path.

    Putting this environment's site-packages there would let the other interpreter import packages
    that were made for this one.
    """
    here = Path(__file__).resolve().parents[2]
    directory = tempfile.mkdtemp(prefix="lanewise-")
    for package in ("lanewise", "_lanewise_worker"):
        (Path(directory) / package).symlink_to(here / package, target_is_directory=True)
    return directory
