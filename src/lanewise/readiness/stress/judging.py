"""What rounds of one test say: a test that was never meant for company, or code that is broken.

Every failure has its control, the same rounds with calls into the project one at a time
(``far_side/one_at_a_time.py``):

==================  ============================
===================================================== free                control
means ==================  ============================
===================================================== passes              is not run
nothing was found fails               fails                         the test (or what it compares)
assumes that it is alone fails               passes                        calls that overlap break
something: the code fails seldom        passes, as chance may have it  not enough to say so
==================  ============================
=====================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from lanewise.readiness.stress.rounds import SURE, Round, bad, by_chance

Verdict = Literal[
    "passes", "skipped", "fails alone", "assumes it is alone", "code", "seldom", "unclear", "not run"
]  # fmt: skip

WORDS: dict[Verdict, str] = {
    "passes": "passes when several threads run it",
    "skipped": "skips itself",
    "fails alone": "fails without any thread beside it",
    "assumes it is alone": "fails even when calls into the project come one at a time",
    "code": "fails only when calls into the project overlap",
    "seldom": "has failed, too seldom to tell from chance",
    "unclear": "fails, and the control could not be held",
    "not run": "was not run for want of time",
}

Run = Callable[[bool], Round]
"""Run one round: free, or as the control."""

# Rounds of the control after the first failure; then as many more of both while chance could have
# done it.
_CONTROLS = 4
_STEPS = (6, 12, 20, 40)


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict with its evidence.

    Attributes:
        verdict: What it is.
        free: Rounds in which calls could overlap.
        control: Rounds in which they could not.
    """

    verdict: Verdict
    free: tuple[Round, ...] = ()
    control: tuple[Round, ...] = ()

    @property
    def worst(self) -> Round | None:
        """The round to tell of: a crash before a failure before a hang."""
        order = ("crashed", "failed", "hung")
        found = [one for one in self.free if one.is_bad]
        return min(found, key=lambda one: order.index(one.status), default=None)


def judge(run: Run, may_go_on: Callable[[], bool], rounds: int = 2) -> Judged:
    """Run rounds until it is clear what a test says.

    Args:
        run: Runs one round.
        may_go_on: Whether there is time for more.
        rounds: After so many that pass it is taken to pass.
    """
    free: list[Round] = []
    while len(free) < rounds and not bad(free):
        free.append(run(False))
    if not bad(free):
        skipped = all(one.status == "skipped" for one in free)
        return Judged("skipped" if skipped else "passes", tuple(free))
    control: list[Round] = []
    for _ in range(_CONTROLS):
        control.append(run(True))
        if (early := _spoiled(control)) is not None:
            return Judged(early, tuple(free), tuple(control))
    for most in _STEPS:
        while len(free) < most and may_go_on():
            free.append(run(False))
        while len(control) < most and may_go_on():
            control.append(run(True))
            if (early := _spoiled(control)) is not None:
                return Judged(early, tuple(free), tuple(control))
        if by_chance(free, control) < SURE:
            return Judged("code", tuple(free), tuple(control))
    return Judged("seldom", tuple(free), tuple(control))


def _spoiled(control: Sequence[Round]) -> Verdict | None:
    """What a control says at once: it fails too, or it is none."""
    last = control[-1]
    if last.breaches or last.status == "hung":
        return "unclear"
    return "assumes it is alone" if last.is_bad else None
