"""What of a distribution is binary: extension modules, façades over binaries, silent slow paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lanewise.readiness.dependencies.closure import Closure
from lanewise.readiness.dependencies.environment import (
    Distribution,
    Environment,
    Interpreter,
    NativeFile,
)
from lanewise.readiness.dependencies.probe import Probe, ask_each
from lanewise.readiness.dependencies.wheel_tags import parse_tags

# Scanning the largest packages (500 files with optional imports) takes some seconds.
_SCAN_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class ExtensionFile:
    """An extension module that a distribution installs.

    Attributes:
        module: Its dotted name.
        path: Where it is.
        suffix: Its ending.
        abi: ``cp313t``, ``cp313``, ``abi3``, ``abi3t``, or ``any`` where the name does not tell.
        size_bytes: Its size.
        loadable: Whether the interpreter in question loads files of that name.
    """

    module: str
    path: str
    suffix: str
    abi: str
    size_bytes: int
    loadable: bool

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class SlowPath:
    """A sign that a distribution runs in pure Python here though it has native code.

    Attributes:
        kind: ``import``: it tries to import a native module of its own that is missing; ``compiled``:
            a module that is meant to be compiled is not; ``sources``: it ships sources of extension
            modules, and nothing that was built of them; ``elsewhere``: the index has a binary wheel of
            this version for ordinary builds.
        module: The module that is missing or not compiled; for ``sources``, a source file; for
            ``elsewhere``, the distribution.
        path: The file that shows it; for ``elsewhere``, the wheel's name.
        line: The line in it, from 1; 0 where the whole file is meant.
    """

    kind: Literal["import", "compiled", "sources", "elsewhere"]
    module: str
    path: str
    line: int

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        match self.kind:
            case "import":
                return f"{self.module} is missing; {where} goes on without it"
            case "compiled":
                return f"{self.module} is meant to be compiled and runs as Python ({self.path})"
            case "elsewhere":
                return f"ordinary builds get {self.path}, this one got a wheel without binaries"
        return f"{self.module} is a source of an extension module that was not built"


def extension_files(
    distribution: Distribution, interpreter: Interpreter
) -> tuple[ExtensionFile, ...]:
    """The extension modules among a distribution's files, as one interpreter sees them."""
    return tuple(_extension_file(one, interpreter) for one in distribution.natives)


def _extension_file(file: NativeFile, interpreter: Interpreter) -> ExtensionFile:
    return ExtensionFile(
        module=file.module,
        path=file.path,
        suffix=file.suffix,
        abi=abi_of(file.suffix),
        size_bytes=file.size_bytes,
        loadable=file.suffix in interpreter.extension_suffixes,
    )


def abi_of(suffix: str) -> str:
    """The ABI in an extension module's ending (PEP 3149; Windows: PEP 3149 and ``cp313t-win_amd64``)."""
    if suffix.startswith((".abi3t.", ".abi3.")):
        return suffix.split(".")[1]
    found = re.match(r"\.(?:cpython-|cp)(\d+t?)", suffix)
    return "any" if found is None else f"cp{found[1]}"


def is_binary(distribution: Distribution) -> bool:
    """Whether it installs binaries: extension modules, or others that its wheel's tags announce."""
    families = {tag.family for tag in parse_tags(distribution.tags)}
    return bool(distribution.natives) or bool(families - {"pure"})


def facades(closure: Closure) -> Mapping[str, tuple[str, ...]]:
    """The pure distributions that are a front of binary ones, with the names of these.

    A pure distribution is one where it requires a binary one whose name continues its own (``polars`` and
    ``polars-runtime-32``) or pins its exact version, which only those do that belong together. A mere
    requirement makes none: a web framework that uses a binary parser is not that parser's front. Nor
    does a name the other way round: ``numpy-financial`` is an addition to numpy.
    """
    found = {}
    for name, member in closure.members.items():
        if is_binary(member.distribution):
            continue
        behind = tuple(
            other
            for other in closure.required_distributions(name)
            if is_binary(closure.members[other].distribution)
            and (_related(name, other) or _pins(member.distribution, other))
        )
        if behind:
            found[name] = behind
    return found


def absent_parts(closure: Closure) -> Mapping[str, tuple[str, ...]]:
    """Like ``facades``, but of distributions that are required and not installed."""
    found: dict[str, tuple[str, ...]] = {}
    for unmet in closure.unmet:
        member = closure.members.get(unmet.required_by)
        if unmet.installed is not None or member is None or is_binary(member.distribution):
            continue
        other = re.split(r"[^\w.-]", unmet.requirement, maxsplit=1)[0].lower()
        other = re.sub(r"[-_.]+", "-", other)
        if _related(unmet.required_by, other) or _pins(member.distribution, other):
            found[unmet.required_by] = (*found.get(unmet.required_by, ()), other)
    return found


def _related(name: str, other: str) -> bool:
    return other.startswith(f"{name}-")


def _pins(distribution: Distribution, other: str) -> bool:
    pattern = re.escape(other).replace(r"\-", "[-_.]+")
    # "===" counts too. A pin with a wildcard leaves the choice open.
    pinned = re.compile(rf"^{pattern}\s*(\[[^]]*\])?\s*\(?==+\s*[^*,;]+\)?\s*(;|$)", re.IGNORECASE)
    return any(pinned.match(text) for text in distribution.requires)


def slow_paths(
    environment: Environment, names: tuple[str, ...], *, timeout_s: float = _SCAN_TIMEOUT_S
) -> Mapping[str, tuple[SlowPath, ...]]:
    """Look for silent slow paths in the files of distributions. Nothing is imported.

    Args:
        environment: Where they are installed.
        names: Their canonical names.
        timeout_s: Seconds for one distribution.

    Raises:
        AuditError: The interpreter cannot be asked.
    """
    interpreter = environment.interpreter
    probe = Probe(
        "_fallback_probe.py",
        python=interpreter.python,
        search_path=interpreter.search_path,
        timeout_s=timeout_s,
    )
    asked = [environment.distributions[name] for name in names]
    questions = [{"name": one.name, "modules": one.modules} for one in asked]
    found = {}
    for distribution, answer in zip(asked, ask_each(probe, questions), strict=True):
        signs = [*_from_scan(answer.get("missing", [])), *_from_sources(distribution)]
        if signs:
            found[distribution.name] = tuple(signs)
    return found


def _from_scan(missing: list[dict[str, Any]]) -> list[SlowPath]:
    seen: dict[str, SlowPath] = {}
    for one in missing:
        sign = SlowPath(one["why"], one["module"], one["path"], one["line"])
        seen.setdefault(sign.module, sign)
    return list(seen.values())


def _from_sources(distribution: Distribution) -> list[SlowPath]:
    """Cython sources in a wheel for any interpreter. C sources alone may be templates or headers' kin."""
    pure = {tag.family for tag in parse_tags(distribution.tags)} == {"pure"}
    if distribution.natives or not pure:
        return []
    cython = [source for source in distribution.sources if source.endswith(".pyx")]
    return [SlowPath("sources", source, source, 0) for source in cython]
