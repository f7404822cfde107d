"""The processes that are looked at: they come, become other programs, and go."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from lanewise.diagnose.attach import SourceName, attach
from lanewise.diagnose.elf import NotPythonError, executable_of
from lanewise.diagnose.looker import Looker
from lanewise.diagnose.target import descendants, exists
from lanewise.errors import DiagnoseError

_CHECK_EVERY_S = 0.25
# A child that is no Python is not read again and again, symbol tables and all.
_LONGEST_WAIT_S = 4.0


@dataclass(frozen=True, slots=True)
class _Failed:
    """What could not be looked at, and from when on it is tried again; at once as another program."""

    executable: str
    wait_s: float
    next_s: float


@dataclass(slots=True)
class Family:
    """The processes that are looked at. Owned by the observing thread.

    Attributes:
        root: The process that was asked for.
        follow: Look at its descendants too.
        source: Which way of looking.
        began_ns: When the session began (``time.monotonic_ns()``).
        lookers: Of all processes that could be looked at, one after the other; two of one process
            that became another program.
        problems: Why others could not.
        at_rest: Entered while a new process is taken up, for that starts other programs.
    """

    root: int
    follow: bool
    source: SourceName
    began_ns: int
    lookers: list[Looker] = field(default_factory=list)
    problems: dict[int, str] = field(default_factory=dict)
    at_rest: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    _failed: dict[int, _Failed] = field(default_factory=dict)
    _next_check_s: float = 0.0

    def current(self) -> Sequence[Looker]:
        """Those that can be looked at now, new ones included; it may be that there are none."""
        if time.monotonic() >= self._next_check_s:
            for pid in self._missing():
                with self.at_rest():
                    self.add(pid)
            self._next_check_s = time.monotonic() + _CHECK_EVERY_S
        return [looker for looker in self.lookers if not looker.ended]

    def over(self) -> bool:
        """Whether all has ended that is to be looked at."""
        if exists(self.root):
            return False
        return not self.follow or all(looker.ended for looker in self.lookers)

    def add(self, pid: int) -> str:
        """Begin to look at a process; says why not, where that is not possible (yet)."""
        executable, told = executable_of(pid), True
        try:
            self.lookers.append(attach(pid, self.began_ns, self.source))
        except NotPythonError as error:
            # The shell of a script, and all that it runs: nobody expects them in the report.
            problem, told = str(error), not self.follow
        except (DiagnoseError, OSError) as error:
            problem = str(error)
        else:
            self.problems.pop(pid, None)
            self._failed.pop(pid, None)
            return ""
        if told and exists(pid):  # of one that ended meanwhile there is nothing to be told
            self.problems[pid] = problem
        before = self._failed.get(pid)
        again = before is not None and before.executable == executable
        wait_s = min(2 * before.wait_s, _LONGEST_WAIT_S) if before and again else _CHECK_EVERY_S
        self._failed[pid] = _Failed(executable, wait_s, time.monotonic() + wait_s)
        return problem

    def _missing(self) -> list[int]:
        """Processes that nobody looks at, or not as what they are now."""
        wanted = [self.root, *(descendants(self.root) if self.follow else ())]
        latest = {looker.record.pid: looker for looker in self.lookers}
        return [
            pid
            for pid in wanted
            if (pid not in latest or latest[pid].replaced) and self._worth_a_try(pid)
        ]

    def _worth_a_try(self, pid: int) -> bool:
        failed = self._failed.get(pid)
        return (
            failed is None
            or time.monotonic() >= failed.next_s
            or executable_of(pid) != failed.executable
        )
