"""The audit of dependencies: all probes, one verdict for each distribution of the closure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lanewise.errors import AuditError
from lanewise.readiness.dependencies.binaries import (
    ExtensionFile,
    SlowPath,
    absent_parts,
    extension_files,
    facades,
    is_binary,
    slow_paths,
)
from lanewise.readiness.dependencies.closure import (
    Closure,
    Unmet,
    find_closure,
    project_requirements,
)
from lanewise.readiness.dependencies.environment import (
    Environment,
    Interpreter,
    read_environment,
)
from lanewise.readiness.dependencies.gil_probe import GilProbeResult, LockRequirer, probe_gil
from lanewise.readiness.dependencies.index import (
    FreeThreadedWheel,
    find_binary_wheels,
    find_free_threaded_wheels,
    target_version,
)
from lanewise.readiness.dependencies.interpreters_probe import OwnGilSupport, own_gil_support
from lanewise.readiness.dependencies.slots import Calibration, ModuleSlots, calibrate, read_slots
from lanewise.readiness.dependencies.verdicts import Evidence, Judgement, Verdict, for_tests, judge
from lanewise.readiness.dependencies.wheel_tags import free_threaded_support, parse_tags

# The versions whose free-threaded builds people deploy; the audited one is added.
_TARGETS = ((3, 14), (3, 15))
# Where something has to be done, the gravest first.
_PROBLEMS: tuple[Verdict, ...] = (
    "brings_lock_back",
    "no_free_threaded_wheel",
    "slow_path",
    "unknown",
)


@dataclass(frozen=True, slots=True)
class DistributionReport:
    """What the audit says of one distribution.

    Attributes:
        evidence: What was seen.
        judgement: What follows from it.
        chain: The way from what was asked for to it, by names.
        required_by: Who requires it.
        tags_mean: For each free-threaded target, what the installed wheel's tags mean.
        own_gil: For each of its top-level modules, whether an interpreter with a lock of its own may
            import it; empty where that was not asked.
    """

    evidence: Evidence
    judgement: Judgement
    chain: tuple[str, ...]
    required_by: tuple[str, ...]
    tags_mean: tuple[str, ...]
    own_gil: tuple[OwnGilSupport, ...]

    @property
    def name(self) -> str:
        """Its canonical name."""
        return self.evidence.distribution.name

    @property
    def version(self) -> str:
        """The installed version."""
        return self.evidence.distribution.version

    @property
    def verdict(self) -> Verdict:
        """In one word, for machines."""
        return self.judgement.verdict

    @property
    def label(self) -> str:
        """The verdict for people."""
        behind = ", ".join(self.evidence.behind)
        return {
            "ready": "ready",
            "pure": "pure",
            "facade": f"facade of {behind}",
            "slow_path": "slow path here",
            "brings_lock_back": "brings the lock back",
            "no_free_threaded_wheel": "no free-threaded wheel",
            "unknown": "unknown",
        }[self.verdict]

    @property
    def is_problem(self) -> bool:
        """Whether it stands in the way of running without the lock, or may do so."""
        return self.verdict in _PROBLEMS

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        evidence = self.evidence
        distribution = evidence.distribution
        return {
            "name": self.name,
            "version": self.version,
            "verdict": self.verdict,
            "label": self.label,
            "reasons": list(self.judgement.reasons),
            "advice": self.judgement.advice,
            "chain": list(self.chain),
            "required_by": list(self.required_by),
            "modules": list(distribution.modules),
            "tags": list(distribution.tags),
            "tags_mean": list(self.tags_mean),
            "editable": distribution.editable,
            "facade_of": list(evidence.behind),
            "extensions": [one.as_dict() for one in evidence.extensions],
            "slots": [one.as_dict() for one in evidence.slots],
            "lock_requirers": [asdict(one) for one in evidence.requirers],
            "slow_paths": [one.as_dict() for one in evidence.slow_paths],
            "free_threaded_wheel": None if evidence.wheel is None else evidence.wheel.as_dict(),
            "own_gil": [one.as_dict() for one in self.own_gil],
        }


@dataclass(frozen=True, slots=True)
class DependencyReport:
    """The audit of a closure.

    Attributes:
        interpreter: For which one.
        distributions: The gravest verdicts first, then by name.
        unmet: What is required and not installed.
        calibration: How the reader of slots proved itself.
        gil_probe: What importing on a free-threaded interpreter showed; None where it was not asked.
    """

    interpreter: Interpreter
    distributions: tuple[DistributionReport, ...]
    unmet: tuple[Unmet, ...]
    calibration: Calibration
    gil_probe: GilProbeResult | None

    @property
    def blockers(self) -> tuple[DistributionReport, ...]:
        """What is known to stand in the way; ``problems`` less what is unknown."""
        return tuple(one for one in self.problems if one.verdict != "unknown")

    @property
    def problems(self) -> tuple[DistributionReport, ...]:
        """What stands in the way, or may do so."""
        return tuple(one for one in self.distributions if one.is_problem)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "interpreter": self.interpreter.as_dict(),
            "distributions": [one.as_dict() for one in self.distributions],
            "unmet": [one.as_dict() for one in self.unmet],
            "slot_reader": asdict(self.calibration),
            "gil_probe": None if self.gil_probe is None else self.gil_probe.as_dict(),
        }


def audit_dependencies(  # noqa: PLR0913 - because: independent options of one question
    requirements: Sequence[str] | None = None,
    *,
    project: Path | None = None,
    extras: Iterable[str] = (),
    python: str | None = None,
    search_path: Sequence[str] = (),
    import_modules: bool = True,
    interpreters: bool = False,
    ask_index: bool = False,
) -> DependencyReport:
    """Audit what is installed: is it ready to run without the lock?

    Args:
        requirements: Where the closure begins, such as ``["fastapi[standard]"]``.
        project: A folder with a ``pyproject.toml`` whose dependencies it begins with. With neither,
            everything that is installed is looked at.
        extras: The project's extras to include.
        python: The path of the interpreter to audit for; None for the one that runs this.
        search_path: Further folders with distributions.
        import_modules: On a free-threaded interpreter, import the closure in child processes and see
            what switches the lock on. Importing runs its code. On other builds nothing is imported.
        interpreters: Also see which modules an interpreter with a lock of its own may import.
        ask_index: Also ask pip's index for free-threaded wheels of what is binary.

    Raises:
        AuditError: The interpreter cannot be asked, or what was named cannot be read or is not there.
    """
    path = tuple(str(Path(one).resolve()) for one in search_path)
    environment = read_environment(python, search_path=path)
    closure = find_closure(environment, _begin(requirements, project, extras))
    if not closure.members:
        raise AuditError(
            f"nothing of what was asked for is installed for {environment.interpreter.executable}"
            + (
                f": {', '.join(one.requirement for one in closure.unmet[:4])}"
                if closure.unmet
                else ""
            )
            + ". Install the project for that interpreter, or name another one"
        )
    extensions = {
        name: extension_files(one.distribution, environment.interpreter)
        for name, one in closure.members.items()
    }
    slots = _slots(environment.interpreter, extensions)
    gil = _gil(environment.interpreter, closure, extensions) if import_modules else None
    evidence = _evidence(environment, closure, extensions, slots, gil, ask_index=ask_index)
    support = _own_gil(environment.interpreter, closure, slots) if interpreters else {}
    reports = [_report(environment.interpreter, closure, one, support) for one in evidence.values()]
    return DependencyReport(
        interpreter=environment.interpreter,
        distributions=tuple(sorted(reports, key=_gravest_first)),
        unmet=closure.unmet,
        calibration=calibrate(python),
        gil_probe=gil,
    )


def _begin(
    requirements: Sequence[str] | None, project: Path | None, extras: Iterable[str]
) -> list[str] | None:
    if project is None:
        return None if requirements is None else list(requirements)
    return [*(requirements or ()), *project_requirements(project, extras)]


def _slots(
    interpreter: Interpreter, extensions: Mapping[str, tuple[ExtensionFile, ...]]
) -> dict[str, tuple[ModuleSlots, ...]]:
    """One child reads the modules of all distributions."""
    asked = [
        (one.module, one.path) for files in extensions.values() for one in files if one.loadable
    ]
    read = read_slots(
        asked,
        python=interpreter.python,
        search_path=interpreter.search_path,
        free_threaded=interpreter.free_threaded,
    )
    by_path = {one.path: one for one in read}
    return {
        name: tuple(by_path[one.path] for one in files if one.loadable)
        for name, files in extensions.items()
    }


def _gil(
    interpreter: Interpreter,
    closure: Closure,
    extensions: Mapping[str, tuple[ExtensionFile, ...]],
) -> GilProbeResult:
    """Packages first: what they import shows with its chain; then what they import only later."""
    packages = [name for one in closure.members.values() for name in one.distribution.modules]
    modules = [one.module for files in extensions.values() for one in files if one.loadable]
    return probe_gil(interpreter, [*packages, *modules])


def _evidence(  # noqa: PLR0913 - because: what each probe found
    environment: Environment,
    closure: Closure,
    extensions: Mapping[str, tuple[ExtensionFile, ...]],
    slots: Mapping[str, tuple[ModuleSlots, ...]],
    gil: GilProbeResult | None,
    *,
    ask_index: bool,
) -> dict[str, Evidence]:
    fronts, absent = facades(closure), absent_parts(closure)
    slow = slow_paths(environment, tuple(closure.members))
    wheels: Mapping[str, FreeThreadedWheel] = {}
    if ask_index:
        slow = _with_binary_wheels(environment, closure, slow)
        wheels = _free_threaded_wheels(environment, closure, slow)
    requirers = {} if gil is None else {one.module: one for one in gil.requirers}
    guests = _guests(closure, extensions, requirers)
    deaths = {} if gil is None else {one.module: one for one in gil.failed if one.died}
    failed = set() if gil is None else {one.module for one in gil.failed}
    failed = {one for one in failed if not for_tests(one)}
    found = {}
    for name, member in closure.members.items():
        own = [one.module for one in extensions[name]]
        distribution = member.distribution
        found[name] = Evidence(
            distribution=distribution,
            extensions=extensions[name],
            slots=slots[name],
            requirers=tuple(requirers[one] for one in own if one in requirers),
            guests=tuple(guests.get(name, ())),
            deaths=tuple(deaths[one] for one in own if one in deaths and not for_tests(one)),
            imported=gil is not None and gil.ran and not failed & {*distribution.modules, *own},
            slow_paths=slow.get(name, ()),
            behind=fronts.get(name, ()),
            absent=absent.get(name, ()),
            wheel=wheels.get(name),
        )
    return found


def _guests(
    closure: Closure,
    extensions: Mapping[str, tuple[ExtensionFile, ...]],
    requirers: Mapping[str, LockRequirer],
) -> dict[str, list[LockRequirer]]:
    """Modules of nobody in the closure, each with the member that imported it.

    A package may import what it does not require: something that only happens to be installed, or that
    lies in no distribution. Who did is the last one on the way whose modules are known.
    """
    own = {one.module for files in extensions.values() for one in files}
    owners = {
        module: name for name, one in closure.members.items() for module in one.distribution.modules
    }
    owners |= {one.module: name for name, files in extensions.items() for one in files}
    found: dict[str, list[LockRequirer]] = {}
    for module, one in requirers.items():
        if module in own:
            continue
        way = [*(site.module for site in reversed(one.chain)), one.asked]
        known = (owners.get(step) or owners.get(step.split(".")[0]) for step in way)
        name = next((owner for owner in known if owner is not None), None)
        if name is not None:
            found.setdefault(name, []).append(one)
    return found


def _with_binary_wheels(
    environment: Environment, closure: Closure, slow: Mapping[str, tuple[SlowPath, ...]]
) -> dict[str, tuple[SlowPath, ...]]:
    """Add what the index knows and the installed files do not show."""
    pure = [one.distribution for one in closure.members.values() if not is_binary(one.distribution)]
    found = dict(slow)
    for name, file in find_binary_wheels(pure, environment.interpreter).items():
        found[name] = (*found.get(name, ()), SlowPath("elsewhere", name, file, 0))
    return found


def _free_threaded_wheels(
    environment: Environment, closure: Closure, slow: Mapping[str, tuple[SlowPath, ...]]
) -> dict[str, FreeThreadedWheel]:
    """Ask where it matters: binaries, and what should have some."""
    members = closure.members.items()
    asked = [
        one.distribution for name, one in members if is_binary(one.distribution) or name in slow
    ]
    return find_free_threaded_wheels(asked, environment.interpreter)


def _own_gil(
    interpreter: Interpreter, closure: Closure, slots: Mapping[str, tuple[ModuleSlots, ...]]
) -> dict[str, OwnGilSupport]:
    declared = {
        module: slots[name]
        for name, member in closure.members.items()
        for module in member.distribution.modules
    }
    answers = own_gil_support(interpreter, list(declared), declared=declared)
    return {one.module: one for one in answers}


def _report(
    interpreter: Interpreter,
    closure: Closure,
    evidence: Evidence,
    support: Mapping[str, OwnGilSupport],
) -> DistributionReport:
    distribution = evidence.distribution
    member = closure.members[distribution.name]
    targets = sorted({*_TARGETS, target_version(interpreter)})
    tags = parse_tags(distribution.tags)
    return DistributionReport(
        evidence=evidence,
        judgement=judge(evidence, interpreter),
        chain=member.chain,
        required_by=member.required_by,
        tags_mean=tuple(free_threaded_support(tags, version) for version in targets),
        own_gil=tuple(support[one] for one in distribution.modules if one in support),
    )


def _gravest_first(report: DistributionReport) -> tuple[int, str]:
    order = [*_PROBLEMS, "facade", "ready", "pure"]
    return order.index(report.verdict), report.name
