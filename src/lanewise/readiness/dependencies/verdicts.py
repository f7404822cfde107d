"""One distribution's verdict: what was seen of it, weighed. Pure: it asks nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lanewise.readiness.dependencies.binaries import ExtensionFile, SlowPath, is_binary
from lanewise.readiness.dependencies.environment import Distribution, Interpreter
from lanewise.readiness.dependencies.gil_probe import FailedImport, LockRequirer
from lanewise.readiness.dependencies.index import FreeThreadedWheel
from lanewise.readiness.dependencies.probe import several
from lanewise.readiness.dependencies.slots import ModuleSlots
from lanewise.readiness.dependencies.wheel_tags import parse_tags

Verdict = Literal[
    "ready",
    "pure",
    "facade",
    "slow_path",
    "brings_lock_back",
    "no_free_threaded_wheel",
    "unknown",
]

_MOST_REASONS = 4
# Parts of names of modules that a package's own tests import, and nobody else does.
_TEST_PARTS = {"test", "tests", "testing", "_tests"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was seen of one distribution.

    Attributes:
        distribution: Its metadata.
        extensions: Its extension modules.
        slots: What they declare.
        requirers: Its modules that were seen to switch the lock on.
        guests: Modules of nobody in the closure that did, and that came when its modules were imported.
        deaths: Its modules that ended the process that imported them.
        imported: Whether its modules were imported on a free-threaded interpreter, all without error.
        slow_paths: Signs of native code that is not there.
        behind: The binary distributions that it is a front of.
        absent: Distributions that it is a front of, by their names, and that are not installed.
        wheel: What the index has; None where it was not asked.
    """

    distribution: Distribution
    extensions: tuple[ExtensionFile, ...] = ()
    slots: tuple[ModuleSlots, ...] = ()
    requirers: tuple[LockRequirer, ...] = ()
    guests: tuple[LockRequirer, ...] = ()
    deaths: tuple[FailedImport, ...] = ()
    imported: bool = False
    slow_paths: tuple[SlowPath, ...] = ()
    behind: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    wheel: FreeThreadedWheel | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its grounds.

    Attributes:
        verdict: In one word.
        reasons: What it rests on, the weightiest first.
        advice: What to do about it; None where there is nothing to do.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    advice: str | None


def judge(evidence: Evidence, interpreter: Interpreter) -> Judgement:
    """Weigh the evidence. What was seen weighs more than what is declared, and that more than tags."""
    return (
        _brings_lock_back(evidence)
        or _without_wheel(evidence)
        or _without_binaries(evidence)
        or _with_binaries(evidence, interpreter)
    )


def _brings_lock_back(evidence: Evidence) -> Judgement | None:
    seen = [one for one in evidence.requirers if not for_tests(one.module)]
    names = {one.module for one in seen}
    declared = [
        one.module
        for one in evidence.slots
        if one.brings_lock_back and one.module not in names and not for_tests(one.module)
    ]
    guests = [one for one in evidence.guests if not for_tests(one.asked)]
    if not seen and not declared and not guests:
        return None
    reasons = [f"{one.module} switched the lock on, {_how_reached(one)}" for one in seen[:3]]
    if len(seen) > len(reasons):
        reasons.append(f"and so did {several([one.module for one in seen[len(reasons) :]])}")
    if declared:
        reasons.append(
            f"{several(declared)} {_do(declared)} not declare to work without the lock, so importing "
            f"{'it' if len(declared) == 1 else 'one of them'} switches it on"
        )
    reasons += [_of_guest(one) for one in guests[:3]]
    return Judgement("brings_lock_back", tuple(reasons), _instead(evidence))


def _of_guest(one: LockRequirer) -> str:
    return (
        f"importing {one.asked} brought {one.module} in, which switched the lock on and which it does "
        f"not require ({one.path})"
    )


def _how_reached(one: LockRequirer) -> str:
    if not one.chain:
        return "imported by its own name"
    return "imported by " + " > ".join(f"{site.path}:{site.line}" for site in one.chain)


def _instead(evidence: Evidence) -> str:
    name = evidence.distribution.name
    newer = evidence.wheel and evidence.wheel.other_version
    if evidence.guests and not evidence.requirers:
        name = evidence.guests[0].module
    upgrade = f"upgrade to {newer}" if newer else f"look for a release of {name} that declares it"
    return (
        f"{upgrade}, or keep what needs {name} in processes of an ordinary build. "
        "PYTHON_GIL=0 keeps the lock off in spite of it, at your own risk"
    )


def _without_wheel(evidence: Evidence) -> Judgement | None:
    wheel = evidence.wheel
    if wheel is None or wheel.failure or wheel.installed_version is not None:
        return None
    if not is_binary(evidence.distribution) and not evidence.slow_paths:
        return None
    tags = parse_tags(evidence.distribution.tags)
    reason = f"the index has no {wheel.target} wheel of version {evidence.distribution.version}"
    if tags and {tag.family for tag in tags} == {"abi3"}:
        reason += "; the installed one is abi3, which free-threaded interpreters do not load"
    if wheel.other_version:
        return Judgement("no_free_threaded_wheel", (reason,), f"change to {wheel.other_version}")
    advice = (
        "an installer will build it from source, which needs its compiler and its support; find "
        "another library, or keep what needs it in processes of an ordinary build"
    )
    return Judgement("no_free_threaded_wheel", (reason,), advice)


def _without_binaries(evidence: Evidence) -> Judgement | None:
    if is_binary(evidence.distribution):
        return None
    if evidence.slow_paths:
        signs = [str(one) for one in evidence.slow_paths[:3]]
        if len(evidence.slow_paths) > len(signs):
            signs.append(f"and {len(evidence.slow_paths) - len(signs)} more such signs")
        return Judgement(
            "slow_path",
            tuple(signs),
            "it works in pure Python, slower. Measure whether that matters; else take a version with "
            "a wheel for this interpreter, or have it built from source with a compiler at hand",
        )
    if evidence.absent:
        names = list(evidence.absent)
        return Judgement(
            "unknown",
            (f"pure Python in front of {several(names)}, which {_are(names)} not installed here",),
            "that is where its binaries would be; an installer that left them out may have found no "
            "wheel for this interpreter",
        )
    if evidence.behind:
        return Judgement(
            "facade",
            (f"pure Python in front of {several(evidence.behind)}",),
            f"what counts is the verdict on {several(evidence.behind)}",
        )
    if not evidence.distribution.files_known and not evidence.distribution.modules:
        return Judgement(
            "unknown",
            ("no list of its files, and no module of its name",),
            "install it from a wheel, so that there is something to look at",
        )
    return Judgement("pure", ("no binaries",), None)


def _with_binaries(evidence: Evidence, interpreter: Interpreter) -> Judgement:
    modules = [one for one in evidence.slots if one.extension_module and not for_tests(one.module)]
    open_ones = [one for one in modules if one.brings_lock_back is not False]
    foreign = [one.module for one in evidence.extensions if not one.loadable]
    if foreign and len(foreign) == len(evidence.extensions):
        return Judgement(
            "unknown",
            (f"{several(foreign)} {_are(foreign)} built for another interpreter",),
            f"install it for {interpreter.executable}",
        )
    if not modules:
        return Judgement("ready", ("its binaries are no extension modules of Python",), None)
    if evidence.deaths:
        return Judgement(
            "unknown",
            tuple(
                f"importing {one.module} ended the process: {one.reason}"
                for one in evidence.deaths[:3]
            ),
            "import it by hand on this interpreter: what it declares is worth nothing until it can be",
        )
    if not open_ones:
        return _declared(evidence, interpreter, len(modules))
    advice = (
        "install it for a free-threaded interpreter and audit there: the answer is exact then"
        if not interpreter.free_threaded
        else "import its modules on this interpreter and look at sys._is_gil_enabled()"
    )
    by_reason: dict[str, list[str]] = {}
    for one in open_ones:
        by_reason.setdefault(_why_open(one), []).append(one.module)
    reasons = [f"{several(names, 3)}: {reason}" for reason, names in by_reason.items()]
    if len(reasons) > _MOST_REASONS:
        reasons[_MOST_REASONS:] = [f"and {len(reasons) - _MOST_REASONS} more such reasons"]
    return Judgement("unknown", (*reasons, *_index_said(evidence)), advice)


def _why_open(slots: ModuleSlots) -> str:
    if slots.multi_phase is None:
        return slots.reason
    if slots.gil == "undeclared":
        return (
            "nothing about the lock in this build; one for free-threaded interpreters may say more"
        )
    if not slots.multi_phase:
        return "single-phase initialisation, which says it in free-threaded builds only"
    return "this interpreter has no slot for the lock (it came with 3.13)"


def _declared(evidence: Evidence, interpreter: Interpreter, count: int) -> Judgement:
    which = (
        "its extension module declares" if count == 1 else f"all {count} extension modules declare"
    )
    reasons = [f"{which} to work without the lock"]
    if evidence.imported:
        reasons.append("imported on this interpreter, and the lock stayed off")
    reasons += _index_said(evidence)
    advice = None
    if not interpreter.free_threaded and evidence.wheel is None:
        advice = (
            "what is installed is for a build with the lock; see that a free-threaded wheel exists"
        )
    return Judgement("ready", tuple(reasons), advice)


def _index_said(evidence: Evidence) -> list[str]:
    wheel = evidence.wheel
    if wheel is None:
        return []
    if wheel.failure is not None:
        return [f"the index could not be asked: {wheel.failure}"]
    return [f"the index has {wheel.installed_version}"]


def for_tests(module: str) -> bool:
    """Whether a module's name says that a package's own tests import it, and nobody else."""
    parts = module.split(".")
    return bool(_TEST_PARTS & set(parts)) or parts[-1].startswith(("_test", "test_"))


def _do(names: list[str]) -> str:
    return "does" if len(names) == 1 else "do"


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
