"""What is installed, and what of it something needs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.unit.installed import install

from lanewise.errors import AuditError
from lanewise.readiness.dependencies import find_closure, project_requirements, read_environment
from lanewise.readiness.dependencies.environment import Environment

NOT_HERE = "sys_platform == 'not-a-platform'"


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    install(
        tmp_path,
        "lw-shop",
        requires=(
            "lw_Web[standard]>=1",
            f"lw-elsewhere; {NOT_HERE}",
            "lw-database>=3",
            "lw-absent",
            "lw-tests; extra == 'test'",
        ),
        extras=("test",),
    )
    install(tmp_path, "lw-web", "1.5", requires=("lw-core", "lw-fast; extra == 'standard'"))
    install(tmp_path, "lw-core", requires=("lw-shop",))  # a circle
    install(tmp_path, "lw-fast", requires=("lw-core",))
    install(tmp_path, "lw-database", "2.9")
    install(tmp_path, "lw-elsewhere")
    install(tmp_path, "lw-tests")
    return read_environment(search_path=(str(tmp_path),))


def test_the_closure_follows_markers_extras_and_circles(environment: Environment) -> None:
    members = find_closure(environment, ["lw-shop"]).members
    assert list(members) == ["lw-shop", "lw-web", "lw-database", "lw-core", "lw-fast"]
    assert members["lw-fast"].chain == ("lw-shop", "lw-web", "lw-fast")
    assert members["lw-core"].required_by == ("lw-web", "lw-fast")
    assert members["lw-web"].extras == ("standard",)


def test_extras_that_are_asked_for_are_followed(environment: Environment) -> None:
    assert "lw-tests" in find_closure(environment, ["lw-shop[test]"]).members


def test_an_extra_that_is_asked_for_late_is_followed_all_the_same(tmp_path: Path) -> None:
    install(tmp_path, "lw-late", requires=("lw-part; extra == 'more'",))
    install(tmp_path, "lw-part")
    install(tmp_path, "lw-user", requires=("lw-late[more]",))
    environment = read_environment(search_path=(str(tmp_path),))
    members = find_closure(environment, ["lw-late", "lw-user"]).members
    assert members["lw-part"].chain == ("lw-late", "lw-part")


def test_what_is_missing_or_too_old_is_told_with_who_requires_it(environment: Environment) -> None:
    closure = find_closure(environment, ["lw-shop"])
    unmet = {one.requirement: (one.required_by, one.installed) for one in closure.unmet}
    assert unmet == {
        "lw-database>=3": ("lw-shop", "2.9"),
        "lw-absent": ("lw-shop", None),
    }


def test_without_a_beginning_everything_installed_is_in_it(environment: Environment) -> None:
    members = find_closure(environment).members
    assert {"lw-elsewhere", "lw-tests", "pytest"} <= set(members)


def test_a_requirement_that_cannot_be_read_names_who_wrote_it(tmp_path: Path) -> None:
    install(tmp_path, "lw-broken", requires=("lw core >> 3",))
    environment = read_environment(search_path=(str(tmp_path),))
    with pytest.raises(AuditError, match="required by lw-broken"):
        find_closure(environment, ["lw-broken"])
    with pytest.raises(AuditError, match="asked for"):
        find_closure(environment, ["-r requirements.txt"])


def test_without_packaging_the_install_command_is_told(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    with pytest.raises(AuditError, match=r"pip install 'lanewise\[audit\]'"):
        find_closure(environment, ["lw-shop"])


def test_files_say_what_can_be_imported_and_what_is_binary(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "lw_pack/__init__.py": "",
        "lw_pack/sub/_native.cpython-313-x86_64-linux-gnu.so": b"12345",
        "lw_module.py": "",
        "lw_pack.libs/libz-1234.so": b"",
        "lw_pack/data.txt": "",
        "_lw_single.abi3.so": b"",
    }
    install(tmp_path, "lw-pack", files=files, tags=("cp313-cp313-manylinux_2_28_x86_64",))
    found = read_environment(search_path=(str(tmp_path),)).distributions["lw-pack"]
    assert found.modules == ("_lw_single", "lw_module", "lw_pack")
    assert [(one.module, one.suffix, one.size_bytes) for one in found.natives] == [
        ("lw_pack.sub._native", ".cpython-313-x86_64-linux-gnu.so", 5),
        ("_lw_single", ".abi3.so", 0),
    ]


def test_without_a_list_of_files_the_package_is_looked_up(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"lw_unlisted/__init__.py": "", "lw_unlisted/_x.abi3.so": b""}
    install(tmp_path, "lw-unlisted", files=files, record=False)
    found = read_environment(search_path=(str(tmp_path),)).distributions["lw-unlisted"]
    assert not found.files_known
    assert found.modules == ("lw_unlisted",)
    assert [one.module for one in found.natives] == ["lw_unlisted._x"]


def test_an_interpreter_that_is_none_is_told_with_the_next_step() -> None:
    with pytest.raises(AuditError, match="Give the path of a CPython"):
        read_environment("/no/such/python")
    with pytest.raises(AuditError, match="Give the path of a CPython"):
        read_environment("/bin/false")


def test_an_interpreter_is_asked_by_its_path() -> None:
    interpreter = read_environment(sys.executable).interpreter
    assert interpreter.version_info == sys.version_info[:2]
    assert interpreter.python == sys.executable


def test_a_project_declares_its_requirements(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "shop"\ndependencies = ["a>=1"]\n'
        '[project.optional-dependencies]\nfast = ["b"]\n'
    )
    assert project_requirements(tmp_path) == ["a>=1"]
    assert project_requirements(tmp_path / "pyproject.toml", ["fast"]) == ["a>=1", "b"]
    with pytest.raises(AuditError, match="it has: fast"):
        project_requirements(tmp_path, ["slow"])


def test_dependencies_that_a_backend_fills_in_come_from_the_installed_project(
    tmp_path: Path,
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "shop"\ndynamic = ["dependencies"]\n'
    )
    assert project_requirements(tmp_path, ["fast"]) == ["shop[fast]"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("[project", "not valid TOML"),
        ("[tool.x]\na = 1\n", "declares no"),
    ],
)
def test_a_project_without_requirements_says_why(
    tmp_path: Path, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "pyproject.toml").write_text(content)
    with pytest.raises(AuditError, match=said):
        project_requirements(tmp_path)
