"""Which finding a test's failure is about.

Being run by a failing test ties nothing to it. A finding is confirmed by a test when

- the test passes once the functions of all findings that it comes to are serialised, and fails
  again when this finding's alone are let go; or
- what was raised, or the crash, comes from a line that the finding names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lanewise.readiness.stress.judging import Judged
from lanewise.readiness.stress.rounds import SURE, Round, bad, by_chance
from lanewise.readiness.stress.subjects import Subject

Keys = frozenset[tuple[str, int]]
RunGuarded = Callable[[Keys], Round]
"""Run one round in which the calls of these functions are serialised."""

_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Tied:
    """A finding that a test confirms, and why one may say so."""

    subject: Subject
    evidence: str


def tied(
    judged: Judged,
    candidates: Sequence[Subject],
    run: RunGuarded,
    may_go_on: Callable[[], bool],
) -> Iterator[Tied]:
    """Yield what a failing test confirms among the findings whose functions it comes to."""
    by_line = {id(one.subject): one for one in _by_line(judged, candidates)}
    yield from by_line.values()
    groups: dict[Keys, list[Subject]] = {}
    for subject in candidates:
        groups.setdefault(subject.keys, []).append(subject)
    every: Keys = frozenset().union(*groups)
    if not groups or not may_go_on():
        return
    held = _rounds(run, every, len(judged.free), may_go_on)
    if bad(held) or any(one.breaches for one in held) or by_chance(judged.free, held) >= SURE:
        return  # something else is broken as well
    for keys, subjects in groups.items():
        if len(subjects) > 1:
            continue  # they lie in the same functions: serialising cannot tell them apart
        others = every - keys
        let_go = list(judged.free) if not others else _rounds(run, others, 0, may_go_on)
        if by_chance(let_go, held) < SURE and id(subjects[0]) not in by_line:
            yield Tied(subjects[0], _words(subjects[0], let_go, held))


def _rounds(run: RunGuarded, keys: Keys, least: int, may_go_on: Callable[[], bool]) -> list[Round]:
    found: list[Round] = []
    while len(found) < max(_ROUNDS, least) and may_go_on():
        found.append(run(keys))
    return found


def _by_line(judged: Judged, candidates: Sequence[Subject]) -> Iterator[Tied]:
    for subject in candidates:
        for one in judged.free:
            place = one.places[-1] if one.is_bad and one.status != "hung" and one.places else None
            if place is not None and _names(subject, place):
                what = one.error or f"the process was ended by signal {one.signal}"
                line = f"{subject.finding.path}:{place[1]}"
                yield Tied(
                    subject, f"{what}, at {line} in {place[2]}; never when calls come one at a time"
                )
                break


def _names(subject: Subject, place: tuple[str, int, str]) -> bool:
    return any(
        function.file == place[0] and place[1] in function.lines for function in subject.functions
    )


def _words(subject: Subject, let_go: Sequence[Round], held: Sequence[Round]) -> str:
    names = " and ".join(sorted({one.qualname for one in subject.functions}))
    return (
        f"fails in {bad(let_go)} of {len(let_go)} rounds, and in none of {len(held)} when calls of "
        f"{names} come one at a time"
    )
