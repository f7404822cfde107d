"""What is installed for an interpreter: this one, or another one that is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lanewise.errors import AuditError
from lanewise.readiness.dependencies.probe import Probe, ask_once

# Reading the metadata of a thousand distributions takes some seconds from a cold disk.
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The interpreter that an audit is about.

    Attributes:
        python: Its path as it was given; None for the one that runs this.
        executable: Its path as it tells it.
        version: For example ``3.13.5``.
        version_info: Its first two numbers.
        implementation: For example ``CPython``.
        free_threaded: Whether it is a free-threaded build.
        gil_enabled: Whether its lock is on when it has started.
        platform: For example ``linux-x86_64``.
        extension_suffixes: Endings of the files that it loads as extension modules.
        markers: What requirements' markers are evaluated with.
        search_path: Folders appended to its ``sys.path``.
    """

    python: str | None
    executable: str
    version: str
    version_info: tuple[int, int]
    implementation: str
    free_threaded: bool
    gil_enabled: bool
    platform: str
    extension_suffixes: tuple[str, ...]
    markers: Mapping[str, str]
    search_path: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class NativeFile:
    """A file that an import system might load as an extension module.

    Attributes:
        module: The dotted name that it would have.
        path: Where it is.
        suffix: Its ending, such as ``.cpython-313t-x86_64-linux-gnu.so``.
        size_bytes: Its size.
    """

    module: str
    path: str
    suffix: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """One installed distribution, as its metadata describe it.

    Attributes:
        name: Canonical name.
        version: Installed version.
        requires: Its requirements, as written.
        extras: The extras that it offers.
        tags: The wheel's compatibility tags, such as ``cp313-cp313t-manylinux_2_28_x86_64``; empty
            where it was not installed from a wheel.
        files_known: Whether a list of its files is there.
        editable: Whether it is a link to its sources.
        location: The folder that it is installed in.
        modules: Top-level names that it can be imported as.
        natives: Its binaries among the modules.
        sources: Sources of extension modules among its files.
    """

    name: str
    version: str
    requires: tuple[str, ...]
    extras: tuple[str, ...]
    tags: tuple[str, ...]
    files_known: bool
    editable: bool
    location: str
    modules: tuple[str, ...]
    natives: tuple[NativeFile, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Environment:
    """An interpreter and what is installed for it.

    Attributes:
        interpreter: Its facts.
        distributions: By canonical name.
    """

    interpreter: Interpreter
    distributions: Mapping[str, Distribution]


def read_environment(
    python: str | None = None, *, search_path: tuple[str, ...] = (), timeout_s: float = _TIMEOUT_S
) -> Environment:
    """Ask an interpreter what is installed for it. Nothing of that is imported.

    Args:
        python: Its path; None for the one that runs this, with this process's ``sys.path``.
        search_path: Further folders with distributions, such as one made by ``pip --target``.
        timeout_s: Seconds until it is given up.

    Raises:
        AuditError: It cannot be started, does not answer in time, or is not CPython.
    """
    probe = Probe(
        "_environment_probe.py", python=python, search_path=search_path, timeout_s=timeout_s
    )
    answer = ask_once(probe, {})
    told = answer["interpreter"]
    if told["implementation"] != "CPython":
        raise AuditError(
            f"{told['executable']} is {told['implementation']}. The lock that this audit is about "
            "is CPython's; give the path of a CPython"
        )
    return Environment(
        Interpreter(
            python=python,
            executable=told["executable"],
            version=told["version"],
            version_info=(told["version_info"][0], told["version_info"][1]),
            implementation=told["implementation"],
            free_threaded=told["free_threaded"],
            gil_enabled=told["gil_enabled"],
            platform=told["platform"],
            extension_suffixes=tuple(told["extension_suffixes"]),
            markers=told["markers"],
            search_path=search_path,
        ),
        {name: _distribution(name, one) for name, one in sorted(answer["distributions"].items())},
    )


def _distribution(name: str, told: Mapping[str, Any]) -> Distribution:
    return Distribution(
        name=name,
        version=told["version"],
        requires=tuple(told["requires"]),
        extras=tuple(told["extras"]),
        tags=tuple(told["tags"]),
        files_known=told["files_known"],
        editable=told["editable"],
        location=told["location"],
        modules=tuple(told["modules"]),
        natives=tuple(NativeFile(**one) for one in told["natives"]),
        sources=tuple(told["sources"]),
    )
