"""What an audit means for each task."""

from __future__ import annotations

from pathlib import Path

from lanewise.readiness import AuditOptions, audit_project
from lanewise.readiness.task_verdicts import order_of_work

STATE = """
import numpy
total = 0
seen = {}
def hit():
    global total
    total += 1
def look(key):
    if key not in seen:
        seen[key] = open(key)
    return seen[key]
"""
JOBS = """
import orjson
from lanewise import task
from app import state

@task
def pure(rows):
    return sum(rows)

@task(timeout_s=2)
def counts(rows):
    return helper(rows)

def helper(rows):
    state.hit()
    return len(rows)

@task
def both(key):
    state.hit()
    return state.look(key)

@task(isolation="required")
def isolated(key):
    return state.look(key)

@task(lane="process")
def pinned(rows):
    return rows

def make():
    @task
    def inner(rows):
        return rows
    return inner

def no_task(rows):
    return state.look(rows)
"""


def audited(folder: Path, **options):
    package = folder / "app"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "state.py").write_text(STATE)
    (package / "jobs.py").write_text(JOBS)
    report = audit_project(folder, AuditOptions(**options))
    return report, {one.task.rpartition(".")[2]: one for one in report.tasks}


def test_each_task_gets_a_verdict_and_nothing_else_does(tmp_path: Path) -> None:
    _, tasks = audited(tmp_path)
    assert {*tasks} == {"pure", "counts", "both", "isolated", "pinned", "inner"}
    assert tasks["pure"].task == "app.jobs.pure"
    assert tasks["pure"].place == "app/jobs.py:7"


def test_what_lies_on_a_tasks_way_keeps_it_from_threads(tmp_path: Path) -> None:
    _, tasks = audited(tmp_path)
    assert tasks["pure"].without_the_lock == "threads"
    assert not tasks["pure"].obstacles
    (one,) = tasks["counts"].obstacles
    assert (one.rule, one.object, one.level) == ("FT101", "app.state.total", "error")
    assert one.place == "app/state.py:7"
    assert tasks["counts"].without_the_lock == "processes"
    assert [one.rule for one in tasks["both"].obstacles] == ["FT101", "FT102"], "the worst first"


def test_what_was_declared_decides_the_lanes(tmp_path: Path) -> None:
    _, tasks = audited(tmp_path)
    assert not any(tasks["pure"].lanes.values())
    assert "isolation" in tasks["isolated"].lanes["thread"]
    assert not tasks["isolated"].lanes["process"]
    assert tasks["isolated"].without_the_lock == "processes"
    assert "pinned" in tasks["pinned"].lanes["thread"]
    assert not tasks["pinned"].lanes["process"]
    assert "inside a function" in tasks["inner"].lanes["process"]
    assert not tasks["inner"].lanes["thread"]


def test_packages_from_elsewhere_are_told(tmp_path: Path) -> None:
    _, tasks = audited(tmp_path)
    assert tasks["pure"].imports == ("numpy", "orjson"), "its module imports the other one"


def test_what_is_in_the_way_of_most_tasks_comes_first(tmp_path: Path) -> None:
    report, _ = audited(tmp_path)
    work = [(one.object, tasks) for one, tasks in order_of_work(report.tasks)]
    assert work == [("app.state.total", 2), ("app.state.seen", 2)]


def test_options_that_narrow_the_findings_do_not_narrow_the_verdicts(tmp_path: Path) -> None:
    report, tasks = audited(tmp_path, rules=("FT108",))
    assert not report.findings
    assert tasks["counts"].obstacles


def test_a_suppressed_finding_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(
        "from lanewise import task\nn = 0\n@task\ndef count():\n    global n\n"
        "    n += 1  # lanewise: ok(FT101: only an estimate)\n"
    )
    (verdict,) = audit_project(tmp_path).tasks
    assert not verdict.obstacles
    document = verdict.to_document()
    assert document["without_the_lock"] == "threads"
    assert document["lanes"]["thread"] == {"allowed": True, "why": ""}
