"""What the audit says: one finding for each rule and object, with where it was seen."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["critical", "error", "warning", "info"]

LEVELS: tuple[Level, ...] = ("critical", "error", "warning", "info")
"""From the worst to the mildest."""


def at_least(level: Level, threshold: Level) -> bool:
    """Tell whether a level is as bad as the threshold, or worse."""
    return LEVELS.index(level) <= LEVELS.index(threshold)


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file; ``path`` is relative to what was audited, with forward slashes."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Running the code has shown a hazard to be one.

    Attributes:
        by: ``test``: one of the project's own; ``model``: two calls under a schedule.
        name: Which one.
        evidence: What ties it to the finding, in a sentence.
    """

    by: str
    name: str
    evidence: str

    def to_document(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"by": self.by, "name": self.name, "evidence": self.evidence}


@dataclass(frozen=True, slots=True)
class Finding:
    """One hazard.

    Attributes:
        rule: ``FT101`` and so on.
        level: How bad: ``critical`` can crash the interpreter, ``error`` loses or mixes data,
            ``warning`` needs a look, ``info`` costs work done twice at most.
        path: The file, relative to what was audited.
        line: Counted from 1.
        column: Counted from 1.
        object: What is shared, by its dotted name.
        message: What happens there, in one sentence or two.
        fix: What to do about it.
        function: In which function, or an empty string.
        reachable_from: How a task, a request or a thread reaches the function, or None where no way
            was seen. Ways that go through names only known at run time are not seen.
        defined: Where the shared object is bound, or None.
        also: Further places with the same rule and object.
        confirmed: What has shown it to be real, where the code was run (``--stress``).
    """

    rule: str
    level: Level
    path: str
    line: int
    column: int
    object: str
    message: str
    fix: str
    function: str = ""
    reachable_from: str | None = None
    defined: Place | None = None
    also: tuple[Place, ...] = field(default=())
    confirmed: tuple[Confirmation, ...] = field(default=())

    @property
    def place(self) -> Place:
        """File and line."""
        return Place(self.path, self.line)

    @property
    def fingerprint(self) -> str:
        """Stays the same when lines move: what a baseline keeps."""
        text = f"{self.rule}\0{self.path}\0{self.object}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def to_document(self) -> dict[str, Any]:
        """Return the finding as plain values, for JSON."""
        return {
            "rule": self.rule,
            "level": self.level,
            "path": self.path,
            "line": self.line,
            "column": self.column,
            "object": self.object,
            "message": self.message,
            "fix": self.fix,
            "function": self.function,
            "reachable_from": self.reachable_from,
            "defined": None if self.defined is None else str(self.defined),
            "also": [str(place) for place in self.also],
            "fingerprint": self.fingerprint,
            "confirmed": [one.to_document() for one in self.confirmed],
        }
