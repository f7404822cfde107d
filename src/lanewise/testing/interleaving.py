"""Two calls of one function under a schedule: for tests that keep a race from coming back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lanewise.errors import AuditError
from lanewise.readiness.dependencies.probe import ask_once
from lanewise.readiness.stress.far_side.scheduler import Pause
from lanewise.readiness.stress.models import probe_of

# Where the code has changed so that the schedule's steps are gone, simple schedules are tried for
# so long.
_SEARCH_S = 3.0


@dataclass(frozen=True, slots=True)
class Interleaved:
    """What two calls under a schedule came to.

    Attributes:
        holds: It is what one of the two orders, one call after the other, comes to as well.
        outcome: What each call returned or raised, and the shared object, as text; objects are
            numbered, so that "both got the same one" can be read.
        serial: The same for both orders.
        differs: The parts that neither order explains.
    """

    holds: bool
    outcome: Mapping[str, str] = field(default_factory=dict)
    serial: Sequence[Mapping[str, str]] = ()
    differs: Sequence[str] = ()

    def explain(self) -> str:
        """Say what happened, for the message of an assertion."""
        if self.holds:
            return "the calls behave as if one came after the other"
        lines = ["the two calls do not behave as if one came after the other:"]
        for part in self.differs:
            orders = " or ".join(dict.fromkeys(one.get(part, "?") for one in self.serial))
            lines.append(f"  {part}: {self.outcome.get(part, '?')}, one after the other {orders}")
        return "\n".join(lines)


def interleave(  # noqa: PLR0913 - because: one description of two calls, written by lanewise audit --models
    module: str,
    function: str,
    *,
    rule: str,
    shared: str,
    args: tuple[Any, ...] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    inputs_size: float | None = None,
    factories: str | os.PathLike[str] | None = None,
    pauses: Sequence[Pause] = (),
    first: int = 0,
    made_at: Sequence[str] = (),
    paths: Sequence[str | os.PathLike[str]] = (),
) -> Interleaved:
    """Call a function twice under a schedule, and compare with one call after the other.

    There are two threads, of which one runs at a time, in a child process of this interpreter that
    imports the module afresh with locks of its own. So it disturbs nothing here, a crash is an
    outcome, and the same schedule leads to the same end each time. Takes some tenths of a second.
    Needs ``os.fork``.

    Args:
        module: The name that the function's module is imported by.
        function: Its qualified name. Methods are called on the instance that the module holds, or a
            new one.
        rule: The audit's rule that it is about: what counts as broken follows from that.
        shared: The shared object's dotted name in the module, or ``module:name`` where it is
            another's.
        args: Literals to call it with; each call gets its own.
        kwargs: The same by name.
        inputs_size: Let the task's own ``inputs`` make the arguments, of this size.
        factories: A file whose ``FACTORIES`` hold a function that makes them.
        pauses: Where threads yield, in this order. Where the code no longer has those steps, simple
            schedules are tried instead for some seconds.
        first: Which thread begins, 0 or 1.
        made_at: Texts of lines that should store the shared object once.
        paths: Folders to put in front of ``sys.path``.

    Raises:
        AuditError: The calls cannot be made; the message says why.
    """
    owner, _, name = shared.rpartition(":")
    question: dict[str, Any] = {
        "rule": rule, "module": module, "function": function, "object": name,
        "object_module": owner or module, "made_at": list(made_at), "budget_s": _SEARCH_S,
        "factories": None if factories is None else str(Path(factories).resolve()),
        "schedule": {"first": first, "pauses": [list(pause) for pause in pauses]},
    }  # fmt: skip
    if args is not None or kwargs is not None:
        literals = {"args": repr(args or ()), "kwargs": repr(dict(kwargs or {}))}
        question["arguments"] = {"from": "test", **literals}
    elif inputs_size is not None:
        question["arguments"] = {"from": "inputs", "size": inputs_size}
    found = ask_once(probe_of(None, [str(Path(path).resolve()) for path in paths]), question)
    if found["status"] not in ("fails", "holds"):
        raise AuditError(
            f"two calls of {module}.{function} cannot be compared: {found.get('why') or found['status']}"
        )
    return Interleaved(
        found["status"] == "holds",
        found.get("outcome", {}),
        found.get("serial", ()),
        found.get("differs", ()),
    )
