"""Where there are more schedules than time, some are chosen at random, and find what takes many turns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lanewise.readiness import audit_project
from lanewise.readiness.dependencies.probe import ask_once
from lanewise.readiness.stress.models import Modelling, probe_of, question_of
from lanewise.readiness.stress.subjects import subjects

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="each try is a fork")

# One pause in each thread makes four stretches: what is left behind differs from both orders only after
# a thread has given its turn away twice.
APP = """
import threading

trail = []
torn = 0

def served():
    global torn
    for _ in range(ENTRIES):
        trail.append(threading.get_ident())
    stretches = 1 + sum(one != other for one, other in zip(trail, trail[1:]))
    if stretches >= NEEDED:
        torn += 1
"""


def explored(root: Path, *, entries: int, needed: int, budget_s: float) -> dict[str, Any]:
    """Explore two calls of ``served``."""
    source = APP.replace("ENTRIES", str(entries)).replace("NEEDED", str(needed))
    (root / "app.py").write_text(source)
    (subject,) = subjects(audit_project(root).findings, root)
    how = Modelling(root=root.resolve(), budget_s=budget_s)
    question = question_of(subject, subject.functions[0], how, ())
    return ask_once(probe_of(None, [str(root.resolve())]), question)


def test_many_turns_are_found_when_there_is_no_time_for_all_schedules(tmp_path: Path) -> None:
    # What is found is up to how many can be tried, which on a busy machine takes longer.
    for budget_s in (8.0, 30.0):
        found = explored(tmp_path, entries=40, needed=5, budget_s=budget_s)
        if found["status"] == "fails":
            break
    assert found["status"] == "fails", found
    assert "object" in found["differs"]
    # Each pause gives the turn away; two of one thread are what the search in order does not try.
    assert len(found["pauses"]) >= 3


def test_what_never_happens_is_not_found_and_the_report_says_what_was_tried(tmp_path: Path) -> None:
    # The time is used up, so the shortest comes first; a busy machine may not get to chance in it.
    for budget_s in (3.0, 10.0, 30.0):
        found = explored(tmp_path, entries=40, needed=100, budget_s=budget_s)
        if found["at_random"]:
            break
    assert (found["status"], found["complete"]) == ("holds", False)
    assert 0 < found["at_random"] < found["tried"]


def test_nothing_is_left_to_chance_where_all_can_be_tried(tmp_path: Path) -> None:
    found = explored(tmp_path, entries=0, needed=100, budget_s=60.0)
    assert (found["status"], found["complete"], found["at_random"]) == ("holds", True, 0)
