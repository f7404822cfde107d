"""What has been seen of calls of one task and size: pure, no clock.

It begins with a few calls that are watched, each in a process of its own, where whatever they do harms
nobody. Then every call adds what its lane saw of it. When calls begin to take another time than what is
known says (a deploy, other data), what is known of them is forgotten and they are watched again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from lanewise.model.lane import SHARING_MEMORY, CallReport, LaneName
from lanewise.plan.task_plan import CostPoint
from lanewise.runtime.crowding import Crowding

# Watched calls until a cost counts as known: by their number, or by the time that they took together,
# since one long call is seen as well as several short ones.
_WATCHED_CALLS = 4
_WATCHED_S = 0.010
# One alone will do if it took so many times that: even a cold one of that length belongs off the loop,
# and each more that crosses for nothing but to be watched costs as much again.
_LONG_CALLS = 2
# Unless crossing kept the loop for longer than this: the first one that crosses may find code cold, or
# meet a busy moment, and what it seemed to cost would keep all others off the processes.
_SLOW_CROSSING_S = 0.000_5
# Of calls as short as this the shortest that was watched counts: watching takes as long itself.
_SHORT_S = 0.000_5
# Less than a round trip to anything outside takes.
_TOO_SHORT_TO_WAIT_S = 0.000_05
# Samples of the lock from which on its share counts as known.
_LOCK_SAMPLES = 8
# A sampled share above this is no artefact of a busy machine.
_SURELY_HELD = 0.5
# A call that spent less than this part of its time on its own was not sampled, but the machine was.
_OWN_SHARE = 0.5
# The first call imports and fills caches; a second one that takes less than this of it shows that.
_COLD = 0.7
# Beyond the first calls one in so many is watched, 1.6 % of them, and none before calls took so long
# together: to watch one takes a millisecond and a half.
_WATCH_EVERY = 64
_WATCH_EVERY_S = 0.5
# A mean over about four calls that is off by this factor is no noise.
_NEWEST = 0.25
_DRIFT = math.log(1.6)
_DRIFT_CALLS = 4
_MOST_DOUBLINGS = 5
# Calls for which one that kept the loop far beyond the budget stays off it, a quarter of the first time.
_EXILE_CALLS = 16
_LATENCY_DRIFT = math.log(1.15)
# Calls on a lane from which on their mean says something: the first ones may find it cold.
LATENCY_CALLS = 16
_TELLING_S = 0.25
_LATENCY_LOOKS = 256
# Calls after which what is known of how other lanes did is looked at for its age, the first time.
_FIRST_AGE_CALLS = 512
# Calls on the loop that took longer than the budget: one by this factor, or so many in a row.
_FAR_BEYOND = 10.0
_BREAKS_IN_A_ROW = 3
# One call in so many, less one, is read in threads once so many were. A power of two.
_REPORT_OF = 3
_REPORTS_AT_FIRST = 64
# One call in so many, less one, tells how long it waited for a core. A power of two.
_ASK_FOR_THE_QUEUE = 15
# Calls in threads that take so much longer than alone, and did not wait for a core, wait for the lock.
_CONTENDED = 1.25
_MOST_AT_ONCE = 64


@dataclass(slots=True, eq=False)
class Latency:
    """How long calls stayed on a lane.

    Attributes:
        mean_s: A running mean; ``decided_s`` is what it was when it was last decided by.
        calls: How many went into it; ``calls_before`` of them when it was last asked for its age.
        next_look: So many, before it is asked again whether it has changed.
    """

    mean_s: float = 0.0
    decided_s: float = 0.0
    calls: int = 0
    calls_before: int = 0
    next_look: int = LATENCY_CALLS

    @property
    def tells(self) -> bool:
        """Whether it says something: after some calls, or so much time that it was no start-up."""
        return self.calls >= LATENCY_CALLS or self.calls * self.mean_s >= _TELLING_S

    def add(self, latency_s: float) -> bool:
        """Add one; return whether decisions that rest on it are to be made anew."""
        told = self.tells
        self.calls += 1
        self.mean_s += max(_NEWEST / 4, 1.0 / self.calls) * (latency_s - self.mean_s)
        if self.calls < self.next_look and (told or not self.tells):
            return False
        # Ever less often: a decision takes as long as some calls do, and noise alone would have one made
        # every dozen calls.
        self.next_look = self.calls + min(self.calls, _LATENCY_LOOKS)
        if not _differs(self.decided_s, self.mean_s, _LATENCY_DRIFT):
            return False
        self.decided_s = self.mean_s
        return True


@dataclass(slots=True, eq=False)
class Seen:
    """Calls of one task on one variant in one class of sizes. Owner: the runtime's loop.

    Attributes:
        size: Of these calls, a running mean.
        wall_s: Time of a call alone, without what it waited for a core; 0 while nothing is known.
        cpu_s: Time on cores.
        held_share: Share of ``wall_s`` under the lock, None while unknown.
        near_s: What packing and unpacking costs on the loop's side; None until it crossed.
        is_settled: Whether enough calls were watched.
        forgotten: How often the cost changed so much that it was learned anew.
        kept_off_until: Number of calls before which none runs on the loop.
        latencies: From a lane's begin to its end, by lane and how many were on it at once.
        watches_crowding: Threads run without the lock of the interpreter, and there are processes to
            compare them with; ``crowding`` is what they do to each other.
    """

    size: float = 0.0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    held_share: float | None = None
    near_s: float | None = None
    args_bytes: int | None = None
    result_bytes: int | None = None
    calls: int = 0
    watched: int = 0
    watching: int = 0
    is_settled: bool = False
    forgotten: int = 0
    kept_off_until: int = 0
    latencies: dict[tuple[LaneName, int], Latency] = field(default_factory=dict)
    watches_crowding: bool = False
    crowding: Crowding = field(default_factory=Crowding)
    _watched_s: float = 0.0
    _samples: float = 0.0
    _held_samples: float = 0.0
    _recent_s: float = 0.0
    _recent: int = 0
    _breaks: int = 0
    _exiles: int = 0
    _since_watched: int = 0
    _since_watched_s: float = 0.0

    @property
    def is_known(self) -> bool:
        """Whether there is a cost to decide by."""
        return self.wall_s > 0.0

    def _enough(self) -> bool:
        """Whether enough calls were watched; kept as ``is_settled``, for which every call asks."""
        # Without a lock nothing more will be known of it.
        unknown = self.held_share is None and not self.watches_crowding
        if unknown and self.watched < _WATCHED_CALLS:
            return False
        enough = self.watched >= 2 and (  # noqa: PLR2004 - because: the first one may be cold
            self._watched_s >= _WATCHED_S or self.watched >= _WATCHED_CALLS
        )
        crossed_well = self.near_s is None or self.near_s <= _SLOW_CROSSING_S
        return enough or (crossed_well and self._watched_s >= _LONG_CALLS * _WATCHED_S)

    def wants_report(self, lane: LaneName) -> bool:
        """Whether the next call there is to tell what it took.

        In a thread that is read for it alone, and once it is known well one call in four will do.
        """
        return lane != "thread" or bool(
            not self.calls & _REPORT_OF or self.calls < _REPORTS_AT_FIRST or not self.is_settled
        )

    @property
    def asks_for_the_queue(self) -> bool:
        """Whether the next call in a thread tells how long it waited for a core. Few, for it costs."""
        return not self.calls & _ASK_FOR_THE_QUEUE or (self.watches_crowding and self.crowding.asks)

    @property
    def is_calm(self) -> bool:
        """Whether how long calls stay on their lane says something: none is watched, nor soon will be."""
        return not self.watching and self.is_settled

    @property
    def is_kept_off(self) -> bool:
        """Whether calls have kept the loop for too long lately."""
        return self.calls < self.kept_off_until

    @property
    def may_run_here(self) -> bool:
        """Whether calls may run on the loop: enough were seen, and they compute and do not wait.

        What waits for something outside can wait longer the next time.
        """
        enough = self.is_settled or self.calls >= _WATCHED_CALLS
        return (
            enough
            and not self.is_kept_off
            and (self.wall_s < _TOO_SHORT_TO_WAIT_S or self.cpu_s > self.wall_s / 2)
        )

    def wants_watching(self, lane: LaneName, *, harms: bool = False) -> bool:
        """Whether the next call, which goes to that lane, is to be watched; one at a time.

        Where calls harm the loop for want of anything better, one now and then is sent to a process
        all the same: what spoke against that may have been wrong, or be over.
        """
        if self.watching:
            return False
        if not self.is_settled or (self.watches_crowding and self.crowding.wants_control):
            return True
        return (
            (lane == "process" or harms)
            and self._since_watched >= _WATCH_EVERY
            and self._since_watched_s >= _WATCH_EVERY_S
        )

    @property
    def lock_share(self) -> float | None:
        """The share under the lock; where too few samples came, that of the time on cores.

        On a busy machine the sampling thread also waits for a core, and not all of that can be told
        apart. A small share is therefore at most that of the time on cores. A large one is believed:
        there is C code that waits and keeps the lock.
        """
        if not self.watched or not self.wall_s:
            return self.held_share
        on_cores = min(1.0, self.cpu_s / self.wall_s)
        if self.held_share is None:
            return on_cores
        return self.held_share if self.held_share > _SURELY_HELD else min(self.held_share, on_cores)

    def cost(self, variant: str) -> CostPoint:
        """What the lane model needs."""
        return CostPoint(
            variant=variant,
            size=self.size,
            call_size=self.size,
            wall_s=self.wall_s,
            cpu_s=min(self.cpu_s, self.wall_s) if self.held_share is not None else self.cpu_s,
            gil_held_share=self.lock_share,
            gil_handovers_per_s=None,
            gil_wait_p99_s=None,
            run_queue_s=None,
            args_bytes=self.args_bytes,
            result_bytes=self.result_bytes,
            pickle_s=self.near_s,
        )

    def settle(self) -> None:
        """What is known comes from elsewhere and need not be watched."""
        self.watched, self._watched_s = _WATCHED_CALLS, _WATCHED_S
        self.is_settled = True

    # --- what happens ---------------------------------------------------------------------------

    def watched_call(self, report: CallReport) -> bool:
        """A watched call has ended; return whether what is known has changed."""
        self._since_watched, self._since_watched_s = 0, 0.0
        if report.run_s is None or report.cpu_s is None:
            return False
        if self.watches_crowding and self.is_settled and self.crowding.wants_control:
            # It stands for what calls take apart from each other, and is judged by what is known.
            return self.crowding.ran("process", report, self.wall_s)
        # On a busy machine the two readings of the run queue take their own turns in it; what was on a
        # core was not waiting for one.
        wall_s = max(report.run_s - (report.run_queue_s or 0.0), report.cpu_s, 1e-7)
        before, was_settled = self.wall_s, self.is_settled
        self.watched += 1
        self._watched_s += wall_s
        self._crossed(report)
        self._lock(report, wall_s)
        self.is_settled = self._enough()
        if self.watched == 1 or wall_s < (1.0 if wall_s < _SHORT_S else _COLD) * before:
            self.wall_s, self.cpu_s = wall_s, report.cpu_s  # the first, or the first warm one
        elif wall_s >= _SHORT_S:
            weight = 1.0 / min(self.watched, 1 / _NEWEST)
            self.wall_s += weight * (wall_s - self.wall_s)
            self.cpu_s += weight * (report.cpu_s - self.cpu_s)
        self._recent_s, self._recent = self.wall_s, 0
        return not was_settled or _differs(before, self.wall_s, 0.1)

    def ran(self, lane: LaneName, report: CallReport, at_once: int, *, beside: int = 1) -> bool:
        """A call has ended on a lane; return whether what is known has changed.

        ``at_once`` is how many calls of the task were on that lane, this one included; 0 where that
        says nothing of how long it stayed. ``beside`` is how many there were at any time.
        """
        passed = self.passed()
        if lane not in SHARING_MEMORY:
            self._crossed(report)
        if report.run_s is None:
            return passed
        if not self.is_known:
            return self._first(report)
        taken_s = report.run_s
        if self.watches_crowding and beside > 1 and self.is_settled:
            passed = self.crowding.ran(lane, report, self.wall_s, beside) or passed
        if lane == "thread":
            if self.watches_crowding and beside > 1 and taken_s > self.wall_s:
                # It may have been kept from running by the others, which is no other cost of its own; and
                # what is another cost shows in processes, where it goes if threads carry less.
                return passed
            changed = self._contention(report, at_once)
            if report.cpu_s is not None and self.cpu_s > 0.5 * self.wall_s:
                # What it waited for the lock or for a core is not its own.
                taken_s = self.wall_s * report.cpu_s / max(self.cpu_s, 1e-9)
            return self._drifts(taken_s) or changed or passed
        return self._drifts(taken_s) or passed

    def passed(self) -> bool:
        """A call has ended that told nothing; return whether decisions are to be made anew."""
        self.calls += 1
        self._since_watched += 1
        returns = self.calls == self.kept_off_until  # to the loop, if it is quick enough
        return self._ages() or returns

    def stayed(self, lane: LaneName, at_once: int, latency_s: float) -> bool:
        """A call has left its lane; return whether decisions are to be made anew."""
        key = lane, 1 << (min(at_once, _MOST_AT_ONCE) - 1).bit_length()
        self._since_watched_s += latency_s
        found = self.latencies.get(key)
        if found is None:
            found = self.latencies[key] = Latency()
        return found.add(latency_s)

    def ran_here(self, run_s: float, loop_budget_s: float) -> bool:
        """A call has ended on the loop; return whether decisions are to be made anew."""
        self.calls += 1
        ages = not self.calls & (self.calls - 1) and self._ages()
        if run_s <= loop_budget_s:
            # Where it is does not depend on how much shorter than the budget it is.
            self._breaks = 0
            self.wall_s += _NEWEST * (run_s - self.wall_s)
            return ages
        self._breaks += 1
        if run_s < _FAR_BEYOND * loop_budget_s and self._breaks < _BREAKS_IN_A_ROW:
            return ages
        self._forget(run_s)
        # Each time it is kept off the loop for four times as many calls.
        self._exiles += 1
        self.kept_off_until = self.calls + (_EXILE_CALLS << 2 * min(self._exiles, _MOST_DOUBLINGS))
        return True

    def _first(self, report: CallReport) -> bool:
        """Something is better than nothing, until a call is watched."""
        if report.run_s is None:
            return False
        self.wall_s = max(report.run_s, 1e-7)
        self.cpu_s = self.wall_s if report.cpu_s is None else report.cpu_s
        return True

    def lock_changed(self) -> None:
        """The lock was switched on or off: how calls did in threads says nothing any more."""
        for key in [key for key in self.latencies if key[0] == "thread"]:
            del self.latencies[key]
        self.crowding.forget()

    # --- inside ---------------------------------------------------------------------------------

    def _ages(self) -> bool:
        """Forget now and then how lanes did on which no call has been lately; return whether any was.

        What kept calls off a lane may be over, and nothing else would show it. Each time after twice as
        many calls as before, so that all such trials together are a small part of the calls, and fewer
        and fewer of them.
        """
        if self.calls < _FIRST_AGE_CALLS or self.calls & (self.calls - 1):
            return False
        stale = [key for key, one in self.latencies.items() if one.calls == one.calls_before]
        for key in stale:
            del self.latencies[key]
        if any(lane == "thread" for lane, _ in stale):
            self.crowding.forget()
        for one in self.latencies.values():
            one.calls_before = one.calls
        return bool(stale)

    def _crossed(self, report: CallReport) -> None:
        if report.near_s is None or report.result_bytes is None:
            return
        self.args_bytes, self.result_bytes = report.args_bytes, report.result_bytes
        # No mean: that would follow a reading during which this side had no core, and keep calls from the
        # lane whose next call would put it right.
        most_s = math.inf if self.near_s is None else (1.0 + _NEWEST) * self.near_s
        self.near_s = min(report.near_s, most_s)

    def _lock(self, report: CallReport, wall_s: float) -> None:
        if report.held_share is None or report.run_s is None:
            return
        if wall_s < _OWN_SHARE * report.run_s:
            return  # most samples were taken while it waited for a core, and say nothing
        # Those that were are mostly free of the lock, which it gave up to the sampling thread.
        share = min(1.0, report.held_share * report.run_s / wall_s)
        if self.held_share is not None:  # of old samples half count, so that a change is seen
            self._held_samples, self._samples = self._held_samples / 2, self._samples / 2
        self._held_samples += share * report.samples
        self._samples += report.samples
        if self._samples >= _LOCK_SAMPLES:
            self.held_share = min(1.0, self._held_samples / self._samples)

    def _contention(self, report: CallReport, at_once: int) -> bool:
        """Calls in threads wait for each other: then they hold the lock longer than was sampled.

        Holds that are much shorter than the samples' distance hide from them, and add up. Time on a core
        or in the queue for one is none of this, nor what a call sleeps alone.
        """
        run_s, cpu_s, queue_s = report.run_s, report.cpu_s, report.run_queue_s
        if at_once < 2 or self.held_share is None:  # noqa: PLR2004 - because: alone there is nothing to wait for
            return False
        if run_s is None or cpu_s is None or queue_s is None:
            return False
        waited_s = run_s - cpu_s - queue_s - max(0.0, self.wall_s - self.cpu_s)
        if waited_s < (_CONTENDED - 1.0) * self.wall_s:
            return False
        implied = min(1.0, (self.wall_s + waited_s) / at_once / self.wall_s)
        if implied <= self.held_share + 0.1:
            return False
        before = self.held_share
        self.held_share += _NEWEST * (implied - self.held_share)
        return int(before * 10) != int(self.held_share * 10)

    def _drifts(self, taken_s: float) -> bool:
        if not self._recent:
            self._recent_s = self.wall_s
        self._recent += 1
        # What has seemed to change before is rather of no fixed length: the next time it takes more calls
        # to say so.
        needed = _DRIFT_CALLS << min(self.forgotten, _MOST_DOUBLINGS)
        self._recent_s += (taken_s - self._recent_s) / min(self._recent, needed)
        if self._recent < needed or not _differs(self.wall_s, self._recent_s, _DRIFT):
            return False
        if self._recent_s < min(self.wall_s, _SHORT_S):
            # Quicker than thought, and too quick for the rest to matter.
            self.cpu_s *= self._recent_s / self.wall_s
            self.wall_s, self._recent = self._recent_s, 0
        else:
            self._forget(self._recent_s)
        return True

    def _forget(self, wall_s: float) -> None:
        """What was known holds no more: go on with the new time, and watch again."""
        self.cpu_s *= wall_s / self.wall_s if self.wall_s else 0.0
        self.wall_s = wall_s
        self.watched = 0
        self.is_settled = False
        self._watched_s = 0.0
        self._samples, self._held_samples = 0.0, 0.0
        self.held_share = None
        self._recent, self._breaks = 0, 0
        self.latencies.clear()
        self.forgotten += 1


def _differs(one: float, other: float, by: float) -> bool:
    """Whether two times differ by so much on a logarithmic scale, and by more than readings do."""
    return abs(math.log(max(other, 1e-7) / max(one, 1e-7))) > by and abs(other - one) > 2e-6  # noqa: PLR2004 - because: what two readings of a clock may differ by
