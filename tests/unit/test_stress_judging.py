"""Chance, verdicts and ties: what rounds of a test say, given the rounds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise.readiness.findings import Finding
from lanewise.readiness.stress.attribution import Keys, tied
from lanewise.readiness.stress.judging import Judged, judge
from lanewise.readiness.stress.rounds import SURE, Round, fisher
from lanewise.readiness.stress.subjects import FunctionPlace, Subject

PASSED, FAILED = Round("passed"), Round("failed", "AssertionError", (("/t/test_x.py", 3, "test"),))
CRASHED, HUNG = Round("crashed", signal=11), Round("hung")


# --- chance ---------------------------------------------------------------------------------------


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_fisher_counts_all_ways_to_deal_the_bad_rounds(
    rounds: int, controls: int, data: st.DataObject
) -> None:
    bad, bad_controls = data.draw(st.integers(0, rounds)), data.draw(st.integers(0, controls))
    deals = list(itertools.combinations(range(rounds + controls), bad + bad_controls))
    as_bad = sum(sum(place < rounds for place in deal) >= bad for deal in deals)
    assert fisher(bad, rounds, bad_controls, controls) == pytest.approx(as_bad / len(deals))


def test_six_of_six_against_none_of_six_is_no_chance_and_two_of_two_is() -> None:
    assert fisher(6, 6, 0, 6) < SURE < fisher(2, 2, 0, 4)


# --- a test's verdict -----------------------------------------------------------------------------


def runner(free: Iterable[Round], control: Iterable[Round]) -> Callable[[bool], Round]:
    """Rounds as they are given, the last of each kind for ever."""
    kinds = {False: list(free), True: list(control)}

    def run(is_control: bool) -> Round:  # noqa: FBT001 - because: what judge() asks with
        rounds = kinds[is_control]
        return rounds.pop(0) if len(rounds) > 1 else rounds[0]

    return run


@pytest.mark.parametrize(
    ("free", "control", "verdict"),
    [
        ([PASSED], [FAILED], "passes"),
        ([Round("skipped")], [PASSED], "skipped"),
        ([FAILED], [PASSED], "code"),
        ([PASSED, FAILED], [PASSED], "code"),
        ([CRASHED], [PASSED], "code"),
        ([HUNG], [PASSED], "code"),
        ([FAILED], [FAILED], "assumes it is alone"),
        ([FAILED], [PASSED, PASSED, PASSED, FAILED], "assumes it is alone"),
        ([FAILED], [PASSED] * 5 + [FAILED], "assumes it is alone"),
        ([CRASHED], [CRASHED], "assumes it is alone"),
        ([FAILED, PASSED], [PASSED], "seldom"),
        ([FAILED], [Round("passed", breaches=1)], "unclear"),
        ([FAILED], [HUNG], "unclear"),
    ],
)
def test_a_verdict_is_the_free_rounds_against_the_controls(
    free: list[Round], control: list[Round], verdict: str
) -> None:
    assert judge(runner(free, control), lambda: True).verdict == verdict


def test_without_time_a_failure_stays_open() -> None:
    assert judge(runner([FAILED], [PASSED]), lambda: False).verdict == "seldom"


@given(
    st.lists(st.booleans(), min_size=2, max_size=60),
    st.lists(st.booleans(), min_size=2, max_size=60),
)
def test_the_code_is_never_blamed_where_the_control_has_failed(
    free: list[bool], control: list[bool]
) -> None:
    rounds = [[FAILED if bad else PASSED for bad in kind] for kind in (free, control)]
    found = judge(runner(*rounds), lambda: True)
    if found.verdict == "code":
        assert not any(one.is_bad for one in found.control)
        assert len(found.control) >= 6


# --- which finding it is about --------------------------------------------------------------------


def subject(name: str, line: int, *also: int) -> Subject:
    """A finding in a function of its own."""
    finding = Finding("FT101", "error", "app.py", line, 1, f"app.{name}", "lost", "lock", name)
    return Subject(
        finding,
        (FunctionPlace("/p/app.py", line - 1, name, (line, *also)),),
        "app",
        "/p",
        "app",
        name,
    )


def broken(*culprits: Subject) -> Callable[[Keys], Round]:
    """Code that fails while one of these functions runs beside itself."""
    return lambda held: FAILED if any(not one.keys <= held for one in culprits) else PASSED


JUDGED = Judged("code", (FAILED,) * 6, (PASSED,) * 6)
A, B = subject("a", 10), subject("b", 20)


def confirmed(judged: Judged, candidates: list[Subject], run: Callable[[Keys], Round]) -> list[str]:
    """The names of what is tied."""
    return [one.subject.object for one in tied(judged, candidates, run, lambda: True)]


def test_a_finding_is_confirmed_when_serialising_it_mends_the_test() -> None:
    assert confirmed(JUDGED, [A], broken(A)) == ["a"]
    assert confirmed(JUDGED, [A, B], broken(A)) == ["a"]
    assert confirmed(JUDGED, [A, B], broken(A, B)) == ["a", "b"]


def test_none_is_where_something_else_is_broken_too() -> None:
    elsewhere = subject("c", 30)
    assert confirmed(JUDGED, [A], broken(elsewhere)) == []
    assert confirmed(JUDGED, [A, B], broken(A, elsewhere)) == []


def test_two_findings_in_one_function_are_not_told_apart() -> None:
    assert confirmed(JUDGED, [A, subject("a", 10)], broken(A)) == []


def test_nothing_is_confirmed_by_a_control_with_breaches() -> None:
    assert confirmed(JUDGED, [A], lambda _: Round("passed", breaches=1)) == []


def test_a_line_that_raises_ties_its_finding() -> None:
    raised = Round("failed", "ValueError: executing", (("/t/t.py", 1, "t"), ("/p/app.py", 10, "a")))
    judged = Judged("code", (raised,) * 6, (PASSED,) * 6)
    (found,) = tied(judged, [A, B], broken(subject("c", 30)), lambda: True)
    assert found.subject is A
    assert "ValueError: executing, at app.py:10" in found.evidence


def test_a_hang_stands_on_no_line() -> None:
    stuck = Round("hung", places=(("/p/app.py", 10, "a"),))
    judged = Judged("code", (stuck,) * 6, (PASSED,) * 6)
    assert confirmed(judged, [A], broken(subject("c", 30))) == []
