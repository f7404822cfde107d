"""Programs to look at: one that runs, one that is started for it, and the children of either."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lanewise.diagnose.kernel_view import thread_ids
from lanewise.errors import DiagnoseError

_TERMINATE_S = 5.0
_MOST_PROCESSES = 256
_STANDARD_ERROR = 2
_EXITING = 0x4  # PF_EXITING of the kernel's linux/sched.h
# Fields of proc(5), counted behind the program's name.
_FLAGS, _USER, _SYSTEM = 6, 11, 12


class StartedProgram:
    """A program that was started to be looked at. Owned by whoever started it; stop it after use.

    Args:
        command: What to start.
        environment: The program's; this one's by default.
        quiet: Its standard output goes to standard error, for this one's is somebody else's.

    Raises:
        DiagnoseError: It cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        quiet: bool = False,
    ) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 - because: the user's own command line
                list(command), env=environment, stdout=_STANDARD_ERROR if quiet else None
            )
        except OSError as error:
            raise DiagnoseError(f"{command[0]} cannot be started: {error.strerror}") from error
        self.pid = self._process.pid
        self.was_stopped = False

    @property
    def exit_status(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._process.poll()

    def stop(self) -> int:
        """End it and what it started if it still runs, with SIGTERM first; return its exit status.

        What it started and left behind on purpose, so that it is no descendant any more, goes on.
        """
        if not exists(self.pid):
            return self._process.wait()
        self.was_stopped = True
        with _held(descendants(self.pid)) as below:
            self._process.terminate()
            try:
                self._process.wait(_TERMINATE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
            _end(below)
        return self._process.wait()


@contextlib.contextmanager
def _held(pids: Sequence[int]) -> Iterator[list[int]]:
    """Descriptors of processes: what is sent through them reaches nobody who has the number later."""
    opened: list[int] = []
    try:
        for pid in pids:
            with contextlib.suppress(OSError):
                opened.append(os.pidfd_open(pid))
        yield opened
    finally:
        for one in opened:
            os.close(one)


def _end(processes: Sequence[int]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for one in processes:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(one, number)
        processes = _still_there(processes, _TERMINATE_S)


def _still_there(processes: Sequence[int], patience_s: float) -> list[int]:
    """Those that have not ended when the time is over."""
    left = list(processes)
    give_up_s = time.monotonic() + patience_s
    while left and (now_s := time.monotonic()) < give_up_s:
        waiting = select.poll()
        for one in left:
            waiting.register(one, select.POLLIN)
        ended = {one for one, _ in waiting.poll(1000 * (give_up_s - now_s))}
        left = [one for one in left if one not in ended]
    return left


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and theirs; empty where the kernel does not tell."""
    found: list[int] = []
    left = [pid]
    while left and len(found) < _MOST_PROCESSES:
        parent = left.pop()
        for thread in thread_ids(parent):
            with contextlib.suppress(OSError, ValueError):
                text = Path(f"/proc/{parent}/task/{thread}/children").read_text()
                children = [int(word) for word in text.split()]
                found += children
                left += children
    return found


def exists(pid: int) -> bool:
    """Whether there is such a process; not one that has ended, or just ends, and was not reaped.

    A first thread that has ended is no end while others go on.
    """
    first = f"/proc/{pid}/stat"
    return _goes_on(first) or any(
        _goes_on(f"/proc/{pid}/task/{thread}/stat") for thread in thread_ids(pid) if thread != pid
    )


def _goes_on(file: str) -> bool:
    try:
        fields = Path(file).read_bytes().rpartition(b")")[2].split()
        return fields[0] not in b"ZX" and not int(fields[_FLAGS]) & _EXITING
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return False
    except OSError:  # too many files are open, say: that is no news of the process
        return True


def command_of(pid: int) -> str:
    """The process's command line; empty when it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
    return ""


def folder_of(pid: int) -> str:
    """The process's working folder; empty when it has ended."""
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/cwd").readlink())
    return ""


def cpu_seconds_of(pid: int) -> float:
    """For how long a process ran so far, its threads that have ended too; 0 when it has ended itself."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return (int(fields[_USER]) + int(fields[_SYSTEM])) / os.sysconf("SC_CLK_TCK")
    return 0.0
