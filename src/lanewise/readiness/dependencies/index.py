"""Is there a wheel for a free-threaded interpreter: asked of the index that pip is configured with.

Off by default, for it goes over the network. pip is asked what it would install (``--dry-run``), so its
configuration, proxies and credentials hold, and the answer is the one that an installation would get.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from lanewise.readiness.dependencies.environment import Distribution, Interpreter
from lanewise.readiness.dependencies.wheel_tags import parse_tags

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


def find_free_threaded_wheel(
    distribution: Distribution, interpreter: Interpreter, *, timeout_s: float = _TIMEOUT_S
) -> FreeThreadedWheel:
    """Ask pip which wheel it would take for a free-threaded interpreter. Nothing is installed.

    Args:
        distribution: What is installed.
        interpreter: For which; its own pip is asked, else the one of the interpreter that runs this.
        timeout_s: Seconds for one question.
    """
    version = target_version(interpreter)
    target = f"cp{version[0]}{version[1]}t"
    pinned = f"{distribution.name}=={distribution.version}"
    wheel, failure = _ask(pinned, distribution, interpreter, version, timeout_s)
    if wheel is not None or failure is not None:
        return FreeThreadedWheel(target, wheel, None, failure)
    other, failure = _ask(distribution.name, distribution, interpreter, version, timeout_s)
    return FreeThreadedWheel(target, None, other, failure)


def _ask(
    requirement: str,
    distribution: Distribution,
    interpreter: Interpreter,
    version: tuple[int, int],
    timeout_s: float,
) -> tuple[str | None, str | None]:
    """``(file name of the wheel or None, failure or None)``."""
    python = interpreter.python or sys.executable
    command = [python, "-m", "pip", *_options(distribution, interpreter, version), requirement]
    try:
        done = subprocess.run(  # noqa: S603 - because: the user names the interpreter
            command, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"pip cannot be asked: {error}"
    if done.returncode:
        if "No matching distribution" in done.stderr:
            return None, None
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        return None, f"pip failed: {(lines or done.stderr.splitlines() or ['no word'])[-1][:200]}"
    return _chosen(done.stdout, version)


def _options(
    distribution: Distribution, interpreter: Interpreter, version: tuple[int, int]
) -> list[str]:
    dotted = f"{version[0]}.{version[1]}"
    # "none" beside the others: a pure wheel, or one of plain binaries, serves as well.
    abis = (f"cp{version[0]}{version[1]}t", "abi3t", "none")
    return [
        "install", "--dry-run", "--quiet", "--no-input", "--disable-pip-version-check",
        "--ignore-installed", "--no-deps", "--only-binary=:all:", "--report", "-",
        # pip insists on a target folder where it is to choose for another interpreter.
        "--target", "lanewise-dry-run",
        "--implementation", "cp", "--python-version", dotted,
        *[word for abi in abis for word in ("--abi", abi)],
        *[word for tag in _platforms(distribution, interpreter) for word in ("--platform", tag)],
    ]  # fmt: skip


def _platforms(distribution: Distribution, interpreter: Interpreter) -> list[str]:
    own = [tag.platform for tag in parse_tags(distribution.tags)]
    system, _, machine = interpreter.platform.partition("-")
    usual = [f"{name}_{machine}" for name in _MANYLINUX] if system == "linux" else []
    return [tag for tag in dict.fromkeys([*own, *usual]) if tag != "any"]


def _chosen(report: str, version: tuple[int, int]) -> tuple[str | None, str | None]:
    try:
        install = json.loads(report)["install"]
        url = install[0]["download_info"]["url"]
    except (ValueError, KeyError, IndexError):
        return None, "pip's report cannot be read; it may be older than 23"
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    tags = parse_tags(["-".join(name.removesuffix(".whl").split("-")[-3:])])
    # pip before 25 takes abi3 wheels for interpreters that do not load them.
    serves = any(tag.installs_on(version) for tag in tags)
    return (name, None) if serves else (None, None)
