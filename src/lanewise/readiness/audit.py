"""One audit: read a project, apply the rules, say what is left."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from lanewise.errors import AuditError
from lanewise.readiness.baseline import Baseline
from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.files import Source, find_files, printable, read_source
from lanewise.readiness.findings import LEVELS, Finding, Level, Place, at_least
from lanewise.readiness.generators import GeneratorAnswer, are_asked, judged, probe_generators
from lanewise.readiness.project import Project
from lanewise.readiness.rules import RULE_IDS, RULES
from lanewise.readiness.suppressions import Suppression, Suppressions, read_suppressions
from lanewise.readiness.task_verdicts import TaskVerdict, task_verdicts


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """How to audit.

    Attributes:
        level: The mildest level that is told.
        rules: Only these rules; empty for all.
        include_tests: Audit test files too.
        baseline: What is known already and not told again.
    """

    level: Level = "info"
    rules: tuple[str, ...] = ()
    include_tests: bool = False
    baseline: Baseline | None = None

    def __post_init__(self) -> None:
        """Refuse what does not exist.

        Raises:
            AuditError: An unknown rule or level.
        """
        unknown = [rule for rule in self.rules if rule not in RULE_IDS]
        if unknown:
            raise AuditError(f"{unknown[0]} is no rule; there are {', '.join(RULE_IDS)}")
        if self.level not in LEVELS:
            raise AuditError(f"{self.level!r} is no level; there are {', '.join(LEVELS)}")


class Stress(Protocol):
    """What running the project's code showed; ``lanewise.readiness.stress`` makes it."""

    @property
    def found_something(self) -> bool:
        """Whether it is broken."""

    def to_document(self) -> dict[str, Any]:
        """Return plain values, for JSON."""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found.

    Attributes:
        root: What paths are relative to.
        findings: By path and line.
        files: How many files were read.
        lines: How many lines they have.
        suppressed: How many places were kept back by comments.
        known: How many findings the baseline holds.
        tasks: What all that means for each task that the project declares, whatever the options leave
            out of the findings.
        stress: What running its code showed, or None where it was only read.
        generators: What an interpreter does with a generator that two threads advance, where one was
            asked.
    """

    root: Path
    findings: tuple[Finding, ...]
    files: int
    lines: int
    suppressed: int = 0
    known: int = 0
    options: AuditOptions = field(default_factory=AuditOptions)
    tasks: tuple[TaskVerdict, ...] = ()
    stress: Stress | None = None
    generators: GeneratorAnswer | None = None

    @property
    def tally(self) -> dict[Level, int]:
        """How many findings each level has, the worst first."""
        counted = Counter(finding.level for finding in self.findings)
        return {level: counted[level] for level in LEVELS}

    @property
    def found_something(self) -> bool:
        """Whether there is a warning or worse, or something that broke when it was run."""
        if self.stress is not None and self.stress.found_something:
            return True
        return any(at_least(finding.level, "warning") for finding in self.findings)

    def to_document(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        document = {
            "schema": 1,
            "root": printable(str(self.root)),
            "files": self.files,
            "lines": self.lines,
            "tally": self.tally,
            "suppressed": self.suppressed,
            "known": self.known,
            "findings": [finding.to_document() for finding in self.findings],
            "tasks": [task.to_document() for task in self.tasks],
        }
        if self.stress is not None:
            document["stress"] = self.stress.to_document()
        if self.generators is not None:
            document["generators"] = self.generators.to_document()
        return document


def audit_project(path: Path, options: AuditOptions | None = None) -> AuditReport:
    """Audit a file or a directory for what free threading, or any second thread, would break.

    Nothing of the project is imported or run.

    Args:
        path: A Python file, or a directory with some.
        options: What to look for and what to tell.

    Raises:
        AuditError: There is nothing to audit at that path.
    """
    options = options or AuditOptions()
    root, files = find_files(path, include_tests=options.include_tests)
    sources = [read_source(file, root) for file in files]
    suppressions = Suppressions([s for source in sources for s in read_suppressions(source)])
    context = Context(Project(root, sources))
    sightings = [s for rule in RULES if rule.find is not None for s in rule.find(context)]
    kept = [s for s in sightings if not _is_suppressed(s, suppressions)]
    findings = [*_unread(sources), *_merged(kept, context), *_about(suppressions.found)]
    chosen = [f for f in findings if _is_wanted(f, options)]
    known = [f for f in chosen if options.baseline is not None and options.baseline.is_known(f)]
    told = [f for f in chosen if f not in known]
    told.sort(key=lambda f: (f.path, f.line, f.rule, f.object))
    return AuditReport(
        root=root,
        findings=tuple(told),
        files=len(sources),
        lines=sum(source.text.count("\n") for source in sources),
        suppressed=len(sightings) - len(kept),
        known=len(known),
        options=options,
        tasks=task_verdicts(context, kept),
    )


def with_generators(report: AuditReport, python: str) -> AuditReport:
    """Return a report whose FT104 findings say what an interpreter does with a shared generator.

    Args:
        report: What was found; where no finding depends on it, nothing is started.
        python: The interpreter to ask, in a child process.

    Raises:
        AuditError: It cannot be started.
    """
    if not are_asked(report.findings):
        return report
    answer = probe_generators(python)
    findings = judged(report.findings, answer)
    told = tuple(one for one in findings if at_least(one.level, report.options.level))
    return replace(report, findings=told, generators=answer)


def _is_wanted(finding: Finding, options: AuditOptions) -> bool:
    if options.rules and finding.rule not in options.rules:
        return False
    return at_least(finding.level, options.level)


def _is_suppressed(sighting: Sighting, suppressions: Suppressions) -> bool:
    path = sighting.function.module.relative
    if suppressions.keep_back(sighting.rule, path, sighting.line):
        return True
    defined = sighting.defined
    return defined is not None and suppressions.keep_back(sighting.rule, defined.path, defined.line)


def _merged(sightings: list[Sighting], context: Context) -> list[Finding]:
    """One finding for each rule and object: its worst place, and where else it was seen."""
    groups: dict[tuple[str, str], list[Sighting]] = {}
    for sighting in sightings:
        groups.setdefault((sighting.rule, sighting.object), []).append(sighting)
    found: list[Finding] = []
    for group in groups.values():
        group.sort(key=lambda s: _order(s, context))
        places = list(dict.fromkeys(Place(s.function.module.relative, s.line) for s in group))
        found.append(replace(_finding(group[0], context), also=tuple(places[1:])))
    return found


def _order(sighting: Sighting, context: Context) -> tuple[int, bool, str, int]:
    """The worst first; among equals one that threads are seen to reach, then the first in the text."""
    return (
        LEVELS.index(sighting.level),
        context.reach.entry(sighting.function) is None,
        sighting.function.module.relative,
        sighting.line,
    )


def _finding(sighting: Sighting, context: Context) -> Finding:
    return Finding(
        rule=sighting.rule,
        level=sighting.level,
        path=sighting.function.module.relative,
        line=sighting.line,
        column=sighting.column,
        object=sighting.object,
        message=sighting.message,
        fix=sighting.fix,
        function=sighting.function.qualname,
        reachable_from=context.reach.words(sighting.function),
        defined=sighting.defined,
    )


def _unread(sources: list[Source]) -> list[Finding]:
    return [
        Finding(
            rule="FT000",
            level="info",
            path=source.relative,
            line=source.problem_line,
            column=1,
            object=source.relative,
            message=f"not audited: {source.problem}",
            fix="audit with the Python that the file is written for, or leave it out",
        )
        for source in sources
        if source.problem is not None
    ]


def _about(suppressions: list[Suppression]) -> list[Finding]:
    found: list[Finding] = []
    level: Level
    for suppression in suppressions:
        rules = ", ".join(suppression.rules)
        name = f"{suppression.path}: ok({rules})"
        if not suppression.is_valid:
            rule, level = "FT001", "warning"
            message = "a suppression says which rule and why; this one is not followed"
            fix = f"write # lanewise: ok({rules or 'FT102'}: why it is safe here)"
        elif not suppression.used:
            rule, level = "FT002", "info"
            message = f"nothing here needs the suppression of {rules}"
            fix = "delete the comment"
        else:
            continue
        place = (suppression.path, suppression.line, 1)
        found.append(Finding(rule, level, *place, name, message, fix))
    return found
