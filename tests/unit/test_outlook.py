"""Each task on a free-threaded build: the code's verdict and the dependencies' together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.installed import install

from lanewise.readiness import audit_project
from lanewise.readiness.dependencies import DependencyReport, audit_dependencies
from lanewise.readiness.dependencies.gil_probe import (
    FailedImport,
    GilProbeResult,
    ImportSite,
    LockRequirer,
)
from lanewise.readiness.dependencies.interpreters_probe import OwnGilSupport
from lanewise.readiness.dependencies.report import DistributionReport
from lanewise.readiness.dependencies.slots import ModuleSlots
from lanewise.readiness.dependencies.verdicts import Evidence, Judgement
from lanewise.readiness.outlook import TaskOutlook, steps, task_outlooks

pytest.importorskip("packaging")

JOBS = """
import lw_front
from lanewise import task

total = 0

@task
def through(rows):
    return lw_front.work(rows)

@task
def counts(rows):
    global total
    total += len(rows)
"""
PLAIN = """
from lanewise import task

@task
def plain(rows):
    import lw_late
    return sorted(rows)
"""


@pytest.fixture
def tasks(tmp_path: Path):
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "jobs.py").write_text(JOBS)
    (folder / "plain.py").write_text(PLAIN)
    return audit_project(folder).tasks


def needed(folder: Path, *, slots: tuple[ModuleSlots, ...], own_gil=()) -> DependencyReport:
    """lw-front is pure Python and requires lw-back, which has these slots."""
    install(folder, "lw-front", requires=("lw-back",))
    install(folder, "lw-back")
    install(folder, "lw-late")
    report = audit_dependencies(["lw-front", "lw-late"], search_path=[str(folder)])
    rows = []
    for one in report.distributions:
        evidence, judgement = one.evidence, one.judgement
        if one.name == "lw-back":
            evidence = Evidence(evidence.distribution, slots=slots)
            if any(slot.brings_lock_back for slot in slots):
                judgement = Judgement(
                    "brings_lock_back", ("lw_back._c declares nothing",), "upgrade"
                )
            elif slots:
                judgement = Judgement("unknown", ("lw_back._c: nothing is known",), "try it")
        support = own_gil if one.name == "lw-front" else ()
        rows.append(
            DistributionReport(
                evidence, judgement, one.chain, one.required_by, one.tags_mean, support
            )
        )
    return DependencyReport(
        report.interpreter, tuple(rows), report.unmet, report.calibration, report.gil_probe
    )


def extension(gil: str, interpreters: str = "own_gil", *, lower_bound: bool = False) -> ModuleSlots:
    return ModuleSlots("lw_back._c", "c.so", True, gil, interpreters, True, lower_bound, "read")


def by_name(outlooks) -> dict[str, TaskOutlook]:
    return {one.task.task.rpartition(".")[2]: one for one in outlooks}


def test_what_brings_the_lock_back_is_told_with_the_way_to_it(tasks, tmp_path: Path) -> None:
    report = needed(tmp_path, slots=(extension("undeclared"),))
    found = by_name(task_outlooks(tasks, report))
    (hindrance,) = found["through"].lock
    assert hindrance.way == ("lw-front", "lw-back")
    assert hindrance.certain
    assert "lw-front > lw-back: brings the lock back" in found["through"].lanes["thread"]
    assert found["through"].recommended == "processes"
    assert found["plain"].recommended == "threads"


def test_the_lock_is_mended_first_for_it_stops_all_threads(tasks, tmp_path: Path) -> None:
    report = needed(tmp_path, slots=(extension("undeclared"),))
    order = steps(task_outlooks(tasks, report))
    assert [one.tasks for one in order] == [2, 1]
    assert order[0].what == "lw-back brings the lock back: upgrade"
    assert order[1].what.startswith("FT101 jobs.total at jobs.py:")


def test_what_importing_showed_weighs_more_than_what_is_required(tasks, tmp_path: Path) -> None:
    report = needed(tmp_path, slots=(extension("undeclared"),))
    stayed_off = GilProbeResult(ran=True, reason=None, imported=1, requirers=(), failed=())
    found = by_name(task_outlooks(tasks, report, {("lw_front",): stayed_off}))
    assert found["through"].lanes["thread"] == ""
    (later,) = found["through"].open_questions
    assert later.why.startswith("not when the task is imported")
    site = ImportSite("lw_front", "lw_front/__init__.py", 7)
    came_back = GilProbeResult(
        ran=True,
        reason=None,
        imported=1,
        requirers=(LockRequirer("lw_back._c", "c.so", (site,)),),
        failed=(),
    )
    found = by_name(task_outlooks(tasks, report, {("lw_front",): came_back}))
    assert "lw_front/__init__.py:7" in found["through"].lanes["thread"]


def test_an_import_that_failed_proves_nothing(tasks, tmp_path: Path) -> None:
    report = needed(tmp_path, slots=(extension("undeclared"),))
    failed = GilProbeResult(
        ran=True,
        reason=None,
        imported=0,
        requirers=(),
        failed=(FailedImport("lw_front", "ImportError: x"),),
    )
    found = by_name(task_outlooks(tasks, report, {("lw_front",): failed}))
    assert found["through"].recommended == "processes"


def test_what_nobody_knows_is_a_question_and_no_verdict(tasks, tmp_path: Path) -> None:
    report = needed(tmp_path, slots=(extension("undeclared", lower_bound=True),))
    found = by_name(task_outlooks(tasks, report))
    assert [one.distribution for one in found["through"].open_questions] == ["lw-back"]
    assert found["through"].recommended == "threads"
    assert steps([found["through"]]) == []


def test_interpreters_take_what_declares_it_or_was_seen_to_come(tasks, tmp_path: Path) -> None:
    slots = (extension("not_used", "not_supported"),)
    found = by_name(task_outlooks(tasks, needed(tmp_path / "a", slots=slots)))
    assert "lw-front > lw-back: may be that it may not" in found["through"].lanes["interpreter"]
    came = OwnGilSupport("lw_front", allowed=True, source="imported", reason=None)
    report = needed(tmp_path / "b", slots=slots, own_gil=(came,))
    assert by_name(task_outlooks(tasks, report))["through"].lanes["interpreter"] == ""
    refused = OwnGilSupport("lw_front", allowed=False, source="imported", reason="lw_back._c no")
    report = needed(tmp_path / "c", slots=slots, own_gil=(refused,))
    assert "lw_back._c no" in by_name(task_outlooks(tasks, report))["through"].lanes["interpreter"]


def test_imports_inside_a_task_count_and_what_is_missing_is_told(tasks, tmp_path: Path) -> None:
    install(tmp_path, "lw-other")
    report = audit_dependencies(["lw-other"], search_path=[str(tmp_path)])
    found = by_name(task_outlooks(tasks, report))
    assert found["plain"].missing == ("lw_late",)
    assert found["through"].missing == ("lw_front",)


def test_it_is_json(tasks, tmp_path: Path) -> None:
    report = needed(tmp_path, slots=(extension("undeclared"),))
    outlook = by_name(task_outlooks(tasks, report))["through"]
    told = json.loads(json.dumps(outlook.to_document()))
    assert told["lanes"]["process"] == {"allowed": True, "why": ""}
    assert told["brings_the_lock_back"][0]["distribution"] == "lw-back"
