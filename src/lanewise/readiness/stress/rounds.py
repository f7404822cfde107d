"""Rounds of a test, and whether two ways to run it differ by more than chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["passed", "failed", "skipped", "crashed", "hung"]

SURE = 0.01
"""How likely chance may be where a difference is called one."""


@dataclass(frozen=True, slots=True)
class Round:
    """One try of a test, in a process of its own.

    Attributes:
        status: How it ended.
        error: What was raised, in one line.
        places: Frames in the project when it was, the innermost last: file, line, function.
        signal: What ended the process.
        breaches: How often a call was let through although another one was under way.
        gil_enabled: Whether the lock was on at its end; None where that was not told.
    """

    status: Status
    error: str = ""
    places: tuple[tuple[str, int, str], ...] = ()
    signal: int | None = None
    breaches: int = 0
    gil_enabled: bool | None = None

    @property
    def is_bad(self) -> bool:
        """Whether it did not end as it should."""
        return self.status in ("failed", "crashed", "hung")


def read_round(answer: dict[str, Any]) -> Round:
    """Make a round of what the child said."""
    return Round(
        status=answer["status"],
        error=answer.get("error", ""),
        places=tuple((file, int(line), name) for file, line, name in answer.get("places", ())),
        signal=answer.get("signal"),
        breaches=int(answer.get("breaches", 0)),
        gil_enabled=answer.get("gil_enabled"),
    )


def bad(rounds: Sequence[Round]) -> int:
    """How many did not end as they should."""
    return sum(one.is_bad for one in rounds)


def by_chance(rounds: Sequence[Round], control: Sequence[Round]) -> float:
    """How likely so many more bad rounds than in the control are where nothing differs.

    Fisher's exact test, one-sided: no assumption about how often a race shows.
    """
    return fisher(bad(rounds), len(rounds), bad(control), len(control))


def fisher(bad_ones: int, rounds: int, bad_controls: int, controls: int) -> float:
    """Return the chance of at least ``bad_ones`` of all the bad rounds falling among ``rounds``.

    Args:
        bad_ones: Bad rounds of the first kind.
        rounds: How many there are of that.
        bad_controls: Bad rounds of the second kind.
        controls: How many there are of that.
    """
    total, all_bad = rounds + controls, bad_ones + bad_controls
    ways = math.comb(total, all_bad)
    most = min(rounds, all_bad)
    return sum(
        math.comb(rounds, k) * math.comb(controls, all_bad - k) for k in range(bad_ones, most + 1)
    ) / ways  # fmt: skip
