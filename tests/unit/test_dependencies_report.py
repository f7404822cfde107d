"""The audit as a whole, over distributions that tests install into a folder."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path

import pytest
from tests.unit.installed import install
from tests.unit.interpreters import far_side

from lanewise.errors import AuditError
from lanewise.readiness.dependencies import DependencyReport, audit_dependencies, render_text

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


@pytest.fixture
def report(tmp_path: Path) -> DependencyReport:
    requires = ("lw-polar", "lw-slow", "lw-foreign", "lw-absent")
    install(tmp_path, "lw-shop", requires=requires)
    install(tmp_path, "lw-polar", requires=("lw-polar-runtime",))
    files: dict[str, str | bytes] = {"lw_polar_runtime/x.cpython-27.so": b"no library"}
    tags = ("cp39-abi3-manylinux_2_28_x86_64",)
    install(tmp_path, "lw-polar-runtime", files=files, tags=tags)
    text = "try:\n    from ._speedups import x\nexcept ImportError:\n    pass\n"
    install(tmp_path, "lw-slow", files={"lw_slow/__init__.py": text})
    broken: dict[str, str | bytes] = {
        f"lw_foreign{sysconfig.get_config_var('EXT_SUFFIX')}": b"no library"
    }
    install(tmp_path, "lw-foreign", files=broken, tags=("cp313-cp313-linux_x86_64",))
    return audit_dependencies(["lw-shop"], search_path=[str(tmp_path)])


def test_each_distribution_has_its_verdict_the_gravest_first(report: DependencyReport) -> None:
    assert [(one.name, one.label) for one in report.distributions] == [
        ("lw-slow", "slow path here"),
        ("lw-foreign", "unknown"),
        ("lw-polar-runtime", "unknown"),
        ("lw-polar", "facade of lw-polar-runtime"),
        ("lw-shop", "pure"),
    ]
    assert [one.name for one in report.problems] == ["lw-slow", "lw-foreign", "lw-polar-runtime"]
    assert [one.requirement for one in report.unmet] == ["lw-absent"]


def test_a_file_that_is_no_library_costs_itself_alone(report: DependencyReport) -> None:
    (foreign,) = [one for one in report.distributions if one.name == "lw-foreign"]
    assert "cannot be loaded" in foreign.judgement.reasons[0]


def test_the_report_is_json(report: DependencyReport) -> None:
    told = json.loads(json.dumps(report.as_dict()))
    slow = told["distributions"][0]
    assert (slow["verdict"], slow["chain"]) == ("slow_path", ["lw-shop", "lw-slow"])
    assert slow["slow_paths"][0]["line"] == 2
    assert told["interpreter"]["free_threaded"] is FREE_THREADED


def test_people_read_problems_with_reasons_and_what_to_do(report: DependencyReport) -> None:
    text = render_text(report)
    assert "5 distributions: 1 slow path here, 2 unknown, 1 facade, 1 pure" in text
    assert "lw_slow._speedups is missing" in text
    assert "required by lw-shop > lw-polar" in text
    assert "-> " in text
    assert "lw-absent (by lw-shop): missing" in text
    assert max(map(len, text.splitlines())) < 200
    assert ("a free-threaded interpreter is needed" in text) is not FREE_THREADED


def test_interpreters_are_asked_where_that_is_wanted(tmp_path: Path) -> None:
    install(tmp_path, "lw-plain")
    (one,) = audit_dependencies(
        ["lw-plain"], search_path=[str(tmp_path)], interpreters=True
    ).distributions
    (support,) = one.own_gil
    assert support.module == "lw_plain"
    assert (support.source, support.allowed) in {("imported", True), ("version", False)}


def test_a_project_is_where_a_closure_may_begin(tmp_path: Path) -> None:
    install(tmp_path, "lw-plain")
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["lw-plain"]\n')
    report = audit_dependencies(project=tmp_path, search_path=[str(tmp_path)])
    assert [one.name for one in report.distributions] == ["lw-plain"]


def test_importing_the_audit_needs_neither_packaging_nor_a_child() -> None:
    done = far_side(
        """
        import sys
        import lanewise.readiness.dependencies
        print(sorted({"packaging", "ctypes"} & set(sys.modules)))
        import threading
        print(threading.active_count())
        """
    )
    assert done.stdout.split() == [b"[]", b"1"]


def test_nothing_installed_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="Install the project for that interpreter"):
        audit_dependencies(["lw-nowhere"], search_path=[str(tmp_path)])
