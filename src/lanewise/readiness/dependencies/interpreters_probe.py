"""May a module be imported in an interpreter that has a lock of its own: seen by doing it.

What a module itself declares is one part: everything that it imports has to declare it too. The answer
is therefore had by importing it in such an interpreter, in a child process that may be thrown away.
Where that cannot be done, what the binaries declare (``slots.py``) has to serve.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from lanewise.readiness.dependencies.environment import Interpreter
from lanewise.readiness.dependencies.probe import Probe, ask_each, start
from lanewise.readiness.dependencies.slots import ModuleSlots

# An import in a fresh interpreter begins from nothing; the largest seen take 5 s.
_TIMEOUT_S = 60.0

# Python/import.c: _PyImport_CheckSubinterpIncompatibleExtensionAllowed.
_REFUSED = "does not support loading in subinterpreters"

_SAYS = {
    "shared_gil": "declares that it needs the main interpreter's lock",
    "not_supported": "does not support other interpreters than the main one",
    "undeclared": "declares nothing about interpreters",
    "unknown": "could not be read",
}

_known: dict[tuple[str, tuple[str, ...], str], OwnGilSupport] = {}


@dataclass(frozen=True, slots=True)
class OwnGilSupport:
    """Whether a module may be imported in an interpreter with a lock of its own.

    Attributes:
        module: Its dotted name.
        allowed: The answer; None where it is not known.
        source: ``imported``: it was tried. ``declared``: from the slots of binaries. ``version``: the
            interpreter has no such interpreters.
        reason: Why not, in words; None where it is allowed.
        without: Extension modules behind it that such an interpreter refuses. A module that is allowed
            all the same imports them later, or does without them: what is fast elsewhere may run in
            pure Python there.
    """

    module: str
    allowed: bool | None
    source: Literal["imported", "declared", "version"]
    reason: str | None
    without: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def own_gil_support(
    interpreter: Interpreter,
    modules: Iterable[str],
    *,
    declared: Mapping[str, Iterable[ModuleSlots]] | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> tuple[OwnGilSupport, ...]:
    """Import modules in isolated interpreters; answers are remembered for the life of the process.

    Importing runs their code: whatever they do at import, they do in the child.

    Args:
        interpreter: Where to import them.
        modules: Dotted names.
        declared: For a module, the slots of the binaries behind it. They answer where importing tells
            nothing, and say what is missing where it succeeds.
        timeout_s: Seconds for one of them.

    Raises:
        AuditError: The interpreter cannot be asked.
    """
    asked = list(dict.fromkeys(modules))
    keys = {name: (interpreter.executable, interpreter.search_path, name) for name in asked}
    new = [name for name in asked if keys[name] not in _known]
    if new:
        for support in _import(interpreter, new, declared or {}, timeout_s):
            _known[keys[support.module]] = support
    return tuple(
        replace(_known[keys[name]], without=_refused((declared or {}).get(name, ())))
        for name in asked
    )


def _refused(slots: Iterable[ModuleSlots]) -> tuple[str, ...]:
    """What is known to be refused; an interpreter without such slots has no such interpreters."""
    return tuple(
        one.module
        for one in slots
        if one.extension_module and one.interpreters not in {"own_gil", "unknown"}
    )


def _import(
    interpreter: Interpreter,
    modules: list[str],
    declared: Mapping[str, Iterable[ModuleSlots]],
    timeout_s: float,
) -> list[OwnGilSupport]:
    probe = Probe(
        "_interpreter_probe.py",
        python=interpreter.python,
        search_path=interpreter.search_path,
        timeout_s=timeout_s,
    )
    with start(probe) as child:
        unusable = child.prepared["unusable"]
    if unusable is not None:
        return [
            OwnGilSupport(name, allowed=False, source="version", reason=unusable)
            for name in modules
        ]
    isolated = _failures(probe, modules, isolated=True)
    # A module that fails everywhere says nothing about interpreters.
    doubtful = [name for name, failure in isolated.items() if failure and _REFUSED not in failure]
    plain = _failures(probe, doubtful, isolated=False)
    return [_judge(name, isolated[name], plain, declared.get(name, ())) for name in modules]


def _failures(probe: Probe, modules: list[str], *, isolated: bool) -> dict[str, str | None]:
    questions = [{"module": name, "isolated": isolated} for name in modules]
    answers = ask_each(probe, questions)
    return {
        name: answer.get("error") or answer["failure"]
        for name, answer in zip(modules, answers, strict=True)
    }


def _judge(
    name: str,
    failure: str | None,
    plain: Mapping[str, str | None],
    slots: Iterable[ModuleSlots],
) -> OwnGilSupport:
    everywhere = plain.get(name)
    if failure is not None and everywhere is not None:
        return _from_slots(name, tuple(slots), everywhere)
    return OwnGilSupport(name, allowed=failure is None, source="imported", reason=failure)


def _from_slots(name: str, slots: tuple[ModuleSlots, ...], why: str) -> OwnGilSupport:
    """What the binaries behind a module say, after importing it came to nothing."""
    refusing = [one for one in slots if one.extension_module and one.interpreters != "own_gil"]
    reason = f"it cannot be imported in any interpreter here ({why})"
    if not slots:
        return OwnGilSupport(name, allowed=None, source="declared", reason=reason)
    if not refusing:
        reason += "; all its binaries declare support"
        return OwnGilSupport(name, allowed=None, source="declared", reason=reason)
    first = refusing[0]
    reason = f"{first.module} {_SAYS[first.interpreters]}; {reason}"
    return OwnGilSupport(name, allowed=False, source="declared", reason=reason)
