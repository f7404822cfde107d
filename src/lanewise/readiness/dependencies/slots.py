"""What extension modules declare about the lock and about interpreters, read from their binaries.

A declaration decides what the import system does: on a free-threaded interpreter a module that does
not declare ``Py_MOD_GIL_NOT_USED`` switches the lock on for the whole process, and an interpreter with
a lock of its own refuses one that does not declare ``Py_MOD_PER_INTERPRETER_GIL_SUPPORTED``. It is read
without importing the module; ``_slot_probe.py`` says how, and proves itself on known modules first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lanewise.readiness.dependencies.probe import Answer, Probe, ask_each, start

GilDeclaration = Literal["used", "not_used", "undeclared", "unknown"]
InterpretersDeclaration = Literal["own_gil", "shared_gil", "not_supported", "undeclared", "unknown"]

# Loading a shared object takes milliseconds; a single-phase module may import others meanwhile.
_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class ModuleSlots:
    """What one extension module declares.

    Attributes:
        module: Its dotted name.
        path: The shared object.
        multi_phase: Whether it is initialised in two phases (PEP 489); None where that is not known.
        gil: What it declares about the lock. ``undeclared`` means that importing it on a
            free-threaded interpreter switches the lock on.
        interpreters: In which interpreters it may be loaded. ``own_gil`` alone means in those with a
            lock of their own.
        extension_module: False for a library that only lies among the modules.
        gil_is_lower_bound: The build reads the slot only from the binary made for it; a build of the
            same sources for free-threaded interpreters may declare more.
        reason: What the answers rest on, in words.
    """

    module: str
    path: str
    multi_phase: bool | None
    gil: GilDeclaration
    interpreters: InterpretersDeclaration
    extension_module: bool
    gil_is_lower_bound: bool
    reason: str

    @property
    def brings_lock_back(self) -> bool | None:
        """Whether importing it on a free-threaded interpreter switches the lock on; None: not known."""
        if self.gil == "not_used" or not self.extension_module:
            return False
        if self.gil == "used":
            return True
        return True if self.gil == "undeclared" and not self.gil_is_lower_bound else None

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How the reader proved itself on an interpreter.

    Attributes:
        checked: How many known modules of its standard library were read.
        failure: Why the reader refuses to answer there; None where it proved right.
    """

    checked: int
    failure: str | None


def calibrate(python: str | None = None) -> Calibration:
    """Ask whether the reader works on an interpreter.

    Raises:
        AuditError: The interpreter cannot be asked.
    """
    with start(_probe(python, ())) as child:
        return Calibration(child.prepared["checked"], child.prepared["calibration_failure"])


def read_slots(
    modules: Iterable[tuple[str, str]],
    *,
    python: str | None = None,
    search_path: tuple[str, ...] = (),
    free_threaded: bool,
    timeout_s: float = _TIMEOUT_S,
) -> tuple[ModuleSlots, ...]:
    """Read what modules declare, each in a child process that survives the others.

    Args:
        modules: Dotted names with the paths of the shared objects.
        python: The interpreter they are made for; None for the one that runs this.
        search_path: Folders to append to its ``sys.path``: single-phase modules import others.
        free_threaded: Whether that interpreter is a free-threaded build.
        timeout_s: Seconds for one module.

    Raises:
        AuditError: The interpreter cannot be asked.
    """
    asked = list(modules)
    questions = [{"module": name, "path": path} for name, path in asked]
    answers = ask_each(_probe(python, search_path, timeout_s), questions)
    return tuple(
        _judge(name, path, answer, lower_bound=not free_threaded)
        for (name, path), answer in zip(asked, answers, strict=True)
    )


def _probe(
    python: str | None, search_path: tuple[str, ...], timeout_s: float = _TIMEOUT_S
) -> Probe:
    return Probe("_slot_probe.py", python=python, search_path=search_path, timeout_s=timeout_s)


def _judge(name: str, path: str, answer: Answer, *, lower_bound: bool) -> ModuleSlots:
    known = "error" not in answer
    return ModuleSlots(
        module=name,
        path=path,
        multi_phase=answer.get("multi_phase"),
        gil=answer.get("gil", "unknown"),
        interpreters=answer.get("interpreters", "unknown"),
        extension_module=not answer.get("no_module", False),
        gil_is_lower_bound=lower_bound,
        reason=_reason(answer, lower_bound=lower_bound) if known else answer["error"],
    )


def _reason(answer: Answer, *, lower_bound: bool) -> str:
    if not answer["multi_phase"]:
        said = "single-phase initialisation, which interpreters with a lock of their own refuse"
        if answer["gil"] == "unknown":
            said += "; what it says of the lock shows in a free-threaded build only"
        return said
    source = "the slot table" if answer["entry"] == "PyInit" else "the table of PyModExport"
    parts = [f"read from {source}"]
    if answer["interpreters"] == "unknown":
        parts.append("this interpreter has no slot for interpreters (it came with 3.12)")
    if answer["gil"] == "unknown":
        parts.append("it has no slot for the lock (it came with 3.13)")
    elif answer["gil"] == "undeclared" and lower_bound:
        parts.append(
            "this build has the lock, so what is said of it is a lower bound: Cython, for one, "
            "writes that slot into free-threaded builds only"
        )
    return "; ".join(parts)
