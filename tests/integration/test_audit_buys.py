"""``lanewise audit`` with its dependencies and what another interpreter buys, as people call it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TASKS = """
from lanewise import task

def work(turns):
    total = 0
    for turn in range(turns):
        total += turn * turn % 7
    return total

@task(inputs=lambda turns: (turns,), size=lambda turns: turns)
def computes(turns):
    return work(turns)

@task
def bare(turns):
    return work(turns)

@task(inputs=lambda turns: (turns,))
def fails(turns):
    raise ValueError("no such size")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    package = tmp_path / "src" / "lw_shop"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "jobs.py").write_text(TASKS)
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "lw-shop"\nversion = "1"\ndependencies = ["rich"]\n'
    )
    return tmp_path


def audit(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lanewise", "audit", *arguments]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=110
    )


def test_tasks_are_measured_under_both_or_the_reason_is_told(project: Path) -> None:
    """On a busy machine the figures are missing, and that is what is said: never a wrong one."""
    ran = audit("src", "--buys", sys.executable, "--buys-budget", "3s", "--json", cwd=project)
    assert ran.returncode == 0, ran.stderr
    told = {one["task"].rpartition(".")[2]: one["buys"] for one in json.loads(ran.stdout)["tasks"]}
    assert "declares no inputs" in told["bare"]["error"]
    assert told["bare"]["verdict"].startswith("not measured: it declares no inputs")
    if "usable core(s)" in str(told["computes"]["error"]):
        pytest.skip("one core shows nothing of calls beside each other")
    assert "ValueError" in told["fails"]["error"]
    computes = told["computes"]
    assert computes["error"] is None
    assert computes["callers"] >= 2
    lanes = {one["lane"]: one for one in computes["there"]["lanes"]}
    assert {"thread", "process"} <= set(lanes)
    for one in lanes.values():
        assert one["kept"] <= one["taken"]
        assert (one["scaling"] is None) == (one["kept"] < 3)
    assert computes["verdict"]


def test_an_interpreter_that_is_not_there_is_told_before_anything_is_measured(
    project: Path,
) -> None:
    ran = audit("src", "--buys", "no-such-python", cwd=project)
    assert ran.returncode == 2
    assert "no-such-python cannot be started" in ran.stderr


def test_dependencies_are_joined_with_the_tasks(project: Path) -> None:
    pytest.importorskip("packaging")
    ran = audit("src", "--dependencies", "--json", cwd=project)
    document = json.loads(ran.stdout)
    assert document["mend_first"] == []
    for task in document["tasks"]:
        assert task["free_threaded"]["recommended"] == "threads"
        assert task["free_threaded"]["lanes"]["process"]["allowed"]
    text = audit("src", "--dependencies", cwd=project).stdout
    assert "without the lock: threads" in text
