"""Findings as functions and objects that can be imported."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.audit_cases import write_project

from lanewise.readiness import audit_project
from lanewise.readiness.stress.subjects import Subject, import_name_of, subjects

COUNTER = "n = 0\ndef hit():\n    global n\n    n += 1\n"


def found(root: Path, files: dict[str, str]) -> list[Subject]:
    """Audit some files."""
    write_project(root, files)
    return subjects(audit_project(root).findings, root)


@pytest.mark.parametrize(
    ("files", "file", "name", "path"),
    [
        (["app.py"], "app.py", "app", "."),
        (
            ["pkg/__init__.py", "pkg/sub/__init__.py", "pkg/sub/m.py"],
            "pkg/sub/m.py",
            "pkg.sub.m",
            ".",
        ),
        (["src/pkg/__init__.py", "src/pkg/m.py"], "src/pkg/m.py", "pkg.m", "src"),
        (["src/pkg/__init__.py"], "src/pkg/__init__.py", "pkg", "src"),
        (["src/m.py"], "src/m.py", "m", "src"),
        (["space/m.py"], "space/m.py", "space.m", "."),
    ],
)
def test_a_file_is_imported_as_its_package_says(
    files: list[str], file: str, name: str, path: str, tmp_path: Path
) -> None:
    write_project(tmp_path, dict.fromkeys(files, ""))
    assert import_name_of(tmp_path / file, tmp_path) == (name, tmp_path / path)


def test_functions_are_named_as_their_code_objects_are(tmp_path: Path) -> None:
    text = (
        "import functools\nn = 0\nclass A:\n    @functools.cache\n    @staticmethod\n    def hit():\n"
        "        global n\n        n += 1\n"
        "def counted(f):\n    k = 0\n    def inner():\n        nonlocal k\n        k += 1\n        return f()\n    return inner\n@counted\ndef work():\n    return 1\n"
    )
    names = {
        one.object: (one.functions[0].qualname, one.functions[0].first_line)
        for one in found(tmp_path, {"app.py": text})
    }
    assert names["n"] == ("A.hit", 4)
    assert ("counted.<locals>.inner", 11) in names.values()


def test_an_object_of_another_module_keeps_its_home(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "", "pkg/state.py": "counts = {}\n",
        "pkg/use.py": "from pkg.state import counts\ndef hit(k):\n    counts[k] = counts.get(k, 0) + 1\n",
    }  # fmt: skip
    (one,) = found(tmp_path, files)
    assert (one.module, one.object_module, one.object) == ("pkg.use", "pkg.state", "counts")


def test_all_places_of_a_finding_are_there(tmp_path: Path) -> None:
    (one,) = found(
        tmp_path, {"app.py": COUNTER + "def other():\n    global n\n    n += 1\n    n += 2\n"}
    )
    assert {f.qualname: f.lines for f in one.functions} == {"hit": (4,), "other": (7, 8)}
    assert [name for *_, name in one.names()] == ["app.hit", "app.other"]


def test_what_could_not_be_read_has_no_function(tmp_path: Path) -> None:
    assert [one.object for one in found(tmp_path, {"app.py": COUNTER, "old.py": "print 1\n"})] == [
        "n"
    ]
