"""How late event loops were, and what made them late. Pure.

A loop's turn runs everything that is ready; what becomes ready meanwhile waits for its end. When a
turn began is read from the loop itself, so a single look into a turn says how long it has been
going on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lanewise.diagnose.codec_frames import codec_of
from lanewise.diagnose.places_of_code import charged, roots_of
from lanewise.diagnose.session import Frame, ProcessRecord
from lanewise.diagnose.states import Look
from lanewise.diagnose.turns import (
    STALL_S,
    Episode,
    Lags,
    Moment,
    episodes_of,
    is_of_a_loop,
    lag_s,
    moments_of,
    outermost_of_callback,
)
from lanewise.runtime.stalls import Roots

__all__ = [
    "STALL_S",
    "Behind",
    "Busy",
    "LoopTime",
    "Stall",
    "lag_s",
    "loop_times",
    "outermost_of_callback",
    "unseen_loops",
]

_LATE = 0.99
_NO_CORE = "waiting for a core"
_CAUSES = {
    "python_gil": "CPU: Python code",
    "native_gil": "CPU: native code that holds the GIL",
    "native_free": "CPU: native code",
    "lock_wait": "waiting for a lock",
    "gil_wait": "waiting for the GIL",
    "run_queue": _NO_CORE,
}
# Below this share of bytecode in what holds the lock, native code it is.
_PYTHON_SHARE = 0.2
_COLLECTION = "garbage collection"
# A call that looks met more than so often, on average, is one of those that were all seen.
_SEEN_OFTEN = 3


@dataclass(frozen=True, slots=True)
class Stall:
    """A time in which a loop served nobody.

    Attributes:
        start_s, duration_s: Since the session began.
        thread: Position of the loop's thread among the record's.
        path, line, function: The user's innermost line that was seen most; empty where none was.
        cause: In words: computing, a blocking call and which, garbage collection, or waiting.
        stack: The whole stack, innermost first, of the look that stands for it.
        looks: How many it rests on.
    """

    start_s: float
    duration_s: float
    thread: int
    path: str
    line: int
    function: str
    cause: str
    stack: tuple[Frame, ...]
    looks: int


@dataclass(frozen=True, slots=True)
class Busy:
    """What one function of the user's, called by the loop, takes of the loop's time.

    Attributes:
        frame: Its line that was seen most.
        cause: As a stall's.
        share: Of the loop's time.
        lag_p99_without_s: The loop's lag if this took none of its time.
        ready: How many calls of it one turn runs, as a mean over time; None where that is not known.
        turn_s: How long they take of such a turn, likewise.
        codec: What it spends most of that in where that is a codec, by its module; else empty.
    """

    frame: Frame
    cause: str
    share: float
    lag_p99_without_s: float
    ready: float | None
    turn_s: float | None
    codec: str = ""


@dataclass(frozen=True, slots=True)
class Behind:
    """What a loop waits for the lock behind, in another thread.

    Attributes:
        frame: The function that held the lock, at the line where that was seen most.
        share: Of the loop's time, waiting behind it.
        lag_p99_without_s: The loop's lag if it never had to.
    """

    frame: Frame
    share: float
    lag_p99_without_s: float


@dataclass(frozen=True, slots=True)
class LoopTime:
    """How one loop did.

    Attributes:
        thread: Position of its thread among the record's.
        lag_p50_s, lag_p99_s, lag_max_s: How long something waits that becomes ready at a random
            moment.
        stalled_share: Of the time, in stalls of at least ``STALL_S`` that are not the machine's doing.
        busy_share: Of the time, in turns.
        stalls: The longest first.
        busy: What its time goes to, most first.
        behind: What it waits for the lock behind, most first.
        tells_turns: Whether it says when its turns begin, as asyncio's own does.
        lag_p99_unlocked_s: Its lag if it never waited for the GIL.
    """

    thread: int
    lag_p50_s: float
    lag_p99_s: float
    lag_max_s: float
    stalled_share: float
    busy_share: float
    stalls: tuple[Stall, ...]
    busy: tuple[Busy, ...] = ()
    behind: tuple[Behind, ...] = ()
    tells_turns: bool = True
    lag_p99_unlocked_s: float = 0.0


def loop_times(record: ProcessRecord) -> list[LoopTime]:
    """Evaluate every event loop that was seen in a process."""
    roots = roots_of(record.frames)
    loops = frozenset(at for at, stack in enumerate(record.stacks) if _has_a_loop(record, stack))
    of_thread: dict[int, list[Look]] = defaultdict(list)
    for look in record.looks:
        of_thread[look.thread].append(look)
    return [
        _OneLoop(record, thread, looks, loops, roots).evaluate()
        for thread, looks in sorted(of_thread.items())
        if any(look.stack in loops for look in looks)
    ]


def _has_a_loop(record: ProcessRecord, stack: Sequence[int]) -> bool:
    return any(is_of_a_loop(record.frames[at]) for at in stack)


# Code that waits for its own events in epoll, and is no loop.
_DRIVERS = ("selectors.py", "psycopg/waiting.py", "psycopg/generators.py")
_LEAST_ASLEEP = 0.05


def unseen_loops(record: ProcessRecord) -> list[Frame]:
    """Where threads wait for events in what may be a loop of which nothing can be told.

    A loop written in C whose caller is not asyncio's runner, as uvloop's or gevent's may be, has no frame
    of its own: what it runs cannot be told from what called it.
    """
    loops = {at for at, stack in enumerate(record.stacks) if _has_a_loop(record, stack)}
    with_loop = {look.thread for look in record.looks if look.stack in loops}
    asleep: Counter[tuple[int, Frame]] = Counter()
    moments: Counter[int] = Counter()
    for look in record.looks:
        moments[look.thread] += look.moments
        stack = record.stacks[look.stack] if look.stack >= 0 else ()
        # One that still slept at the next look did so when its stack was taken.
        if stack and look.moments > 1 and record.calls[look.call] == "epoll":
            asleep[look.thread, record.frames[stack[0]]] += look.moments
    return [
        frame
        for (thread, frame), count in asleep.items()
        if thread not in with_loop
        and count >= _LEAST_ASLEEP * moments[thread]
        and not frame.file.replace("\\", "/").endswith(_DRIVERS)
    ]


class _OneLoop:
    """The looks at one loop's thread, and what follows from them. Pure.

    What is seen of the thread before its loop first runs, in between two runs and afterwards is no time
    of the loop: it is then neither late nor on time.
    """

    def __init__(
        self,
        record: ProcessRecord,
        thread: int,
        looks: Sequence[Look],
        loops: frozenset[int],
        roots: Roots,
    ) -> None:
        self._record, self._thread, self._roots = record, thread, roots
        seen = [at for at, look in enumerate(looks) if look.stack in loops]
        moments = list(moments_of(record, looks[seen[0] : seen[-1] + 1], loops))
        self._episodes = list(episodes_of(moments))
        busy, idle = (
            sum(one.look.moments for one in moments if one.kind == kind)
            for kind in ("busy", "idle")
        )
        self._moments = max(busy + idle, 1)
        self._busy_share = busy / self._moments
        self._lags = Lags(self._episodes, idle)
        absent_us = _absent_us(moments)
        span_us = moments[-1].look.end_us - moments[0].look.start_us if moments else 0
        self._wall_us = max(span_us - absent_us, 1.0)

    def evaluate(self) -> LoopTime:
        stalls = [
            _stall(self._record, self._thread, one, self._roots)
            for one in self._episodes
            if one.stalled
        ]
        blamed_us = sum(stall.duration_s for stall in stalls if stall.cause != _NO_CORE) * 1e6
        in_stalls = min(1.0, sum(stall.duration_s for stall in stalls) * 1e6 / self._wall_us)
        looks = [look for one in self._episodes for look in one.looks]
        return LoopTime(
            self._thread,
            self._lags.quantile_s(0.5),
            self._lags.quantile_s(_LATE),
            max((one.duration_us for one in self._episodes), default=0) / 1e6,
            min(1.0, blamed_us / self._wall_us),
            max(self._busy_share, in_stalls),
            tuple(sorted(stalls, key=lambda stall: -stall.duration_s)),
            tuple(self._busy()),
            tuple(self._behind()),
            not looks or any(look.turn_us for look in looks),
            self._lags.quantile_s(_LATE, lambda look: float(look.state != "gil_wait")),
        )

    def _busy(self) -> list[Busy]:
        """Put the time of all turns down to the user's functions that they ran."""
        of_key: dict[tuple[str, str], list[Look]] = defaultdict(list)
        in_episodes: dict[tuple[str, str], list[tuple[Episode, list[Look]]]] = defaultdict(list)
        for episode in self._episodes:
            mine: dict[tuple[str, str], list[Look]] = defaultdict(list)
            for look in episode.looks:
                stack = self._record.stack_of(look)
                frame = charged(stack, self._roots)
                if frame is not None and outermost_of_callback(stack) is not None:
                    mine[frame.file, frame.qualname].append(look)
            for key, looks in mine.items():
                of_key[key] += looks
                in_episodes[key].append((episode, looks))
        found = [self._one_busy(looks, in_episodes[key]) for key, looks in of_key.items()]
        return sorted(filter(None, found), key=lambda one: -one.share)

    def _one_busy(
        self, looks: Sequence[Look], turns: Sequence[tuple[Episode, list[Look]]]
    ) -> Busy | None:
        cause, deciding = _cause(self._record, looks)
        frame, _ = _culprit(self._record, deciding, self._roots)
        if frame is None:
            return None
        mine = {id(look) for look in looks}
        share = _moments_of(looks) / self._moments
        without_s = self._lags.quantile_s(_LATE, _but_for(mine))
        together = share / self._busy_share if self._busy_share else 1.0
        ready, turn_s = _calls_of(turns, min(together, 1.0))
        codec = _codec(self._record, looks, self._roots)
        return Busy(frame, cause, min(share, 1.0), without_s, ready, turn_s, codec)

    def _behind(self) -> list[Behind]:
        """Find out which functions of other threads held the lock while this loop waited for it."""
        waits = [
            look
            for one in self._episodes
            for look in one.looks
            if look.state == "gil_wait" and look.holder >= 0
        ]
        if not waits:
            return []
        wanted = {(look.holder, look.start_us) for look in waits}
        places = {
            (look.thread, look.start_us): frame
            for look in self._record.looks
            if look.holds
            and (look.thread, look.start_us) in wanted
            and (frame := charged(self._record.stack_of(look), self._roots)) is not None
        }
        of_key: dict[tuple[str, str], list[tuple[Look, Frame]]] = defaultdict(list)
        for look in waits:
            frame = places.get((look.holder, look.start_us))
            if frame is not None:
                of_key[frame.file, frame.qualname].append((look, frame))
        found = []
        for pairs in of_key.values():
            mine = {id(look) for look, _ in pairs}
            frame, _ = Counter(frame for _, frame in pairs).most_common(1)[0]
            without_s = self._lags.quantile_s(_LATE, _but_for(mine))
            share = _moments_of([look for look, _ in pairs]) / self._moments
            found.append(Behind(frame, share, without_s))
        return sorted(found, key=lambda one: -one.share)


def _but_for(looks: set[int]) -> Callable[[Look], float]:
    """What is left of each look's time if these, by identity, took none."""
    return lambda look: float(id(look) not in looks)


def _moments_of(looks: Sequence[Look]) -> int:
    return sum(look.moments for look in looks)


def _absent_us(moments: Sequence[Moment]) -> float:
    """For how long the thread did not run its loop, from the middle to the middle of the looks around."""
    total = 0.0
    for before, at, after in zip(moments, moments[1:], moments[2:], strict=False):
        if at.kind == "absent":
            look = at.look
            total += look.end_us - look.start_us
            total += (look.start_us - before.look.end_us + after.look.start_us - look.end_us) / 2
    return total


def _calls_of(
    turns: Sequence[tuple[Episode, list[Look]]], share: float
) -> tuple[float | None, float | None]:
    """How many calls of a function one turn runs, and how long they take of it: means over time.

    Args:
        turns: Those that it was seen in, with the looks that saw it.
        share: Of the loop's busy time that goes to it. A turn that was seen once tells nothing of who
            shared it, so its callbacks are divided by that: taken to be of equal length.
    """
    weight = ready = taken_us = 0.0
    for episode, looks in turns:
        known = [look for look in looks if look.ready and look.turn_us]
        if not known:
            continue
        part = _moments_of(looks) / episode.moments if episode.moments > 1 else share
        callbacks = max(look.ready for look in known)
        instances = {look.callback for look in looks if look.callback}
        if instances and _moments_of(looks) >= _SEEN_OFTEN * len(instances):
            calls = float(min(len(instances), callbacks))
        else:
            calls = max(1.0, callbacks * part)
        moments = _moments_of(known)
        so_far_us = sum(
            max((look.start_us + look.end_us) / 2 - look.turn_us, 0) * look.moments
            for look in known
        )
        weight += moments
        ready += calls * moments
        # A random moment lies in the middle of its turn, on average.
        taken_us += 2 * so_far_us * part
    return (ready / weight, taken_us / weight / 1e6) if weight else (None, None)


def _codec(record: ProcessRecord, looks: Sequence[Look], roots: Roots) -> str:
    """The codec that most of a function's looks were in, if they were in one."""
    known: dict[int, str] = {}
    counts: Counter[str] = Counter()
    for look in looks:
        if look.stack not in known:
            stack = record.stack_of(look)
            frame = charged(stack, roots)
            known[look.stack] = "" if frame is None else codec_of(stack, frame)
        counts[known[look.stack]] += look.moments
    return counts.most_common(1)[0][0]


def _stall(record: ProcessRecord, thread: int, episode: Episode, roots: Roots) -> Stall:
    cause, deciding = _cause(record, episode.looks)
    if _stood_in_queue(episode):
        cause = _NO_CORE
    frame, stack = _culprit(record, deciding, roots)
    if cause == _CAUSES["gil_wait"]:
        cause, frame = _blame_holder(record, deciding, roots)
    return Stall(
        start_s=episode.start_us / 1e6,
        duration_s=episode.duration_us / 1e6,
        thread=thread,
        path=frame.file if frame else "",
        line=frame.line if frame else 0,
        function=frame.qualname if frame else "",
        cause=cause,
        stack=tuple(stack),
        looks=episode.moments,
    )


def _stood_in_queue(episode: Episode) -> bool:
    """Whether a turn would have been no stall, had its thread not waited for a core for most of it.

    The kernel counts that wait, and what a cgroup's used-up quota makes of it too.
    """
    first, last = episode.looks[0], episode.looks[-1]
    queued_ns = last.queued_ns - first.queued_ns
    own_ns = episode.duration_us * 1000 - queued_ns
    return queued_ns > max(own_ns, last.run_ns - first.run_ns) and own_ns < STALL_S * 1e9


def _cause(record: ProcessRecord, looks: Sequence[Look]) -> tuple[str, list[Look]]:
    """What most looks saw, and those looks."""
    groups: dict[str, list[Look]] = defaultdict(list)
    for look in looks:
        groups[_cause_of(record, look)].append(look)
    # A loop that calls short functions of C is Python code: what to do about it is the same.
    python, native = _CAUSES["python_gil"], _CAUSES["native_gil"]
    if python in groups and len(groups[python]) > _PYTHON_SHARE * len(groups[native]):
        groups[python] += groups.pop(native)
    return max(groups.items(), key=lambda item: sum(look.moments for look in item[1]))


def _cause_of(record: ProcessRecord, look: Look) -> str:
    if look.collecting:
        return _COLLECTION
    if look.state == "io_sleep":
        return f"blocking call ({record.calls[look.call]})"
    nothing_runs = look.on_core != 1 and outermost_of_callback(record.stack_of(look)) is None
    if look.state == "native_free" and nothing_runs:
        return _NO_CORE  # it was woken, and runs nothing yet
    return _CAUSES[look.state]


def _culprit(
    record: ProcessRecord, looks: Sequence[Look], roots: Roots
) -> tuple[Frame | None, Sequence[Frame]]:
    counts: Counter[Frame] = Counter()
    stacks: dict[Frame, Sequence[Frame]] = {}
    for look in looks:
        stack = record.stack_of(look)
        frame = charged(stack, roots)
        if frame is not None:
            counts[frame] += look.moments
            stacks.setdefault(frame, stack)
    if not counts:
        return None, ()
    functions: Counter[tuple[str, str]] = Counter()
    for frame, count in counts.items():
        functions[frame.file, frame.qualname] += count
    most = functions.most_common(1)[0][0]
    best = max((one for one in counts if (one.file, one.qualname) == most), key=counts.__getitem__)
    return best, stacks[best]


def _blame_holder(
    record: ProcessRecord, looks: Sequence[Look], roots: Roots
) -> tuple[str, Frame | None]:
    """Name the thread that held the lock while the loop waited for it, and where it was."""
    moments = {look.start_us for look in looks}
    holders = Counter(look.holder for look in looks if look.holder >= 0)
    if not holders:
        return _CAUSES["gil_wait"], None
    holder = holders.most_common(1)[0][0]
    start_us, end_us = min(moments), max(look.end_us for look in looks)
    theirs = [
        look
        for look in record.looks
        if look.thread == holder and look.start_us <= end_us and look.end_us >= start_us
    ]
    frame, _ = _culprit(record, theirs, roots)
    name = record.threads[holder].name or f"thread {record.threads[holder].native_id}"
    return f"waiting for the GIL, which {name} held", frame
