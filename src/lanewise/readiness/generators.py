"""What an interpreter does when two threads advance one generator: asked in a child, never assumed.

Whether it crashes changes from release to release of CPython, so no table of versions is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lanewise.readiness.dependencies.probe import ChildEndedError, Probe, start
from lanewise.readiness.findings import Finding

_SCRIPT = Path(__file__).with_name("_generator_probe.py")
_TRY_S = 3.0
_MARGIN_S = 30.0


@dataclass(frozen=True, slots=True)
class GeneratorAnswer:
    """What came of it.

    Attributes:
        python: The interpreter that was asked, or None for the one that runs this.
        version: Its version.
        gil_enabled: Threads took turns there, so it says nothing of a free-threaded build.
        survived: The child was still there after some seconds of trying. Where threads take turns
            nothing is tried.
        how: How it ended, where it did.
    """

    python: str | None
    version: str
    gil_enabled: bool
    survived: bool
    how: str = ""

    def to_document(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "python": self.python,
            "version": self.version,
            "gil_enabled": self.gil_enabled,
            "survived": self.survived,
            "how": self.how,
        }


def probe_generators(python: str | None, seconds: float = _TRY_S) -> GeneratorAnswer:
    """Let two threads advance one generator in a child of an interpreter.

    Args:
        python: The interpreter; None for the one that runs this.
        seconds: How long to try. On a build that crashes, the first moments do.

    Raises:
        AuditError: The interpreter cannot be started.
    """
    with start(Probe(script=str(_SCRIPT), python=python)) as child:
        version, gil_enabled = child.prepared["version"], bool(child.prepared["gil_enabled"])
        if gil_enabled:
            return GeneratorAnswer(python, version, gil_enabled, survived=True)
        try:
            child.ask({"seconds": seconds}, seconds + _MARGIN_S)
        except ChildEndedError as error:
            return GeneratorAnswer(python, version, gil_enabled, survived=False, how=str(error))
    return GeneratorAnswer(python, version, gil_enabled, survived=True)


def are_asked(findings: Sequence[Finding]) -> bool:
    """Tell whether any finding depends on the answer."""
    return any(_is_generator(finding) for finding in findings)


def judged(findings: Sequence[Finding], answer: GeneratorAnswer) -> tuple[Finding, ...]:
    """Return the findings as that interpreter would have them.

    A shared generator is critical unless a free-threaded interpreter survives it; then it is an error,
    for one of the two threads gets an exception. Where threads take turns nothing is learned.
    """
    if answer.gil_enabled:
        return tuple(findings)
    return tuple(_judged(one, answer) if _is_generator(one) else one for one in findings)


def _is_generator(finding: Finding) -> bool:
    return finding.rule == "FT104" and finding.level == "critical"


def _judged(finding: Finding, answer: GeneratorAnswer) -> Finding:
    if answer.survived:
        seen = f"CPython {answer.version} was asked: it lives, and one of the two gets ValueError"
        return replace(finding, level="error", message=f"{finding.message}. {seen}")
    seen = f"CPython {answer.version} was asked, and two threads that did so ended it: {answer.how}"
    return replace(finding, message=f"{finding.message}. {seen}")
