"""Wheel tags, façades and silent slow paths."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.installed import install

from lanewise.readiness.dependencies import find_closure, read_environment
from lanewise.readiness.dependencies.binaries import (
    SlowPath,
    abi_of,
    absent_parts,
    extension_files,
    facades,
    is_binary,
    slow_paths,
)
from lanewise.readiness.dependencies.wheel_tags import free_threaded_support, parse_tags

BINARY = ("cp313-cp313-manylinux_2_28_x86_64",)


@pytest.mark.parametrize(
    ("tag", "versions"),
    [
        ("py3-none-any", [13, 14, 15]),
        ("py2.py3-none-any", [13, 14, 15]),
        ("py314-none-any", [14, 15]),
        ("py3-none-manylinux_2_28_x86_64", [13, 14, 15]),
        ("cp314-cp314t-manylinux_2_28_x86_64", [14]),
        ("cp313-cp313t-linux_x86_64", [13]),
        ("cp314-cp314-manylinux_2_28_x86_64", []),
        ("cp39-abi3-manylinux_2_28_x86_64", []),
        ("cp315-abi3t-manylinux_2_28_x86_64", [15]),
        ("cp315-abi3.abi3t-manylinux_2_28_x86_64", [15]),
        ("cp316-abi3t-manylinux_2_28_x86_64", []),
    ],
)
def test_which_free_threaded_interpreters_a_wheel_is_for(tag: str, versions: list[int]) -> None:
    tags = parse_tags([tag])
    found = [minor for minor in (13, 14, 15) if any(one.installs_on((3, minor)) for one in tags)]
    assert found == versions


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        (["py3-none-any"], "pure Python"),
        (["cp39-abi3-linux_x86_64"], "needs one of its own or an abi3t one"),
        (["cp314-cp314-linux_x86_64"], "for cp314 only"),
        (["cp315-abi3.abi3t-linux_x86_64"], "installs"),
        ([], "not installed from a wheel"),
    ],
)
def test_what_the_tags_mean_is_said(tags: list[str], said: str) -> None:
    assert said in free_threaded_support(parse_tags(tags), (3, 15))


@pytest.mark.parametrize(
    ("suffix", "abi"),
    [
        (".cpython-313-x86_64-linux-gnu.so", "cp313"),
        (".cpython-313t-x86_64-linux-gnu.so", "cp313t"),
        (".cpython-314td-darwin.so", "cp314t"),
        (".cp313t-win_amd64.pyd", "cp313t"),
        (".abi3.so", "abi3"),
        (".abi3t.so", "abi3t"),
        (".so", "any"),
    ],
)
def test_the_abi_in_a_file_name(suffix: str, abi: str) -> None:
    assert abi_of(suffix) == abi


def test_files_of_another_interpreter_are_told_from_those_that_load(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "lw_two/a.cpython-27-x86_64-linux-gnu.so": b"",
        "lw_two/b.abi3.so": b"",
    }
    install(tmp_path, "lw-two", files=files, tags=BINARY)
    environment = read_environment(search_path=(str(tmp_path),))
    found = extension_files(environment.distributions["lw-two"], environment.interpreter)
    # Free-threaded builds do not load .abi3.so.
    abi3 = ".abi3.so" in environment.interpreter.extension_suffixes
    assert [one.loadable for one in found] == [False, abi3]


def test_a_front_is_one_by_name_or_by_an_exact_pin(tmp_path: Path) -> None:
    install(tmp_path, "lw-polar", requires=("lw-polar-runtime-32==2.1.0",))
    install(tmp_path, "lw-polar-runtime-32", "2.1.0", tags=BINARY)
    install(tmp_path, "lw-model", requires=("lw_Core==4.2 ; python_version > '3'",))
    install(tmp_path, "lw-core", "4.2", tags=BINARY)
    install(tmp_path, "lw-web", requires=("lw-core>=4", "lw-polar-runtime-32==2.*"))
    install(tmp_path, "lw-core-addition", requires=("lw-core",))
    environment = read_environment(search_path=(str(tmp_path),))
    closure = find_closure(environment, ["lw-polar", "lw-model", "lw-web", "lw-core-addition"])
    assert facades(closure) == {"lw-polar": ("lw-polar-runtime-32",), "lw-model": ("lw-core",)}


def test_a_front_whose_binary_part_is_missing_is_seen(tmp_path: Path) -> None:
    install(tmp_path, "lw-polar", requires=("lw_polar_runtime==2.1", "lw-other"))
    environment = read_environment(search_path=(str(tmp_path),))
    closure = find_closure(environment, ["lw-polar"])
    assert absent_parts(closure) == {"lw-polar": ("lw-polar-runtime",)}


def test_a_tool_in_a_wheel_for_one_platform_is_binary(tmp_path: Path) -> None:
    install(tmp_path, "lw-tool", tags=("py3-none-manylinux_2_28_x86_64",), files={})
    install(tmp_path, "lw-text")
    found = read_environment(search_path=(str(tmp_path),)).distributions
    assert is_binary(found["lw-tool"])
    assert not is_binary(found["lw-text"])


def slow(folder: Path, files: dict[str, str | bytes], **options: object) -> tuple[SlowPath, ...]:
    install(folder, "lw-slow", files=files, **options)  # type: ignore[arg-type]
    environment = read_environment(search_path=(str(folder),))
    return slow_paths(environment, ("lw-slow",)).get("lw-slow", ())


TRIES = "try:\n    {}\nexcept ImportError:\n    fast = None\n"


@pytest.mark.parametrize(
    ("statement", "module"),
    [
        ("from ._speedups import fast", "lw_slow._speedups"),
        ("from . import _speedups", "lw_slow._speedups"),
        ("from lw_slow.parts._native import fast", "lw_slow.parts._native"),
        ("import lw_slow._cext", "lw_slow._cext"),
        ("from .parts.quoting_c import *", "lw_slow.parts.quoting_c"),
    ],
)
def test_an_optional_native_module_that_is_missing_is_found(
    tmp_path: Path, statement: str, module: str
) -> None:
    files: dict[str, str | bytes] = {
        "lw_slow/__init__.py": "import os\n" + TRIES.format(statement),
        "lw_slow/parts/__init__.py": "",
    }
    (sign,) = slow(tmp_path, files)
    assert (sign.kind, sign.module, sign.line) == ("import", module, 3)
    assert sign.path == str(tmp_path / "lw_slow/__init__.py")


@pytest.mark.parametrize(
    "text",
    [
        TRIES.format("from ._version import version"),  # generated code, not native
        TRIES.format("from ._speedups_py import fast"),  # there
        TRIES.format("from .parts import accelerate"),  # a name that the package defines
        TRIES.format("from other_package._speedups import fast"),  # somebody else's
        TRIES.format("from ._speedups import fast").replace("fast = None", "raise"),  # required
        "try:\n    x = 1\nexcept ImportError:\n    pass\n",
        "from ._speedups import (\n",  # no Python
    ],
)
def test_other_optional_imports_are_no_slow_path(tmp_path: Path, text: str) -> None:
    files: dict[str, str | bytes] = {
        "lw_slow/__init__.py": text,
        "lw_slow/_speedups_py.py": "fast = 1\n",
        "lw_slow/parts/__init__.py": "def accelerate(): ...\n",
    }
    assert slow(tmp_path, files) == ()


def test_an_optional_native_module_that_is_there_is_no_slow_path(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "lw_slow/__init__.py": TRIES.format("from ._speedups import fast"),
        "lw_slow/_speedups.cpython-313-x86_64-linux-gnu.so": b"",
    }
    assert slow(tmp_path, files, tags=BINARY) == ()


def test_a_source_in_the_place_of_a_module_shows_that_it_is_native(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "lw_slow/__init__.py": TRIES.format("from ._parser import fast"),
        "lw_slow/_parser.pyx": "",
    }
    assert {one.kind for one in slow(tmp_path, files)} == {"import", "sources"}


def test_a_module_that_is_meant_to_be_compiled_is_found(tmp_path: Path) -> None:
    text = "import cython\n\ndef compiled():\n    return cython.compiled\n"
    files: dict[str, str | bytes] = {"lw_slow/__init__.py": "", "lw_slow/_util_cy.py": text}
    (sign,) = slow(tmp_path, files)
    assert (sign.kind, sign.module) == ("compiled", "lw_slow._util_cy")
