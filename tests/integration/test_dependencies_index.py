"""pip is asked for wheels; here its index is a folder of wheels that the test makes."""

from __future__ import annotations

import importlib.util
import json
import sys
import zipfile
from pathlib import Path

import pytest
from tests.unit.installed import install

from lanewise.readiness.dependencies import audit_dependencies, read_environment
from lanewise.readiness.dependencies.environment import Distribution, Interpreter
from lanewise.readiness.dependencies.index import (
    chosen_files,
    find_binary_wheels,
    find_free_threaded_wheels,
    target_version,
)

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pip") is None, reason="this environment has no pip"
)
MACHINE = "manylinux_2_17_x86_64"
HERE = f"cp{sys.version_info[0]}{sys.version_info[1]}"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def put(index: Path, file: str) -> None:
    name, version, *_ = file.split("-")
    with zipfile.ZipFile(index / file, "w") as wheel:
        tags = file.removesuffix(".whl").split("-", 2)[2]
        info = f"{name}-{version}.dist-info"
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: {tags}\n")
        wheel.writestr(f"{info}/RECORD", "")


def installed(tmp_path: Path, *names: str, tags: tuple[str, ...]) -> list[Distribution]:
    for name in names:
        install(tmp_path / "site", name, tags=tags)
    found = read_environment(search_path=(str(tmp_path / "site"),)).distributions
    return [found[name] for name in names]


@pytest.fixture
def interpreter() -> Interpreter:
    return read_environment().interpreter


def free_threaded_abi(interpreter: Interpreter) -> str:
    major, minor = target_version(interpreter)
    return f"cp{major}{minor}-cp{major}{minor}t"


def test_wheels_for_free_threaded_interpreters_are_found(
    tmp_path: Path, index: Path, interpreter: Interpreter
) -> None:
    abi = free_threaded_abi(interpreter)
    put(index, f"lw_has-1.0-{abi}-{MACHINE}.whl")
    put(index, f"lw_stable-1.0-cp39-abi3-{MACHINE}.whl")
    put(index, f"lw_later-1.0-{HERE}-{HERE}-{MACHINE}.whl")
    put(index, f"lw_later-2.0-{abi}-{MACHINE}.whl")
    names = ("lw-has", "lw-stable", "lw-later")
    tags = (f"{HERE}-{HERE}-{MACHINE}",)
    found = find_free_threaded_wheels(installed(tmp_path, *names, tags=tags), interpreter)
    assert {name: (one.installed_version, one.other_version) for name, one in found.items()} == {
        "lw-has": (f"lw_has-1.0-{abi}-{MACHINE}.whl", None),
        "lw-stable": (None, None),
        "lw-later": (None, f"lw_later-2.0-{abi}-{MACHINE}.whl"),
    }
    assert {one.failure for one in found.values()} == {None}


def test_a_wheel_without_binaries_is_a_slow_path_where_others_get_binaries(
    tmp_path: Path, index: Path, interpreter: Interpreter
) -> None:
    put(index, f"lw_quick-1.0-{HERE}-{HERE}-{MACHINE}.whl")
    put(index, "lw_quick-1.0-py3-none-any.whl")
    put(index, "lw_text-1.0-py3-none-any.whl")
    pure = installed(tmp_path, "lw-quick", "lw-text", tags=("py3-none-any",))
    assert find_binary_wheels(pure, interpreter) == {
        "lw-quick": f"lw_quick-1.0-{HERE}-{HERE}-{MACHINE}.whl"
    }
    site = str(tmp_path / "site")
    (one,) = audit_dependencies(["lw-quick"], search_path=[site], ask_index=True).distributions
    assert one.label == "slow path here"
    assert "ordinary builds get lw_quick-1.0" in one.judgement.reasons[0]


def test_an_index_that_cannot_be_reached_is_told(
    tmp_path: Path, interpreter: Interpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_SUCH_OPTION", "1")
    monkeypatch.setenv("PIP_TIMEOUT", "not a number")
    (one,) = find_free_threaded_wheels(
        installed(tmp_path, "lw-any", tags=("py3-none-any",)), interpreter
    ).values()
    assert "pip" in str(one.failure)


def test_a_report_that_cannot_be_read_is_a_failure() -> None:
    assert chosen_files("{}")[1] is not None
    assert chosen_files(json.dumps({"install": [{}]}))[1] is not None
