"""One call's decision."""

from __future__ import annotations

from dataclasses import dataclass

from lanewise.model.lane import LaneName
from lanewise.runtime.learning import LearnedTask
from lanewise.runtime.seen import Seen

# The door of calls in threads that mostly compute. Where the lock does not hold them apart, as many of
# them as there are threads would leave the loop, which is one thread among them, a fraction of a core.
COMPUTING = "computing threads"


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a call goes, and why in words.

    Attributes:
        expected_s: How long it is expected to run there; None where nothing is known.
        seen: Where what is seen of the call belongs; None for calls that are pinned.
        known: The task that this is about.
        spill: Where it goes instead while its lane is full and the other one is not.
        harms: Whether it breaks the loop budget there, for want of anything better.
        door: By which it enters its lane; None for the lane's own.
    """

    lane: LaneName
    variant: str
    reason: str
    expected_s: float | None = None
    seen: Seen | None = None
    known: LearnedTask | None = None
    spill: Decision | None = None
    harms: bool = False
    door: str | None = None
