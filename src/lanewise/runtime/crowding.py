"""Whether calls in threads keep each other from running although no lock of the interpreter does. Pure.

On a free-threaded build threads that use one hot object pass it from core to core: each count of a
reference, each small lock of a dictionary is a write to memory that the other core has just written. Two
such threads were slower than one. Nothing in the code tells how hot an object is, so it is measured: how
long calls take in threads while others of their kind run, against how long they take in processes at that
time, where each has objects of its own. What a call waited for a core is taken out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from lanewise.model.lane import CallReport, LaneName

# Calls from which on their mean says something.
_TELLING_CALLS = 8
# Calls that take so many times as long in threads as with objects of their own share something hot. What
# cores share in hardware (caches, memory, two threads on one core) also slows calls in processes.
CONTENDED = 1.5
# A verdict that stands is left for less than this, not for a little less.
_NO_LONGER = 1.25
# From here on it is worth some calls in processes to know.
_SUSPICIOUS = 1.25
# Calls whose cost has changed by this factor, as a logarithm, are others.
_OTHER_CALLS = math.log(1.6)


def contention_words(name: str, slowdown: float) -> str:
    """The finding, for a log or a reader."""
    return (
        f"FT201 contention: calls of {name} take {slowdown:.2g} times as long in threads beside each "
        "other as with objects of their own. They share something hot, such as a module's object "
        "that all of them read in a loop, or a lock; until each call has its own copy, processes "
        "carry more (lanewise audit --explain FT201)"
    )


@dataclass(slots=True, eq=False)
class _Slowdown:
    """A running geometric mean of how many times longer calls took than is known of them."""

    calls: int = 0
    log_mean: float = 0.0

    def add(self, taken_s: float, known_s: float) -> None:
        self.calls += 1
        factor = math.log(max(taken_s, 1e-9) / max(known_s, 1e-9))
        self.log_mean += (factor - self.log_mean) / min(self.calls, 2 * _TELLING_CALLS)

    @property
    def tells(self) -> bool:
        return self.calls >= _TELLING_CALLS


@dataclass(slots=True, eq=False)
class Crowding:
    """Calls of one task and size while others of their kind run. Owner: the runtime's loop.

    Attributes:
        is_contended: Whether they were seen to share something hot.
        at_once: How many of them there were at once in threads, a running mean.
    """

    is_contended: bool = False
    at_once: float = 1.0
    _known_s: float = 0.0
    _together: _Slowdown = field(default_factory=_Slowdown)
    _apart: _Slowdown = field(default_factory=_Slowdown)

    @property
    def asks(self) -> bool:
        """Whether calls in threads should tell what they waited for a core: too few have yet."""
        return not self._together.tells

    @property
    def wants_control(self) -> bool:
        """Whether calls are to be watched in processes, for those in threads take long."""
        suspicious = self._together.tells and self._together.log_mean > math.log(_SUSPICIOUS)
        return suspicious and not self._apart.tells

    @property
    def slowdown(self) -> float:
        """How many times as long calls take in threads as with objects of their own."""
        return math.exp(self._together.log_mean - self._apart.log_mean)

    @property
    def most_per_s(self) -> float:
        """Calls a second that threads carried so. More of them carry no more: they wait for the same."""
        return self.at_once / max(self._known_s * self.slowdown, 1e-9)

    def ran(self, lane: LaneName, report: CallReport, known_s: float, at_once: int = 2) -> bool:
        """A call has ended while others ran; return whether the verdict has changed.

        Args:
            lane: Where it ran.
            report: What that saw of it. Without what it waited for a core it says nothing.
            known_s: How long it takes, without what it waits for a core.
            at_once: How many of its kind were on the lane, it included.
        """
        if report.run_s is None or report.run_queue_s is None or known_s <= 0:
            return False
        if abs(math.log(known_s / (self._known_s or known_s))) > _OTHER_CALLS:
            self.forget()  # these are other calls than those that were seen
        # The same measure for all, so that it falls out of the comparison: on a shared machine what is
        # known of a call moves with the neighbours.
        self._known_s = self._known_s or known_s
        # On a busy machine the two readings of the queue take their own turns in it; what was on a core
        # was not waiting for one.
        own_s = max(report.run_s - report.run_queue_s, report.cpu_s or 0.0)
        if lane == "thread":
            self._together.add(own_s, self._known_s)
            self.at_once += (at_once - self.at_once) / min(self._together.calls, 2 * _TELLING_CALLS)
        elif lane in ("process", "interpreter"):
            self._apart.add(own_s, self._known_s)
        return self._judge()

    def forget(self) -> None:
        """Nothing is known any more: whether it still holds has to be seen."""
        self.is_contended = False
        self.at_once, self._known_s = 1.0, 0.0
        self._together, self._apart = _Slowdown(), _Slowdown()

    def _judge(self) -> bool:
        before = self.is_contended
        if self._together.tells and self._apart.tells:
            self.is_contended = self.slowdown >= (_NO_LONGER if before else CONTENDED)
        return before != self.is_contended
