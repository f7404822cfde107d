"""Which modules of a closure require the lock: seen by importing them on a free-threaded interpreter.

What a wheel's tag promises and what its modules do are two things: a module of a ``cp313t`` wheel may
switch the lock on like any other. All modules are imported one after the other in one child process,
which names every module that does, not only the first; what kills the child costs one import.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lanewise.readiness.dependencies.environment import Interpreter
from lanewise.readiness.dependencies.probe import Probe, ask_each

# The largest imports seen (pandas, with bytecode to be written) take 10 s.
_TIMEOUT_S = 60.0
_HOW_TO_GET_ONE = (
    "a free-threaded interpreter is needed to see which imports switch the lock on, and {executable} "
    "({version}) is an ordinary build. Install CPython 3.14t or later next to it: uv python install "
    '3.14t, pyenv install 3.14t, the installer\'s "free-threaded binaries" on Windows and macOS, or '
    "./configure --disable-gil; install the project's dependencies for it, and give its path"
)


@dataclass(frozen=True, slots=True)
class ImportSite:
    """One import statement on the way to a module.

    Attributes:
        module: The module whose code it is.
        path: Its file.
        line: The line, from 1.
    """

    module: str
    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.module} ({self.path}:{self.line})"


@dataclass(frozen=True, slots=True)
class LockRequirer:
    """A module that switches the lock on when it is imported.

    Attributes:
        module: Its dotted name.
        path: Its shared object.
        chain: The import statements that led to it, the outermost first. Empty where it was asked
            for by its own name, or by C code alone.
        asked: The module that was being imported when it came.
    """

    module: str
    path: str
    chain: tuple[ImportSite, ...]
    asked: str = ""


@dataclass(frozen=True, slots=True)
class FailedImport:
    """A module that could not be imported.

    Attributes:
        module: Its dotted name.
        reason: The exception, or how the process died.
        died: The process did.
    """

    module: str
    reason: str
    died: bool = False


@dataclass(frozen=True, slots=True)
class GilProbeResult:
    """What importing showed.

    Attributes:
        ran: Whether anything was imported.
        reason: Why not; None where it was.
        imported: How many modules were imported without an error.
        requirers: Every module that requires the lock, in the order met.
        failed: What could not be imported.
    """

    ran: bool
    reason: str | None
    imported: int
    requirers: tuple[LockRequirer, ...]
    failed: tuple[FailedImport, ...]

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def probe_gil(
    interpreter: Interpreter, modules: Iterable[str], *, timeout_s: float = _TIMEOUT_S
) -> GilProbeResult:
    """Import modules on a free-threaded interpreter and name each that requires the lock.

    Importing runs their code: whatever they do at import, they do in the child.

    Args:
        interpreter: Where to import them. With an ordinary build nothing is imported, and the result
            says what to do.
        modules: Dotted names. Those that import much should come first: they show longer chains.
        timeout_s: Seconds for one of them.

    Raises:
        AuditError: The interpreter cannot be asked.
    """
    if not interpreter.free_threaded:
        reason = _HOW_TO_GET_ONE.format(
            executable=interpreter.executable, version=interpreter.version
        )
        return GilProbeResult(ran=False, reason=reason, imported=0, requirers=(), failed=())
    probe = Probe(
        "_gil_probe.py",
        python=interpreter.python,
        search_path=interpreter.search_path,
        flags=("-v",),
        timeout_s=timeout_s,
        # An empty PYTHON_GIL counts as not set (Doc/using/cmdline.rst); the environment of whoever
        # runs the audit may force the lock, which silences what is looked for.
        env={"PYTHON_GIL": "", "PYTHONWARNINGS": ""},
    )
    requirers: dict[str, LockRequirer] = {}
    failed: dict[str, FailedImport] = {}
    asked: list[str] = []
    for answer in ask_each(probe, _questions(modules, failed, asked)):
        for one in answer.get("offenders", []):
            sites = tuple(ImportSite(**site) for site in one["chain"])
            found = LockRequirer(one["module"], one["path"], sites, asked[-1])
            requirers.setdefault(found.module, found)
        error = answer.get("error") or answer.get("import_error")
        if error:
            failed[asked[-1]] = FailedImport(asked[-1], error, died="error" in answer)
    return GilProbeResult(
        ran=True,
        reason=None,
        imported=len(asked) - len(failed),
        requirers=tuple(requirers.values()),
        failed=tuple(failed.values()),
    )


def _questions(
    modules: Iterable[str], failed: Mapping[str, FailedImport], asked: list[str]
) -> Iterator[dict[str, str]]:
    """What to import, less the submodules of a package that failed: they would only repeat it."""
    for name in dict.fromkeys(modules):
        parts = name.split(".")
        if not any(".".join(parts[:count]) in failed for count in range(1, len(parts))):
            asked.append(name)
            yield {"module": name}
