"""What an interpreter does with a shared generator is asked in a child, and changes a level."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from lanewise.cli.main import main
from lanewise.errors import AuditError
from lanewise.readiness import AuditOptions, AuditReport, audit_project
from lanewise.readiness.audit import with_generators
from lanewise.readiness.generators import GeneratorAnswer, judged, probe_generators

APP = """
def numbers():
    n = 0
    while True:
        yield n
        n += 1

ids = numbers()
rows = iter(range(100))

def new_id():
    return next(ids)

def new_row():
    return next(rows)
"""


@pytest.fixture
def report(tmp_path: Path) -> AuditReport:
    """A project with a generator and an iterator for all threads."""
    (tmp_path / "app.py").write_text(APP)
    return audit_project(tmp_path)


def levels(found: AuditReport) -> dict[str, str]:
    """The level of each object."""
    return {one.object: one.level for one in found.findings}


def crashing_python(folder: Path) -> str:
    """An interpreter of this version that says it is free-threaded and dies of a shared generator."""
    file = folder / "python"
    file.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    site = folder / "sitecustomize.py"
    site.write_text(
        "import os, signal, sys, threading\n"
        "sys._is_gil_enabled = lambda: False\n"
        "class Barrier(threading.Barrier):\n"
        "    def wait(self, timeout=None):\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
        "threading.Barrier = Barrier\n"
    )
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def test_this_interpreter_is_asked_and_says_whether_threads_take_turns() -> None:
    answer = probe_generators(None, seconds=0.2)
    enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    assert answer.gil_enabled is enabled
    assert answer.version == ".".join(map(str, sys.version_info[:3]))
    if enabled:
        assert answer.survived


def test_a_crash_of_the_child_is_told_with_its_signal(
    tmp_path: Path, report: AuditReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    found = with_generators(report, crashing_python(folder))
    assert found.generators is not None
    assert not found.generators.survived
    assert "SIGSEGV" in found.generators.how
    assert levels(found) == {"app.ids": "critical", "app.rows": "error"}
    (message,) = (one.message for one in found.findings if one.object == "app.ids")
    assert "SIGSEGV" in message


def test_a_free_threaded_interpreter_that_lives_makes_it_an_error(report: AuditReport) -> None:
    answer = GeneratorAnswer("python", "3.15.2", gil_enabled=False, survived=True)
    found = {one.object: one for one in judged(report.findings, answer)}
    assert found["app.ids"].level == "error"
    assert "3.15.2 was asked" in found["app.ids"].message
    assert found["app.rows"] in report.findings


def test_threads_that_take_turns_tell_nothing(report: AuditReport) -> None:
    answer = GeneratorAnswer(None, "3.13.0", gil_enabled=True, survived=True)
    assert judged(report.findings, answer) == report.findings


def test_no_interpreter_is_started_for_a_project_without_shared_generators(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("n = 0\n\ndef hit():\n    global n\n    n += 1\n")
    found = with_generators(audit_project(tmp_path), "/no/such/python")
    assert found.generators is None


def test_an_interpreter_that_is_not_there_is_told(report: AuditReport) -> None:
    with pytest.raises(AuditError, match="/no/such/python cannot be asked"):
        with_generators(report, "/no/such/python")


def test_a_finding_that_becomes_milder_than_wanted_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    found = audit_project(tmp_path, AuditOptions(level="critical"))
    assert levels(found) == {"app.ids": "critical"}


def test_the_command_line_tells_what_was_asked(
    report: AuditReport, capsys: pytest.CaptureFixture[str]
) -> None:
    # Or else all that is installed would be audited as well.
    project = '[project]\nname = "shop"\nversion = "1"\ndependencies = ["packaging"]\n'
    (report.root / "pyproject.toml").write_text(project)
    assert main(["audit", str(report.root), "--json", "--python", sys.executable]) == 1
    told = json.loads(capsys.readouterr().out)["generators"]
    assert told["python"] == sys.executable
    assert told["version"] == ".".join(map(str, sys.version_info[:3]))
