"""The installed transitive closure: a project's requirements and all that these require in turn.

Requirements are those of the installed versions, with markers evaluated for the interpreter in
question and the extras that somebody asked for. What is required but not installed is told, not
resolved: the audit is about what runs, not about what an installer would choose today.
"""

from __future__ import annotations

import tomllib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lanewise.errors import AuditError
from lanewise.readiness.dependencies.environment import Distribution, Environment

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_NEEDS_PACKAGING = (
    "the audit of dependencies reads requirements with the package 'packaging', which is not "
    "installed. Install it with: pip install 'lanewise[audit]'"
)


@dataclass(frozen=True, slots=True)
class Member:
    """One distribution of the closure.

    Attributes:
        distribution: What is installed.
        chain: The shortest way from what was asked for to it, by names; itself the last.
        required_by: The members that require it, by name.
        extras: Its extras that somebody asked for.
    """

    distribution: Distribution
    chain: tuple[str, ...]
    required_by: tuple[str, ...]
    extras: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unmet:
    """A requirement that the environment does not meet.

    Attributes:
        requirement: As written.
        required_by: Who wrote it; an empty string stands for whoever asked for the audit.
        installed: The version that is installed and does not fit; None where none is.
    """

    requirement: str
    required_by: str
    installed: str | None

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Closure:
    """Everything that what was asked for needs.

    Attributes:
        members: By canonical name, those that were asked for first.
        unmet: What is required and not there.
    """

    members: Mapping[str, Member]
    unmet: tuple[Unmet, ...]

    def required_distributions(self, name: str) -> tuple[str, ...]:
        """The members that a member requires directly."""
        return tuple(other for other, one in self.members.items() if name in one.required_by)


def find_closure(environment: Environment, requirements: Sequence[str] | None = None) -> Closure:
    """Follow requirements through what is installed.

    Args:
        environment: What is installed.
        requirements: Where to begin, as an installer takes them: ``fastapi[standard]``,
            ``numpy>=2``. None begins with everything that is installed.

    Raises:
        AuditError: A requirement cannot be read, or the package ``packaging`` is missing.
    """
    if requirements is None:
        requirements = list(environment.distributions)
    walk = _Walk(environment)
    walk.require("", requirements, ())
    walk.run()
    return walk.result()


def project_requirements(project: Path, extras: Iterable[str] = ()) -> list[str]:
    """The requirements that a project's ``pyproject.toml`` declares.

    Args:
        project: The project's folder, or the file itself.
        extras: Its optional dependencies to include.

    Raises:
        AuditError: There is no such file, it cannot be read, declares no dependencies, or has no
            such extra.
    """
    path = project / "pyproject.toml" if project.is_dir() else project
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    except OSError as error:
        raise AuditError(
            f"{path} cannot be read ({error.strerror}). Give a folder with a pyproject.toml, or "
            "name the distributions to begin with"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AuditError(f"{path} is not valid TOML: {error}") from error
    if "dependencies" not in table:
        return _of_the_installed_project(path, table, extras)
    optional = table.get("optional-dependencies", {})
    found = list(table["dependencies"])
    for extra in extras:
        if extra not in optional:
            raise AuditError(
                f"{path} declares no extra {extra!r}; it has: {', '.join(sorted(optional)) or 'none'}"
            )
        found += optional[extra]
    return found


def _of_the_installed_project(
    path: Path, table: Mapping[str, Any], extras: Iterable[str]
) -> list[str]:
    """Dependencies that a build backend fills in are known once the project is installed."""
    name = table.get("name")
    if name is None or "dependencies" not in table.get("dynamic", ()):
        raise AuditError(
            f"{path} declares no [project] dependencies. Name the distributions to begin with"
        )
    wanted = ",".join(extras)
    return [f"{name}[{wanted}]" if wanted else str(name)]


class _Walk:
    """Breadth first, so that the first way found to a distribution is a shortest one."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._queue: deque[str] = deque()
        self._chains: dict[str, tuple[str, ...]] = {}
        self._required_by: dict[str, list[str]] = {}
        self._extras: dict[str, set[str]] = {}
        self._unmet: dict[tuple[str, str], Unmet] = {}

    def require(self, by: str, requirements: Iterable[str], extras: Iterable[str]) -> None:
        """Note what somebody requires, with these extras of it asked for."""
        for text in requirements:
            requirement = _parse(text, by)
            if self._applies(requirement, extras):
                self._add(by, requirement)

    def run(self) -> None:
        while self._queue:
            name = self._queue.popleft()
            distribution = self._environment.distributions[name]
            self.require(name, distribution.requires, sorted(self._extras[name]))

    def result(self) -> Closure:
        members = {
            name: Member(
                self._environment.distributions[name],
                chain,
                tuple(self._required_by[name]),
                tuple(sorted(self._extras[name])),
            )
            for name, chain in self._chains.items()
        }
        return Closure(members, tuple(self._unmet.values()))

    def _applies(self, requirement: Requirement, extras: Iterable[str]) -> bool:
        if requirement.marker is None:
            return True
        markers = dict(self._environment.interpreter.markers)
        return any(
            requirement.marker.evaluate({**markers, "extra": extra}) for extra in ("", *extras)
        )

    def _add(self, by: str, requirement: Requirement) -> None:
        name = _canonical(requirement.name)
        installed = self._environment.distributions.get(name)
        fits = installed is not None and requirement.specifier.contains(
            installed.version, prereleases=True
        )
        if not fits:
            version = None if installed is None else installed.version
            self._unmet.setdefault((name, by), Unmet(str(requirement), by, version))
        if installed is None:
            return
        extras = {_canonical(extra) for extra in requirement.extras}
        if by and by not in self._required_by.setdefault(name, []):
            self._required_by[name].append(by)
        self._required_by.setdefault(name, [])
        if name not in self._chains:
            self._chains[name] = (*self._chains.get(by, ()), name)
            self._extras[name] = extras
            self._queue.append(name)
        elif not extras <= self._extras[name]:
            self._extras[name] |= extras
            self._queue.append(name)  # once more: the new extras have requirements of their own


def _parse(text: str, by: str) -> Requirement:
    try:
        from packaging.requirements import (  # noqa: PLC0415 - because: the package is optional
            InvalidRequirement,
            Requirement,
        )
    except ImportError as error:
        raise AuditError(_NEEDS_PACKAGING) from error
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        source = f"required by {by}" if by else "asked for"
        raise AuditError(f"the requirement {text!r}, {source}, cannot be read: {error}") from error


def _canonical(name: str) -> str:
    from packaging.utils import canonicalize_name  # noqa: PLC0415 - because: the package is optional

    return str(canonicalize_name(name))
