"""Packages whose declarations are wrong, audited on a build that can do without the lock."""

from __future__ import annotations

import pytest
from tests.integration.test_slots import COMPILER, FREE_THREADED, HEADER, MULTI_PHASE, build, file
from tests.unit.installed import install

from lanewise.readiness.dependencies import DependencyReport, audit_dependencies

pytestmark = pytest.mark.skipif(
    not FREE_THREADED, reason="only free-threaded builds can do without the lock"
)
FREE = "GIL(Py_MOD_GIL_NOT_USED)"
# It says that it needs no lock, and imports one that says nothing: from C, so no Python line shows it.
IMPORTS = """
    PyObject *other = PyImport_ImportModule("u_silent");
    if (other == NULL) { return -1; }
    Py_DECREF(other);
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> DependencyReport:
    """Three distributions, and a fourth that nobody requires."""
    if COMPILER is None or not HEADER.exists():
        pytest.skip("no C compiler, or no headers of this interpreter")
    folder = tmp_path_factory.mktemp("undeclared")
    for name, slots, body in (
        ("u_liar", FREE, IMPORTS),
        ("u_exits", FREE, "extern void exit(int); exit(3);"),
        ("u_silent", "", ""),
    ):
        build(folder / name, MULTI_PHASE.format(name=name, slots=slots, body=body))
        source = file(folder / name)
        content = source.read_bytes()
        source.unlink()
        install(folder, name, tags=("cp313-cp313t-linux_x86_64",), files={source.name: content})
    install(folder, "u_front", files={"u_front.py": "import u_silent\n"})
    wanted = ["u_liar", "u_exits", "u_front"]
    return audit_dependencies(wanted, search_path=(str(folder),))


def reasons(report: DependencyReport, name: str) -> tuple[str, tuple[str, ...]]:
    """The verdict on one of them, and what it rests on."""
    (found,) = (one for one in report.distributions if one.evidence.distribution.modules == (name,))
    return found.verdict, found.judgement.reasons


def test_a_declaration_does_not_hide_what_the_module_imports(report: DependencyReport) -> None:
    verdict, why = reasons(report, "u_liar")
    assert verdict == "brings_lock_back"
    assert why[0].startswith("importing u_liar brought u_silent in")


def test_one_that_ends_the_process_is_not_ready(report: DependencyReport) -> None:
    verdict, why = reasons(report, "u_exits")
    assert verdict == "unknown"
    assert "exit code 3" in why[0]


def test_the_module_is_charged_to_who_brought_it_first(report: DependencyReport) -> None:
    """In one process a module is loaded once, so the lock comes back with the first import of it."""
    assert report.gil_probe is not None
    assert [one.module for one in report.gil_probe.requirers] == ["u_silent"]
    assert [one.verdict for one in report.distributions].count("brings_lock_back") == 1
