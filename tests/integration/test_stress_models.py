"""Two calls under schedules: hazards fail, twins hold, and a failing schedule is kept as a test that replays."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.stress_cases import CASES, Case

from lanewise.errors import AuditError
from lanewise.readiness import audit_project
from lanewise.readiness.dependencies.probe import ask_once
from lanewise.readiness.stress.models import Model, Modelling, explore, probe_of, question_of
from lanewise.readiness.stress.regression import write_test
from lanewise.readiness.stress.subjects import Subject, subjects
from lanewise.testing import Pause, interleave, interleaving

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="each try is a fork")
BUDGET_S = 6.0
# A hazard ends the search when it is found, so what a busy machine may need costs nothing elsewhere.
PATIENCE_S = 15.0


def subject_of(root: Path, case: Case) -> Subject:
    """Write a case's hazard and audit it."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "app.py").write_text(case.hazard)
    (found,) = (
        one for one in subjects(audit_project(root).findings, root) if one.finding.rule == case.rule
    )
    return found


def model_of(subject: Subject, root: Path, **options) -> Model:
    """Explore one finding."""
    how = Modelling(root=root.resolve(), budget_s=PATIENCE_S, **options)
    (found,) = explore([subject], how, lambda _: None, lambda: True)
    return found


def named(case: Case) -> str:
    """The case's name, for pytest."""
    return case.name


@pytest.mark.parametrize("case", CASES, ids=named)
def test_the_hazard_fails_and_the_failure_is_the_findings(case: Case, tmp_path: Path) -> None:
    found = model_of(subject_of(tmp_path, case), tmp_path)
    assert (found.status, found.is_tied) == ("fails", True), found


@pytest.mark.parametrize("case", CASES, ids=named)
def test_no_simple_schedule_tears_the_twin_apart(case: Case, tmp_path: Path) -> None:
    subject = subject_of(tmp_path, case)
    (tmp_path / "app.py").write_text(case.twin)
    how = Modelling(root=tmp_path.resolve(), budget_s=BUDGET_S)
    made_at = [line.strip() for line in case.twin.splitlines() if line.strip() in case.hazard]
    question = question_of(subject, subject.functions[0], how, made_at)
    found = ask_once(probe_of(None, [str(tmp_path.resolve())]), question)
    assert found["status"] == "holds", found
    assert found["tried"] >= 2


@pytest.mark.parametrize("case", [CASES[i] for i in (0, 4, 6, 8, 9, 10)], ids=named)
def test_a_kept_schedule_fails_on_the_hazard_and_passes_on_the_twin(
    case: Case, tmp_path: Path
) -> None:
    model = model_of(subject_of(tmp_path, case), tmp_path)
    folder = tmp_path / "kept"
    folder.mkdir()
    path, written = write_test(model, folder, "3.13")
    assert written
    broken = run_pytest(path)
    assert broken.returncode == 1, broken.stdout
    assert "do not behave as if one came after the other" in broken.stdout
    (tmp_path / "app.py").write_text(case.twin)
    mended = run_pytest(path)
    assert mended.returncode == 0, mended.stdout


def run_pytest(path: Path) -> subprocess.CompletedProcess[str]:
    """Run one file of tests as its user would."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path.name]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=path.parent, env=environment, capture_output=True, text=True, check=False
    )


def test_a_kept_test_is_not_written_over(tmp_path: Path) -> None:
    model = model_of(subject_of(tmp_path, CASES[0]), tmp_path)
    path, _ = write_test(model, tmp_path, "3.13")
    assert write_test(model, tmp_path, "3.13") == (path, True)
    path.write_text("# mine\n")
    assert write_test(model, tmp_path, "3.13") == (path, False)
    assert path.read_text() == "# mine\n"
    assert [one.name for one in tmp_path.glob(".*.py*")] == []


def test_the_same_schedule_leads_to_the_same_end(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(CASES[0].hazard)
    pause = Pause(thread=0, of="hit", at="n += 1", before="store n")
    ends = [
        interleave("app", "hit", rule="FT101", shared="n", pauses=[pause], paths=[tmp_path])
        for _ in range(3)
    ]
    assert [one.holds for one in ends] == [False] * 3
    assert {one.outcome["object"] for one in ends} == {"1"}
    assert {one["object"] for one in ends[0].serial} == {"2"}


def test_where_the_steps_are_gone_simple_schedules_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interleaving, "_SEARCH_S", PATIENCE_S)
    (tmp_path / "app.py").write_text("n = 0\ndef hit():\n    global n\n    n = n + 1\n")
    pause = Pause(thread=0, of="hit", at="n += 1", before="store n")
    found = interleave("app", "hit", rule="FT101", shared="n", pauses=[pause], paths=[tmp_path])
    assert not found.holds


# --- what has no model, and why -------------------------------------------------------------------


def why(tmp_path: Path, text: str, **options) -> str:
    """The reason that there is no model of a module's only finding that could have one."""
    (tmp_path / "app.py").write_text(text)
    found = [
        model_of(one, tmp_path, **options)
        for one in subjects(audit_project(tmp_path).findings, tmp_path)
    ]
    assert [one.status for one in found] == ["no model"], found
    return found[0].why


NEEDS = "cache = {}\nclass Box: pass\ndef box(order):\n    if order.key not in cache:\n        cache[order.key] = Box()\n    return cache[order.key]\n"


def test_arguments_that_nothing_gives_are_asked_for(tmp_path: Path) -> None:
    assert "app.box needs arguments (order)" in why(tmp_path, NEEDS)


def test_a_factory_gives_them(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(NEEDS)
    factories = tmp_path / "factories.py"
    factories.write_text(
        "from types import SimpleNamespace\nFACTORIES = {'app.box': lambda: ((SimpleNamespace(key=1),), {})}\n"
    )
    (subject,) = subjects(audit_project(tmp_path).findings, tmp_path)
    found = model_of(subject, tmp_path, factories=factories)
    assert (found.status, found.arguments["from"]) == ("fails", "factory"), found
    path, _ = write_test(found, tmp_path, "3.13")
    assert run_pytest(path).returncode == 1


def test_so_do_calls_that_tests_were_seen_to_make(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(NEEDS.replace("order.key", "order"))
    (subject,) = subjects(audit_project(tmp_path).findings, tmp_path)
    recorded = {"app.box": {"args": "(7,)", "kwargs": "{}", "names": "['order']"}}
    found = model_of(subject, tmp_path, recorded=recorded)
    assert (found.status, found.arguments["args"]) == ("fails", "(7,)")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("n = 0\ndef hit():\n    global n\n    n += 1\nraise OSError('no disk')\n", "cannot be imported: OSError"),
        ("def counted(f):\n    n = 0\n    def inner(*a):\n        nonlocal n\n        n += 1\n        return f(*a)\n"
         "    return inner\n@counted\ndef work():\n    return 1\n",
         "another function makes"),
        ("n = 0\ndef hit(to: str):\n    global n\n    n += int(to)\n", "raises ValueError"),
        ("import time\nt = {}\ndef hit(k: int):\n    if k == 5 and k not in t:\n        t[k] = object()\n    return time.time_ns()\n",
         "does not come to line 5"),
        ("ITEMS = iter([1, 2, 3])\ndef item():\n    return next(ITEMS)\n", "advanced by C code"),
    ],
)  # fmt: skip
def test_why_there_is_none_is_told(text: str, words: str, tmp_path: Path) -> None:
    assert words in why(tmp_path, text)


def test_what_differs_by_itself_is_not_compared(tmp_path: Path) -> None:
    text = "import os, time\nn = 0\ndef hit():\n    global n\n    n += 1\n    return time.perf_counter_ns(), os.urandom(4)\n"
    (tmp_path / "app.py").write_text(text)
    (subject,) = subjects(audit_project(tmp_path).findings, tmp_path)
    found = model_of(subject, tmp_path)
    assert (found.status, found.differs) == ("fails", ("object",))


def test_a_crash_is_an_outcome_and_costs_one_try(tmp_path: Path) -> None:
    text = "import os\nn = 0\ndef hit():\n    global n\n    seen = n\n    n = seen + 1\n    if n == seen:\n        os.abort()\n    n = n + 1\n"
    (tmp_path / "app.py").write_text(text.replace("if n == seen:", "if n != seen + 1:"))
    pause = Pause(thread=0, of="hit", at="if n != seen + 1:", before="read n")
    found = interleave("app", "hit", rule="FT101", shared="n", pauses=[pause], paths=[tmp_path])
    assert not found.holds
    assert "signal" in found.outcome["first call"]


CROSSED = """\
import threading
A, B = threading.Lock(), threading.Lock()
turn = 0
def hit():
    global turn
    turn += 1
    if turn % 2:
        with A:
            with B:
                return 1
    with B:
        with A:
            return 2
"""


def test_two_that_wait_for_each_other_are_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(CROSSED)
    pause = Pause(thread=0, of="hit", at="with B:", before="read B")
    found = interleave("app", "hit", rule="FT101", shared="turn", pauses=[pause], paths=[tmp_path])
    assert not found.holds
    assert "waits for a lock that the other one holds" in found.outcome.values()


@pytest.mark.skipif(not hasattr(functools, "RLock"), reason="no lock that was bound before")
def test_a_lock_that_could_not_be_replaced_hangs_nothing(tmp_path: Path) -> None:
    text = "import functools\ngate = functools.RLock()\nn = 0\ndef hit():\n    global n\n    with gate:\n        n += 1\n"
    (tmp_path / "app.py").write_text(CASES[0].hazard)
    subject = subject_of(tmp_path, CASES[0])
    (tmp_path / "app.py").write_text(text)
    question = question_of(subject, subject.functions[0], Modelling(tmp_path, budget_s=2.0), ())
    found = ask_once(probe_of(None, [str(tmp_path.resolve())]), question)
    assert found["status"] == "holds", found


def test_what_cannot_be_called_is_an_error_in_a_kept_test(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def other():\n    return 1\n")
    with pytest.raises(AuditError, match="has no hit"):
        interleave("app", "hit", rule="FT101", shared="n", paths=[tmp_path])
