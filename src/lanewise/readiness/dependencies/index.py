"""Is there a wheel for a free-threaded interpreter: asked of the index that pip is configured with.

Off by default, for it goes over the network. pip is asked what it would install (``--dry-run``), so its
configuration, proxies and credentials hold, and the answer is the one that an installation would get.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from lanewise.readiness.dependencies.environment import Distribution, Interpreter
from lanewise.readiness.dependencies.wheel_tags import WheelTag, parse_tags

# What pip needs for one answer, with a slow index: 3 to 8 s were seen.
_TIMEOUT_S = 90.0
# The first version whose free-threaded build is supported officially (PEP 779).
_FIRST_SUPPORTED = (3, 14)
# What today's wheels for Linux are tagged with (PEP 600); the installed wheel's own are added.
_MANYLINUX = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")


@dataclass(frozen=True, slots=True)
class FreeThreadedWheel:
    """What the index has for a free-threaded interpreter.

    Attributes:
        target: The ABI that was asked for, such as ``cp314t``.
        installed_version: The wheel for the version that is installed, by its file name; None: none.
        other_version: Where there is none, the wheel of the newest version that has one.
        failure: Why nothing is known, in words; None where the index was heard.
    """

    target: str
    installed_version: str | None
    other_version: str | None
    failure: str | None

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def target_version(interpreter: Interpreter) -> tuple[int, int]:
    """Which free-threaded version to ask about: the interpreter's own, or the first supported one."""
    if interpreter.free_threaded:
        return interpreter.version_info
    return max(_FIRST_SUPPORTED, interpreter.version_info)


def find_free_threaded_wheels(
    distributions: Sequence[Distribution],
    interpreter: Interpreter,
    *,
    timeout_s: float = _TIMEOUT_S,
) -> dict[str, FreeThreadedWheel]:
    """Ask pip which wheels it would take for a free-threaded interpreter. Nothing is installed.

    Args:
        distributions: What is installed.
        interpreter: For which; its own pip is asked.
        timeout_s: Seconds for one question.
    """
    version = target_version(interpreter)
    target = f"cp{version[0]}{version[1]}t"
    # "none" beside the others: a pure wheel, or one of plain binaries, serves as well.
    question = _Question(interpreter, version, (target, "abi3t", "none"), timeout_s)
    found = {}
    for name, (file, why_not) in question.pinned(distributions).items():
        other, failure = None, why_not
        if file is None and why_not is None:
            others, failure = question.ask([name], _platforms([_named(distributions, name)]))
            other = (others or {}).get(name)
        found[name] = FreeThreadedWheel(
            target,
            file if file and _serves(file, version) else None,
            other if other and _serves(other, version) else None,
            failure,
        )
    return found


def find_binary_wheels(
    distributions: Sequence[Distribution],
    interpreter: Interpreter,
    *,
    timeout_s: float = _TIMEOUT_S,
) -> dict[str, str]:
    """Which of these have a binary wheel for the ordinary build of this version, by its file name.

    For distributions that were installed in pure Python: those that have one are slower here than
    they are there.

    Args:
        distributions: What is installed.
        interpreter: For which; its own pip is asked.
        timeout_s: Seconds for one question.
    """
    version = interpreter.version_info
    abis = (f"cp{version[0]}{version[1]}", "abi3", "none")
    question = _Question(interpreter, version, abis, timeout_s)
    from_wheels = [one for one in distributions if one.tags and not one.editable]
    found = {}
    for name, (file, _) in question.pinned(from_wheels).items():
        if file is not None and any(tag.family != "pure" for tag in _tags(file)):
            found[name] = file
    return found


@dataclass(frozen=True, slots=True)
class _Question:
    """What is the same in all questions of one kind."""

    interpreter: Interpreter
    version: tuple[int, int]
    abis: tuple[str, ...]
    timeout_s: float

    def pinned(
        self, distributions: Sequence[Distribution]
    ) -> dict[str, tuple[str | None, str | None]]:
        """For each, the wheel of the installed version or None, and why nothing is known or None."""
        if not distributions:
            return {}
        files, failure = self.ask([_pin(one) for one in distributions], _platforms(distributions))
        if files is not None:
            return {one.name: (files.get(one.name), None) for one in distributions}
        if len(distributions) == 1:
            return {distributions[0].name: (None, failure)}
        # pip refuses the whole list for one that has none, so each is asked for alone.
        found: dict[str, tuple[str | None, str | None]] = {}
        for one in distributions:
            found |= self.pinned([one])
        return found

    def ask(
        self, requirements: list[str], platforms: Sequence[str]
    ) -> tuple[dict[str, str] | None, str | None]:
        """File names by canonical name and no failure; neither, where there is no such wheel."""
        python = self.interpreter.python or sys.executable
        command = [python, "-m", "pip", *self._options(platforms), *requirements]
        try:
            done = subprocess.run(  # noqa: S603 - because: the user names the interpreter
                command, capture_output=True, text=True, timeout=self.timeout_s, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return None, f"pip cannot be asked: {error}"
        if not done.returncode:
            return chosen_files(done.stdout)
        if "No matching distribution" in done.stderr:
            return None, None
        lines = done.stderr.splitlines()
        errors = [line for line in lines if line.startswith("ERROR")]
        return None, f"pip failed: {(errors or lines or ['it said nothing'])[-1][:200]}"

    def _options(self, platforms: Sequence[str]) -> list[str]:
        return [
            "install", "--dry-run", "--quiet", "--no-input", "--disable-pip-version-check",
            "--ignore-installed", "--no-deps", "--only-binary=:all:", "--report", "-",
            # pip insists on a target folder where it is to choose for another interpreter.
            "--target", "lanewise-dry-run",
            "--implementation", "cp",
            "--python-version", f"{self.version[0]}.{self.version[1]}",
            *[word for abi in self.abis for word in ("--abi", abi)],
            *[
                word
                for tag in (*platforms, *_usual_platforms(self.interpreter))
                for word in ("--platform", tag)
            ],
        ]  # fmt: skip


def chosen_files(report: str) -> tuple[dict[str, str] | None, str | None]:
    """The wheels in pip's installation report: ``(file names by canonical name, why not)``."""
    try:
        found = {}
        for one in json.loads(report)["install"]:
            path = urlsplit(one["download_info"]["url"]).path
            name = re.sub(r"[-_.]+", "-", one["metadata"]["name"]).lower()
            found[name] = unquote(path.rpartition("/")[2])
    except (ValueError, KeyError, TypeError):
        return None, "pip's report cannot be read; it may be older than 23"
    return found, None


def _pin(distribution: Distribution) -> str:
    return f"{distribution.name}=={distribution.version}"


def _named(distributions: Sequence[Distribution], name: str) -> Distribution:
    return next(one for one in distributions if one.name == name)


def _platforms(distributions: Sequence[Distribution]) -> list[str]:
    """Those of the installed wheels: what this machine is known to take."""
    tags = [tag.platform for one in distributions for tag in parse_tags(one.tags)]
    return [tag for tag in dict.fromkeys(tags) if tag != "any"]


def _usual_platforms(interpreter: Interpreter) -> list[str]:
    system, _, machine = interpreter.platform.partition("-")
    return [f"{name}_{machine}" for name in _MANYLINUX] if system == "linux" else []


def _tags(file: str) -> tuple[WheelTag, ...]:
    return parse_tags(["-".join(file.removesuffix(".whl").split("-")[-3:])])


def _serves(file: str, version: tuple[int, int]) -> bool:
    """Whether the wheel loads there. pip before 25 takes abi3 wheels for those that do not."""
    return any(tag.installs_on(version) for tag in _tags(file))
