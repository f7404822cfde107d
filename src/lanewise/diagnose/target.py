"""Programs to look at: one that runs, one that is started for it, and the children of either."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lanewise.diagnose.kernel_view import thread_ids
from lanewise.errors import DiagnoseError

_TERMINATE_S = 5.0
_MOST_PROCESSES = 256


class StartedProgram:
    """A program that was started to be looked at. Owned by whoever started it; stop it after use.

    Raises:
        DiagnoseError: It cannot be started.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        try:
            self._process = subprocess.Popen(list(command), env=environment)  # noqa: S603 - because: the user's own command line
        except OSError as error:
            raise DiagnoseError(f"{command[0]} cannot be started: {error.strerror}") from error
        self.pid = self._process.pid

    @property
    def exit_status(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._process.poll()

    def stop(self) -> int:
        """End it if it still runs, with SIGTERM first; return its exit status."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_TERMINATE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()


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
    """Whether there is such a process, one that has ended and was not reaped apart."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


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
