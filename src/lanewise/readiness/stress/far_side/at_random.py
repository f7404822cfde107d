"""Schedules at random, for calls with more places to pause than there is time to try.

They are chosen as PCT does (Burckhardt and others, A randomized scheduler with probabilistic
guarantees of finding bugs, 2010): a few places at which the running thread gives way, each as likely
as any other. A hazard that needs few of them is found after few tries, however long the calls are;
and three or four turns are tried, too, where the systematic search stops at two. The choice follows
from its seed, so a run can be repeated.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from .scheduler import Pause

# Turns: two find what needs one pause of each thread, more find what comes back to the first.
_TURNS = (2, 3, 3, 4)


def schedules_at_random(
    places: Sequence[Sequence[Pause]], seed: str
) -> Iterator[tuple[int, list[Pause]]]:
    """Yield which thread begins and where threads give way, without end.

    Args:
        places: For each of the two threads every place at which it can, in the order in which it comes
            to them. Nothing is yielded where one of them has none.
        seed: Whatever names what is explored.
    """
    chosen = random.Random(seed)  # noqa: S311 - because: it chooses schedules, not secrets
    while all(places):
        first = chosen.randrange(2)
        turns = chosen.choice(_TURNS)
        pauses = [
            _in_order(places[first], (turns + 1) // 2, chosen),
            _in_order(places[1 - first], turns // 2, chosen),
        ]
        yield first, [pauses[turn % 2].pop(0) for turn in range(turns) if pauses[turn % 2]]


def _in_order(places: Sequence[Pause], count: int, chosen: random.Random) -> list[Pause]:
    at = sorted(chosen.sample(range(len(places)), min(count, len(places))))
    return [places[index] for index in at]
