"""Every exception that lanewise raises on its own account.

The whole tree::

    Exception
    └── LanewiseError
        ├── NotPortableError        an argument, result or function cannot cross to another process
        ├── WorkerDiedError         a worker died while it ran a call (also a BrokenProcessPool)
        ├── TaskTimeoutError        a call did not finish in time (also a TimeoutError)
        ├── OverloadedError         no room: come back after ``retry_after_s``
        ├── LaneUnavailableError    no lane on this host can run the call; each with its reason
        ├── PlanError               a plan cannot be read, or does not fit
        ├── MeasureError            a measurement cannot be made
        ├── AuditError              a project cannot be audited
        └── DiagnoseError           a running program cannot be diagnosed

An exception that the user's own function raised arrives as itself and is never wrapped in one of
these. Messages say what happened, the likely cause and the next step, in that order.
"""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class LanewiseError(Exception):
    """The root of the tree: ``except LanewiseError`` catches all that is not the user's own."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with every attribute, whatever arguments the constructor asks for."""
        return _rebuild, (type(self), self.args, dict(self.__dict__))


def _rebuild(
    kind: type[LanewiseError], args: tuple[Any, ...], attributes: dict[str, Any]
) -> LanewiseError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class NotPortableError(LanewiseError):
    """Something that a call needs cannot cross to another process.

    The message names the function, argument or result and how to make it portable.

    Attributes:
        started: The call ran and it was its result that could not come back, so it must not be run
            again elsewhere.
    """

    def __init__(self, message: str, *, started: bool = False) -> None:
        super().__init__(message)
        self.started = started


class WorkerDiedError(LanewiseError, BrokenProcessPool):
    """The worker that ran the call died. It may or may not have finished its side effects.

    Also a ``concurrent.futures.process.BrokenProcessPool``, so existing handlers go on working; no
    pool is broken, though: the next call gets another worker.

    Attributes:
        call: The name of the function that ran.
        pid: The worker's process id, or None where none had it.
        signal: The number of the signal that ended it, or None.
        exit_code: What it gave to ``exit``, or None where a signal ended it or nothing is known.
        fault: What faulthandler wrote: the Python stack at a fatal signal. Empty without one.
        stderr: The last lines that it wrote to stderr.
        memory_bytes: Its resident size when it was killed for passing ``worker_memory_bytes``.
        poisoned: The call was not started, for its function killed worker after worker.
        retry_after_s: With ``poisoned``: seconds until the function is tried again.
        node: On which node of a cluster; empty on this machine.
    """

    def __init__(  # noqa: PLR0913 - because: the facts of one death, all optional
        self,
        message: str,
        *,
        call: str = "",
        pid: int | None = None,
        signal: int | None = None,
        exit_code: int | None = None,
        fault: str = "",
        stderr: str = "",
        memory_bytes: int | None = None,
        poisoned: bool = False,
        retry_after_s: float | None = None,
        node: str = "",
    ) -> None:
        super().__init__(message)
        self.call = call
        self.pid = pid
        self.signal = signal
        self.exit_code = exit_code
        self.fault = fault
        self.stderr = stderr
        self.memory_bytes = memory_bytes
        self.poisoned = poisoned
        self.retry_after_s = retry_after_s
        self.node = node


class TaskTimeoutError(LanewiseError, TimeoutError):
    """A call did not finish within its ``timeout_s``, counted from submission."""


class OverloadedError(LanewiseError):
    """A lane has no room for the call, or could not serve it in time.

    Attributes:
        retry_after_s: Seconds after which a new attempt has a fair chance; spread by chance, so that
            those who were refused together do not come back together.
        reason: ``"full"``, ``"displaced"`` (by a call of a higher class), ``"predicted_wait"``
            (more than half of ``queue_timeout_s``), ``"queue_timeout"`` or ``"deadline"`` (it could
            not be met).
        lane: Which lane, or None.
    """

    def __init__(
        self, message: str, *, retry_after_s: float, reason: str = "full", lane: str | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.reason = reason
        self.lane = lane


class LaneUnavailableError(LanewiseError):
    """No lane on this host can run the call.

    Attributes:
        reasons: For each lane that was considered, why it cannot be used.
        withdrawn: The call was with a lane that has gone, and had not begun: it may go to another.
    """

    def __init__(
        self,
        message: str,
        *,
        reasons: Mapping[Any, str] | None = None,
        withdrawn: bool = False,
    ) -> None:
        super().__init__(message)
        self.withdrawn = withdrawn
        self.reasons: dict[str, str] = {str(lane): why for lane, why in (reasons or {}).items()}


class PlanError(LanewiseError):
    """A plan is broken, of a newer schema, or does not fit the task it is used for."""


class MeasureError(LanewiseError):
    """A measurement cannot be made: the target, its inputs or the options are at fault."""


class AuditError(LanewiseError):
    """A project cannot be audited: the path, the baseline or the options are at fault."""


class DiagnoseError(LanewiseError):
    """A program cannot be diagnosed: it, the kernel or the options are at fault."""
