"""Which lanes to load next, so that a few long calls do not use up a short budget. No I/O, no clock.

Lanes are compared with each other at one size and one concurrency: a comparison. All lanes of one are
loaded one right after the other, so that what comes and goes on the machine meets all of them, and
comparisons share the time evenly: one of short calls is loaded several times before one of long calls
is loaded at all. A single round tells two lanes apart that differ by a third; three, by a tenth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# So many rounds of each comparison come before any has more.
_WANTED_ROUNDS = 3
_MOST_ROUNDS = 7

Comparison = tuple[float, int]
"""Size, concurrency."""


@dataclass(slots=True)
class Rounds:
    """How often a comparison was loaded. Owner: the session of its task, which counts.

    Attributes:
        cost_s: What one round of all its lanes takes, about.
        made: Rounds, whatever came of them.
        calm: Rounds during which others left the cores alone; of the lane that has fewest.
    """

    cost_s: float
    made: int = 0
    calm: int = 0

    @property
    def weight(self) -> float:
        """The rounds that it has had. A disturbed one counts half: wanted again, but not for ever."""
        return max(self.calm, self.made / 2)


def next_comparison(
    known: Mapping[Comparison, Rounds], first_s: float, again_s: float
) -> Comparison | None:
    """Return what to load next, or None when nothing more can be afforded or is worth it.

    Args:
        known: Every comparison with the rounds that it has had.
        first_s: Seconds left for what was never loaded.
        again_s: Seconds left for what was.
    """
    possible = [
        (one, rounds)
        for one, rounds in known.items()
        if rounds.made < _MOST_ROUNDS and rounds.cost_s <= (again_s if rounds.made else first_s)
    ]
    if not possible:
        return None

    def turn(item: tuple[Comparison, Rounds]) -> tuple[bool, float]:
        rounds = item[1]
        return rounds.weight >= _WANTED_ROUNDS, (rounds.weight + 1) * rounds.cost_s

    return min(possible, key=turn)[0]
