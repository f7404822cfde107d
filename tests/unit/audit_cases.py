"""Small projects to audit: a hazard, and a twin that differs only in what makes it safe."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

from lanewise.readiness import AuditOptions, AuditReport, Finding, audit_project


@dataclass(frozen=True)
class Pair:
    """One shape of a hazard.

    Attributes:
        name: What the shape is.
        object: How the name of what is found ends.
        hazard: Source that must be found.
        twin: Source that must stay silent; None where the same shape stands elsewhere.
        level: The level of the finding.
    """

    name: str
    object: str
    hazard: str
    twin: str | None
    level: str | None = None


def write_project(root: Path, files: dict[str, str] | str) -> Path:
    """Write a project of some files, or of one module ``app.py``."""
    sources = {"app.py": files} if isinstance(files, str) else files
    for name, text in sources.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return root


def audit(
    root: Path, files: dict[str, str] | str, options: AuditOptions | None = None
) -> AuditReport:
    """Write a project and audit it."""
    return audit_project(write_project(root, files), options)


def of_rule(report: AuditReport, rule: str) -> list[Finding]:
    """Return the findings of one rule."""
    return [finding for finding in report.findings if finding.rule == rule]


def check_pair(root: Path, rule: str, pair: Pair) -> None:
    """Hold that a rule finds the hazard, once, and not the twin."""
    found = of_rule(audit(root / "hazard", pair.hazard), rule)
    assert [f.object.endswith(pair.object) for f in found] == [True], found
    if pair.level is not None:
        assert found[0].level == pair.level, found
    if pair.twin is not None:
        silent = audit(root / "twin", pair.twin)
        assert of_rule(silent, rule) == []
        # A twin that cannot be parsed would be silent too.
        assert of_rule(silent, "FT000") == []
