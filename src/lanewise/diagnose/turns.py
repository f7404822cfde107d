"""A loop's turns, from looks at its thread: when each began and ended, and what waited for it. Pure.

Looks come at random moments. What a random moment waits for the end of its turn is distributed as the
time that the turn has been going on (the residual life of a renewal process is distributed as its age:
Feller, "An Introduction to Probability Theory and Its Applications" II, XI.4), and asyncio says how
long that is at every look. So the lag is taken from ages, which are right at any rate of looks; a turn
that two looks saw also has a length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from lanewise.diagnose.places_of_code import as_seen_by_the_watch
from lanewise.diagnose.session import Frame, ProcessRecord
from lanewise.diagnose.states import Look
from lanewise.runtime.stalls import callback_of

STALL_S = 0.05
_RUNNER_FILES = ("asyncio/runners.py", "asyncio/base_events.py")
_LOOP_NAMES = {"_run_once", "run_forever", "run"}
_WAITS = {"gil_wait", "python_gil", "native_free", "native_gil"}

Kind = Literal["busy", "idle", "absent"]


class Moment(NamedTuple):
    """A loop's thread at one look.

    Attributes:
        kind: ``absent`` where the thread did not run its loop.
        turn: What tells the turn from others.
    """

    look: Look
    kind: Kind
    turn: object


class Episode(NamedTuple):
    """One turn of a loop, as far as it was seen."""

    start_us: float
    end_us: float
    looks: list[Look]

    @property
    def duration_us(self) -> float:
        """How long it took, by the best guess."""
        return self.end_us - self.start_us

    @property
    def moments(self) -> int:
        """How often it was seen."""
        return sum(look.moments for look in self.looks)

    @property
    def stalled(self) -> bool:
        """Whether it surely was a stall: one look alone knows its age, and not its length."""
        sure = self.moments > 1 or _age_us(self.looks[0]) >= STALL_S * 1e6
        return sure and self.duration_us >= STALL_S * 1e6


def is_of_a_loop(frame: Frame) -> bool:
    """Whether a frame is one of those that run an event loop."""
    return frame.name in _LOOP_NAMES and frame.file.replace("\\", "/").endswith(_RUNNER_FILES)


def outermost_of_callback(stack: Sequence[Frame]) -> Frame | None:
    """The function that a loop called, or whose coroutine it went on with; None where it ran nothing.

    Args:
        stack: Innermost first.
    """
    if not any(is_of_a_loop(frame) for frame in stack):
        return None
    callback = callback_of(as_seen_by_the_watch(stack), None)
    return stack[len(callback) - 1] if callback else None


def moments_of(
    record: ProcessRecord, looks: Sequence[Look], loops: frozenset[int]
) -> Iterator[Moment]:
    """Say of each look whether the loop was busy, and with which turn; torn stacks are left out.

    Args:
        record: What looks refer to.
        looks: At one thread.
        loops: The stacks that have a loop on them.
    """
    known: dict[int, object] = {}
    for look in looks:
        if look.stack < 0:
            continue
        if look.stack not in loops:
            yield Moment(look, "absent", None)
            continue
        if look.stack not in known:
            callback = callback_of(as_seen_by_the_watch(record.stack_of(look)), None)
            known[look.stack] = callback if callback is None else callback[:1]
        callback_id = known[look.stack]
        if look.moments == 1 and look.state == "io_sleep" and record.calls[look.call] == "epoll":
            # It waits for events, whatever a stack says that was taken a moment before. One that
            # still slept at the next look did so when the stack was taken: that is a driver's wait.
            callback_id = None
        if callback_id is not None:
            yield Moment(look, "busy", look.turn_us or (look.callback, callback_id))
        else:
            # Nothing runs, but the loop is not asleep either: something is ready, and it cannot go
            # on.
            yield Moment(look, "busy" if look.state in _WAITS else "idle", "waits")


def episodes_of(moments: Iterable[Moment]) -> Iterator[Episode]:
    """Join looks into one turn of the loop each, with begin and end."""
    current: list[Look] = []
    turn: object = None
    before_us: float | None = None
    for moment in moments:
        look = moment.look
        if before_us is None:
            before_us = float(look.start_us)
        if current and (moment.kind != "busy" or moment.turn != turn):
            yield Episode(_began_us(current[0], before_us), _ended_us(current, moment), current)
            before_us, current = float(current[-1].end_us), []
        if moment.kind == "busy":
            current.append(look)
            turn = moment.turn
        else:
            before_us = float(look.end_us)
    if current and before_us is not None:
        yield Episode(_began_us(current[0], before_us), float(current[-1].end_us), current)


def _began_us(first: Look, before_us: float) -> float:
    if first.turn_us and first.turn_us <= first.start_us:
        return max(float(first.turn_us), before_us)
    return (before_us + first.start_us) / 2


def _ended_us(looks: Sequence[Look], following: Moment) -> float:
    """When a turn ended that the following look does not see any more."""
    last, after = looks[-1], following.look
    latest_us = float(after.start_us)
    if following.kind == "busy" and after.turn_us:
        latest_us = max(float(last.end_us), min(float(after.turn_us), latest_us))
        if len(looks) > 1 or last.moments > 1:
            return latest_us
    age_us = _age_us(last)
    if len(looks) == 1 and last.moments == 1 and age_us and following.kind != "absent":
        # It is as likely to have had as much left.
        return min(last.end_us + age_us, latest_us)
    return min((last.end_us + after.start_us) / 2, latest_us)


def _age_us(look: Look) -> float:
    """For how long its turn had been going on; 0 where the loop does not tell."""
    return float(max(look.end_us - look.turn_us, 0)) if look.turn_us else 0.0


class Lags:
    """What every moment of a loop waited for, for quantiles of it with or without some of the work.

    Args:
        episodes: The loop's turns.
        idle: How many moments saw none.
    """

    def __init__(self, episodes: Sequence[Episode], idle: int) -> None:
        self._episodes, self._idle = episodes, idle

    def quantile_s(self, share: float, left: Callable[[Look], float] = lambda _: 1.0) -> float:
        """Return a quantile of the lag.

        Args:
            share: Which: 0.99 for what is exceeded in a hundredth of all moments.
            left: What would be left of the time that a look stands for; of a turn the mean over its
                looks is left.
        """
        ages: list[tuple[float, int]] = []
        for episode in self._episodes:
            kept = sum(look.moments * left(look) for look in episode.looks) / episode.moments
            for look in episode.looks:
                ages += [(age * kept, count) for age, count in _ages(episode, look)]
        ages.sort(reverse=True)
        allowed = (1 - share) * (self._idle + sum(count for _, count in ages))
        beyond = 0.0
        for age_us, count in ages:
            beyond += count
            if beyond > allowed:
                return age_us / 1e6
        return 0.0


# Of a look that stands for many moments, so many parts are told apart.
_PARTS = 16


def _ages(episode: Episode, look: Look) -> Iterator[tuple[float, int]]:
    """How long a turn had been going on at each of a look's moments."""
    parts = min(look.moments, _PARTS)
    for part in range(parts):
        at_us = look.start_us + (look.end_us - look.start_us) * (part + 0.5) / parts
        count = look.moments * (part + 1) // parts - look.moments * part // parts
        yield max(at_us - episode.start_us, 0.0), count


def lag_s(durations_us: Sequence[float], wall_us: float, share: float) -> float:
    """Return the quantile of what a random moment waits for the end of a turn.

    A random moment waits longer than x with probability sum(max(0, d - x)) / T over turns of length
    d.
    """
    allowed = (1 - share) * wall_us
    beyond = 0.0
    ordered = sorted(durations_us, reverse=True)
    for count, duration in enumerate(ordered, 1):
        following = ordered[count] if count < len(ordered) else 0.0
        step = count * (duration - following)
        if beyond + step >= allowed:
            return (duration - (allowed - beyond) / count) / 1e6
        beyond += step
    return 0.0
