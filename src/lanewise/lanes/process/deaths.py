"""Why a worker died, in words; and which functions kill worker after worker."""

from __future__ import annotations

import signal
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

from lanewise.errors import WorkerDiedError

# After so many deaths in a row, with no call of it that ended in between, a function is poisoned.
POISON_AFTER = 3
# For how long at first; twice as long each time that a new attempt kills again, up to a limit.
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_MAX_SUSPECTS = 1_024

# Signals that a process earns by what it does. The others are sent by somebody.
_OWN_DOING = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGSYS}
)


@dataclass(frozen=True, slots=True)
class Death:
    """How a worker ended.

    Attributes:
        status: Minus the signal's number, or the exit code; None where nobody could see it.
        killed_for: Why lanewise itself killed it; empty where it did not.
        resident_bytes: Its size when it was killed for its size.
        out_of_memory: The kernel killed some process for want of memory at that time.
    """

    pid: int
    status: int | None
    fault: str = ""
    stderr: str = ""
    killed_for: str = ""
    resident_bytes: int | None = None
    out_of_memory: bool = False

    @property
    def is_calls_own_doing(self) -> bool:
        """Whether the function is to blame: it crashed, exited or took too much memory."""
        if self.resident_bytes is not None or self.out_of_memory:
            return True
        if self.killed_for or self.status is None:
            return False
        return self.status >= 0 or -self.status in _OWN_DOING

    def error(self, call: str) -> WorkerDiedError:
        """Return what the caller of the call that was running gets."""
        status = self.status
        return WorkerDiedError(
            f"the worker process {self.pid} died while it ran {call}: {self._cause()}"
            + (
                f"\n{self.fault}"
                if self.fault
                else f"\nits last words:\n{self.stderr}"
                if self.stderr
                else ""
            ),
            call=call,
            pid=self.pid,
            signal=-status if status is not None and status < 0 else None,
            exit_code=status if status is not None and status >= 0 else None,
            fault=self.fault,
            stderr=self.stderr,
            memory_bytes=self.resident_bytes,
        )

    def _cause(self) -> str:
        if self.killed_for:
            return self.killed_for
        if self.status is None:
            return (
                "how it ended could not be seen, for the process that starts workers had died too"
            )
        if self.status >= 0:
            return (
                f"it ended with exit code {self.status}. Usual causes: os._exit, or native code that "
                "calls exit; no other call was harmed"
            )
        return f"killed by {_signal_name(-self.status)}. {self._advice(-self.status)}"

    def _advice(self, number: int) -> str:
        if number == signal.SIGKILL:
            if self.out_of_memory:
                return (
                    "The kernel's out-of-memory killer struck at that time. Give the machine or "
                    "container more memory, or set worker_memory_bytes to stop such calls earlier"
                )
            return "Somebody sent it: an operator, a container's limit, or the out-of-memory killer"
        if number in _OWN_DOING:
            return "Native code crashed; the Python stack below, if any, shows where it was called"
        return "Somebody sent it that signal; no other call was harmed"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory; 0 where it does not say."""
    for path, key in (("/sys/fs/cgroup/memory.events", "oom_kill"), ("/proc/vmstat", "oom_kill")):
        try:
            lines = Path(path).read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, count = line.partition(" ")
            if name == key:
                return int(count)
    return 0


@dataclass(slots=True)
class _Suspect:
    deaths: int = 0
    pause_s: float = _FIRST_PAUSE_S
    until_s: float = 0.0
    cause: str = ""


class Quarantine:
    """Functions that killed worker after worker. Owner: the lane's loop; no clock of its own.

    Attributes:
        suspects: Nearly always empty, which is asked before anything else.
    """

    def __init__(self) -> None:
        self.suspects: dict[Hashable, _Suspect] = {}

    def died(self, function: Hashable, death: Death, now_s: float) -> None:
        """A worker died in a call of that function."""
        if not death.is_calls_own_doing:
            return
        if len(self.suspects) >= _MAX_SUSPECTS:
            self.suspects.pop(next(iter(self.suspects)))
        suspect = self.suspects.setdefault(function, _Suspect())
        suspect.deaths += 1
        suspect.cause = death._cause().split("\n", 1)[0]  # noqa: SLF001 - because: the same module
        if suspect.deaths >= POISON_AFTER:
            suspect.until_s = now_s + suspect.pause_s
            suspect.pause_s = min(2 * suspect.pause_s, _LONGEST_PAUSE_S)

    def ended(self, function: Hashable) -> None:
        """A call of that function came to its end, well or with an exception."""
        self.suspects.pop(function, None)

    def refusal(self, function: Hashable, name: str, now_s: float) -> WorkerDiedError | None:
        """Return the error with which a call is refused now; None where it may be tried."""
        suspect = self.suspects.get(function)
        if suspect is None or now_s >= suspect.until_s:
            return None
        wait_s = suspect.until_s - now_s
        return WorkerDiedError(
            f"{name} was not started: its last {suspect.deaths} calls killed their workers, and none "
            f"ended otherwise (the last one: {suspect.cause}). It is tried again in {wait_s:.1f} s; "
            "find out what it does with these arguments",
            call=name,
            poisoned=True,
            retry_after_s=wait_s,
        )
