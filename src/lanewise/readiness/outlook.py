"""Each task on a free-threaded build: which lanes it may use there, and what to mend first.

Joins what the audit of the project's code says of a task with what the audit of dependencies says of the
packages that it imports. Pure: whoever calls it has asked already.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lanewise.readiness.dependencies.gil_probe import GilProbeResult
from lanewise.readiness.dependencies.report import DependencyReport, DistributionReport
from lanewise.readiness.findings import LEVELS
from lanewise.readiness.task_verdicts import TaskVerdict

_LOCK = "brings the lock back"
_OWN_LOCK = "may not enter interpreters"


@dataclass(frozen=True, slots=True)
class Hindrance:
    """A distribution among those that a task's imports need, and what it is in the way of.

    Attributes:
        distribution: Its name; ``way`` leads to it from what the task imports, by names.
        what: ``brings the lock back`` or ``may not enter interpreters``.
        why: In words, with the import statements where they were seen.
        certain: It was seen, or is declared; else it may be so.
        advice: What to do about it.
    """

    distribution: str
    way: tuple[str, ...]
    what: str
    why: str
    certain: bool
    advice: str | None = None

    def to_document(self) -> dict[str, Any]:
        """For machines."""
        return {
            "distribution": self.distribution,
            "way": list(self.way),
            "what": self.what,
            "why": self.why,
            "certain": self.certain,
            "advice": self.advice,
        }


@dataclass(frozen=True, slots=True)
class TaskOutlook:
    """One task on a free-threaded build.

    Attributes:
        task: What the audit of the code says.
        lock: Who of its dependencies switches the lock on, which stops threads of the whole process from
            running at once.
        interpreters: Who of them may not be imported in interpreters with a lock of their own.
        missing: Packages that it imports and that are not installed for the audited interpreter.
    """

    task: TaskVerdict
    lock: tuple[Hindrance, ...]
    interpreters: tuple[Hindrance, ...]
    missing: tuple[str, ...]

    @property
    def lanes(self) -> dict[str, str]:
        """For each lane why the task should not use it there; empty where it may."""
        why = dict(self.task.lanes)
        why["thread"] = why["thread"] or self._against_threads()
        why["interpreter"] = why["interpreter"] or _joined(self.interpreters)
        return why

    @property
    def recommended(self) -> str:
        """Where a free-threaded build should run it: ``threads`` or ``processes``."""
        return "processes" if self.lanes["thread"] else "threads"

    def _against_threads(self) -> str:
        unsafe = self.task.obstacles
        reasons = [f"{one.object} is not safe between threads ({one.rule})" for one in unsafe]
        if lock := _joined(tuple(one for one in self.lock if one.certain)):
            reasons.append(lock)
        return "; ".join(reasons)

    @property
    def open_questions(self) -> tuple[Hindrance, ...]:
        """Dependencies that may switch the lock on: nobody knows before they are tried."""
        return tuple(one for one in self.lock if not one.certain)

    def to_document(self) -> dict[str, Any]:
        """For machines."""
        return {
            "lanes": {lane: {"allowed": not why, "why": why} for lane, why in self.lanes.items()},
            "recommended": self.recommended,
            "brings_the_lock_back": [one.to_document() for one in self.lock],
            "may_not_enter_interpreters": [one.to_document() for one in self.interpreters],
            "not_installed": list(self.missing),
        }


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to mend.

    Attributes:
        what: In words.
        tasks: In the way of how many tasks.
    """

    what: str
    tasks: int

    def to_document(self) -> dict[str, Any]:
        """For machines."""
        return {"what": self.what, "tasks": self.tasks}


def task_outlooks(
    tasks: Iterable[TaskVerdict],
    needed: DependencyReport,
    seen: Mapping[tuple[str, ...], GilProbeResult] | None = None,
) -> tuple[TaskOutlook, ...]:
    """Join both audits.

    Args:
        tasks: What the audit of the code says of each.
        needed: The audit of dependencies, for the interpreter in question.
        seen: For what a task imports, what importing exactly that showed on a free-threaded
            interpreter. Where that is missing, all that its packages require is taken to be imported.
    """
    dependencies = _Dependencies(needed)
    return tuple(_outlook(task, dependencies, (seen or {}).get(task.imports)) for task in tasks)


def steps(outlooks: Iterable[TaskOutlook]) -> list[Step]:
    """What to mend, in which order.

    First what brings the lock back: until then no task's threads run at once, whatever else is done.
    Then the code, the worst and what is in the way of most tasks first.
    """
    every = list(outlooks)
    lock = Counter(one.distribution for each in every for one in each.lock if one.certain)
    code = Counter((o.rule, o.object) for each in every for o in each.task.obstacles)
    obstacles = {(o.rule, o.object): o for each in every for o in reversed(each.task.obstacles)}
    hindrances = {one.distribution: one for each in every for one in each.lock}
    found = [
        Step(f"{name} {_LOCK}: {hindrances[name].advice or 'find another release'}", count)
        for name, count in sorted(lock.items(), key=lambda item: (-item[1], item[0]))
    ]
    ordered = sorted(
        code.items(), key=lambda item: (LEVELS.index(obstacles[item[0]].level), -item[1], item[0])
    )
    return found + [
        Step(f"{rule} {name} at {obstacles[rule, name].place}", count)
        for (rule, name), count in ordered
    ]


class _Dependencies:
    """Distributions by what they provide and require."""

    def __init__(self, report: DependencyReport) -> None:
        self.by_name = {one.name: one for one in report.distributions}
        self._by_module: dict[str, DistributionReport] = {}
        self._by_extension: dict[str, DistributionReport] = {}
        self._requires: dict[str, list[str]] = {}
        for one in report.distributions:
            for module in one.evidence.distribution.modules:
                self._by_module.setdefault(module.split(".")[0], one)
            for extension in one.evidence.extensions:
                self._by_extension.setdefault(extension.module, one)
            for parent in one.required_by:
                self._requires.setdefault(parent, []).append(one.name)

    def provider(self, package: str) -> DistributionReport | None:
        return self._by_module.get(package)

    def owner(self, module: str) -> str:
        """The distribution of a module, or the package's name where none is known."""
        found = self._by_extension.get(module) or self._by_module.get(
            module.split(".", maxsplit=1)[0]
        )
        return module.split(".", maxsplit=1)[0] if found is None else found.name

    def ways(self, packages: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """All that these need, each with the shortest way to it."""
        found: dict[str, tuple[str, ...]] = {}
        waiting: deque[tuple[str, tuple[str, ...]]] = deque()
        for package in packages:
            provider = self.provider(package)
            if provider is not None:
                waiting.append((provider.name, (provider.name,)))
        while waiting:
            name, way = waiting.popleft()
            if name not in found:
                found[name] = way
                waiting.extend((other, (*way, other)) for other in self._requires.get(name, ()))
        return found


def _outlook(
    task: TaskVerdict, dependencies: _Dependencies, seen: GilProbeResult | None
) -> TaskOutlook:
    ways = dependencies.ways(task.imports)
    missing = tuple(one for one in task.imports if dependencies.provider(one) is None)
    return TaskOutlook(
        task=task,
        lock=_lock(ways, dependencies, seen),
        interpreters=_interpreters(task, ways, dependencies),
        missing=missing,
    )


def _lock(
    ways: Mapping[str, tuple[str, ...]], dependencies: _Dependencies, seen: GilProbeResult | None
) -> tuple[Hindrance, ...]:
    found: dict[str, Hindrance] = {}
    if seen is not None and seen.ran:
        for requirer in seen.requirers:
            name = dependencies.owner(requirer.module)
            sites = " > ".join(f"{site.path}:{site.line}" for site in requirer.chain)
            why = f"importing it loads {requirer.module}, which switches the lock on"
            if sites:
                why += f" ({sites})"
            advice = dependencies.by_name[name].judgement.advice if name in ways else None
            found.setdefault(
                name, Hindrance(name, ways.get(name, (name,)), _LOCK, why, True, advice)
            )
    watched = seen is not None and seen.ran and not seen.failed
    for name, way in ways.items():
        report = dependencies.by_name[name]
        if name in found or report.verdict not in ("brings_lock_back", "unknown"):
            continue
        if report.verdict == "unknown" and watched:
            continue  # it was imported, or is not needed, and the lock stayed off
        why = report.judgement.reasons[0] if report.judgement.reasons else report.label
        if watched:
            why = f"not when the task is imported, but once its part is: {why}"
        certain = report.verdict == "brings_lock_back" and not watched
        found[name] = Hindrance(name, way, _LOCK, why, certain, report.judgement.advice)
    return tuple(found.values())


def _interpreters(
    task: TaskVerdict, ways: Mapping[str, tuple[str, ...]], dependencies: _Dependencies
) -> tuple[Hindrance, ...]:
    """What importing showed; where that was not tried, what binaries declare."""
    found: dict[str, Hindrance] = {}
    tried: set[str] = set()
    for package in task.imports:
        provider = dependencies.provider(package)
        answers = () if provider is None else provider.own_gil
        for one in answers:
            if provider is None or one.module.split(".")[0] != package:
                continue
            if one.allowed is not None:
                tried |= set(dependencies.ways([package]))
            if one.allowed is False:
                why = one.reason or "it was refused"
                found[provider.name] = Hindrance(
                    provider.name, (provider.name,), _OWN_LOCK, why, certain=True
                )
    for name, way in ways.items():
        if name in found or name in tried:
            continue
        refusing = [
            one.module
            for one in dependencies.by_name[name].evidence.slots
            if one.extension_module and one.interpreters not in ("own_gil", "unknown")
        ]
        if refusing:
            why = f"{refusing[0]} does not declare that it can"
            found[name] = Hindrance(name, way, _OWN_LOCK, why, certain=False)
    return tuple(found.values())


def _joined(hindrances: tuple[Hindrance, ...]) -> str:
    parts = []
    for one in hindrances:
        way = " > ".join(one.way)
        may = "" if one.certain else "may be that it "
        parts.append(f"{way}: {may}{one.what} ({one.why})")
    return "; ".join(parts)
