"""A child that answers questions, and what becomes of it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from lanewise.errors import AuditError
from lanewise.readiness.dependencies.probe import Probe, ask_each, ask_once, several, start

SCRIPT = """
import os, sys, time
asked = []
def prepare(options):
    if options.get("fail"):
        raise ValueError("not like this")
    return {"path": sys.path}
def answer(question):
    asked.append(question)
    what = question["do"]
    if what == "die":
        os.abort()
    if what == "die late" and len(asked) > 1:
        os._exit(3)
    if what == "exit":
        sys.exit(5)
    if what == "print":
        print("noise on stdout"); os.write(1, b"more noise")
    if what == "read":
        return {"read": sys.stdin.read()}
    if what == "sleep":
        open(question["note"], "w").write(str(os.getpid()))
        time.sleep(600)
    return {"did": what, "before": len(asked) - 1}
"""


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    return Probe(str(script), timeout_s=20.0)


def ask(probe: Probe, *deeds: str) -> list[str]:
    answers = ask_each(probe, [{"do": one} for one in deeds])
    return [str(one.get("did") or one.get("error")) for one in answers]


def test_one_child_answers_all(probe: Probe) -> None:
    answers = list(ask_each(probe, [{"do": "a"}, {"do": "b"}, {"do": "c"}]))
    assert [one["before"] for one in answers] == [0, 1, 2]


def test_what_a_module_prints_is_not_taken_for_an_answer(probe: Probe) -> None:
    assert ask(probe, "print", "b") == ["print", "b"]


def test_what_a_module_reads_is_not_taken_from_the_questions(probe: Probe) -> None:
    (answer,) = ask_each(probe, [{"do": "read"}])
    assert answer == {"read": ""}


def test_a_death_costs_one_answer(probe: Probe) -> None:
    first, second, third = ask(probe, "a", "die", "b")
    assert (first, third) == ("a", "b")
    assert "killed by SIGABRT" in second
    assert "Fatal Python error" in second


def test_what_dies_only_after_others_is_asked_alone(probe: Probe) -> None:
    assert ask(probe, "a", "die late", "b") == ["a", "die late", "b"]


def test_an_exit_is_an_answer_and_the_child_goes_on(probe: Probe) -> None:
    answers = list(ask_each(probe, [{"do": "exit"}, {"do": "b"}]))
    assert answers == [{"error": "SystemExit: 5"}, {"did": "b", "before": 1}]


def test_what_takes_too_long_is_killed(probe: Probe, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    questions = [{"do": "a"}, {"do": "sleep", "note": str(note)}, {"do": "b"}]
    began_s = time.monotonic()
    # The time is waited for in full, so the shortest comes first; on a busy machine the other two may
    # need more of it to answer, and the second one to begin.
    for timeout_s in (1.0, 5.0, 20.0):
        note.unlink(missing_ok=True)
        hasty = Probe(probe.script, timeout_s=timeout_s)
        first, second, third = ask_each(hasty, questions)
        assert f"no answer within {timeout_s:g} s" in second["error"]
        if "did" in first and "did" in third and note.exists() and note.read_text():
            break
    assert time.monotonic() - began_s < 600
    assert third == {"did": "b", "before": 0}
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_the_same_interpreter_sees_what_this_process_sees(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "seen"))
    assert str(tmp_path / "seen") in _prepared(probe)["path"]
    other = Probe(probe.script, python=sys.executable, search_path=("/further",))
    path = _prepared(other)["path"]
    assert str(tmp_path / "seen") not in path
    assert path[-1] == "/further"


def _prepared(probe: Probe) -> dict[str, list[str]]:
    with start(probe) as child:
        return child.prepared


def test_errors_say_who_failed_in_what(probe: Probe) -> None:
    failing = Probe(probe.script, options={"fail": True})
    with pytest.raises(AuditError, match="ValueError: not like this"):
        list(ask_each(failing, [{"do": "a"}]))
    with pytest.raises(AuditError, match="SystemExit: 5"):
        ask_once(probe, {"do": "exit"})
    with pytest.raises(AuditError, match="died while it ran"):
        ask_once(probe, {"do": "die"})


def test_names_in_a_sentence() -> None:
    assert several(["a"]) == "a"
    assert several(list("abcdef")) == "a, b, c, d and 2 more"
