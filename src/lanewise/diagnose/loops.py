"""How late event loops were, and what made them late. Pure.

A loop's turn runs everything that is ready; what becomes ready meanwhile waits for its end. When a
turn began is read from the loop itself, so a single look into a turn says how long it has been
going on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lanewise.diagnose.places_of_code import as_seen_by_the_watch, charged, roots_of
from lanewise.diagnose.session import Frame, ProcessRecord
from lanewise.diagnose.states import Look
from lanewise.runtime import stalls
from lanewise.runtime.stalls import Roots, callback_of

STALL_S = 0.05
_LATE = 0.99
_RUNNER_FILES = ("asyncio/runners.py", "asyncio/base_events.py")
_LOOP_NAMES = {"_run_once", "run_forever", "run"}
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
        ready: How many callbacks one turn runs with it, as a mean over time; None where that is not
            known.
        turn_s: How long such a turn takes, likewise.
    """

    frame: Frame
    cause: str
    share: float
    lag_p99_without_s: float
    ready: float | None
    turn_s: float | None


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
    """

    thread: int
    lag_p50_s: float
    lag_p99_s: float
    lag_max_s: float
    stalled_share: float
    busy_share: float
    stalls: tuple[Stall, ...]
    busy: tuple[Busy, ...] = ()


class _Moment(NamedTuple):
    """A loop's thread at one look: whether it was busy, and with which turn."""

    look: Look
    busy: bool
    turn: object


_Episode = tuple[float, float, list[Look]]


def loop_times(record: ProcessRecord) -> list[LoopTime]:
    """Evaluate every event loop that was seen in a process."""
    roots = roots_of(record.frames)
    loops = frozenset(at for at, stack in enumerate(record.stacks) if _has_a_loop(record, stack))
    of_thread: dict[int, list[Look]] = defaultdict(list)
    for look in record.looks:
        of_thread[look.thread].append(look)
    return [
        _loop_time(record, thread, looks, loops, roots)
        for thread, looks in sorted(of_thread.items())
        if any(look.stack in loops for look in looks)
    ]


def _has_a_loop(record: ProcessRecord, stack: Sequence[int]) -> bool:
    return any(_is_of_a_loop(record.frames[at]) for at in stack)


def outermost_of_callback(stack: Sequence[Frame]) -> Frame | None:
    """The function that a loop called, or whose coroutine it went on with; None where it ran nothing.

    Args:
        stack: Innermost first.
    """
    if not any(_is_of_a_loop(frame) for frame in stack):
        return None
    callback = callback_of(as_seen_by_the_watch(stack), None)
    return stack[len(callback) - 1] if callback else None


def _is_of_a_loop(frame: Frame) -> bool:
    return frame.name in _LOOP_NAMES and frame.file.replace("\\", "/").endswith(_RUNNER_FILES)


def _loop_time(
    record: ProcessRecord, thread: int, looks: Sequence[Look], loops: frozenset[int], roots: Roots
) -> LoopTime:
    # Before and after it runs, a loop is neither late nor on time.
    seen = [at for at, look in enumerate(looks) if look.stack in loops]
    looks = [
        look for look in looks[seen[0] : seen[-1] + 1] if look.stack in loops or look.stack < 0
    ]
    episodes = list(_episodes(record, looks))
    durations = [end_us - start_us for start_us, end_us, _ in episodes]
    wall_us = max(looks[-1].end_us - looks[0].start_us, 1)
    stalls = [
        _stall(record, thread, episode, roots)
        for episode, duration_us in zip(episodes, durations, strict=True)
        if duration_us >= STALL_S * 1e6
    ]
    return LoopTime(
        thread,
        lag_s(durations, wall_us, 0.5),
        lag_s(durations, wall_us, _LATE),
        max(durations, default=0) / 1e6,
        min(1.0, sum(s.duration_s for s in stalls if s.cause != _NO_CORE) * 1e6 / wall_us),
        min(1.0, sum(durations) / wall_us),
        tuple(sorted(stalls, key=lambda stall: -stall.duration_s)),
        tuple(_busy(record, episodes, wall_us, roots)),
    )


def _busy(
    record: ProcessRecord, episodes: Sequence[_Episode], wall_us: float, roots: Roots
) -> list[Busy]:
    """Put the time of all turns down to the user's functions that they ran."""
    looks_of: dict[tuple[str, str], list[Look]] = defaultdict(list)
    taken_us: dict[tuple[str, str], dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for at, (start_us, end_us, looks) in enumerate(episodes):
        moments = sum(look.moments for look in looks)
        for look in looks:
            frame = charged(record.stack_of(look), roots)
            if frame is not None and outermost_of_callback(record.stack_of(look)) is not None:
                key = frame.file, frame.qualname
                looks_of[key].append(look)
                taken_us[key][at] += (end_us - start_us) * look.moments / moments
    found = []
    for key, looks in looks_of.items():
        cause, deciding = _cause(record, looks)
        frame, _ = _culprit(record, deciding, roots)
        left = [
            end_us - start_us - taken_us[key].get(at, 0.0)
            for at, (start_us, end_us, _) in enumerate(episodes)
        ]
        share = min(1.0, sum(taken_us[key].values()) / wall_us)
        if frame is not None:
            without_s = lag_s(left, wall_us, _LATE)
            found.append(Busy(frame, cause, share, without_s, *_turn_of(looks)))
    return sorted(found, key=lambda one: -one.share)


def _turn_of(looks: Sequence[Look]) -> tuple[float | None, float | None]:
    """How many callbacks the turns of these looks run, and how long they take: means over time."""
    known = [look for look in looks if look.ready and look.turn_us]
    moments = sum(look.moments for look in known)
    if not moments:
        return None, None
    ready = sum(look.ready * look.moments for look in known) / moments
    so_far_us = sum(
        max((look.start_us + look.end_us) / 2 - look.turn_us, 0) * look.moments for look in known
    )
    # A random moment lies in the middle of its turn, on average.
    return ready, 2 * so_far_us / moments / 1e6


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


def _episodes(record: ProcessRecord, looks: Sequence[Look]) -> Iterator[_Episode]:
    """Join looks into one turn of the loop each, with begin and end."""
    current: list[Look] = []
    turn: object = None
    before_us = float(looks[0].start_us)
    for moment in _moments(record, looks):
        look = moment.look
        if current and (not moment.busy or moment.turn != turn):
            end_us = (current[-1].end_us + look.start_us) / 2
            if moment.busy and look.turn_us:
                end_us = max(current[-1].end_us, min(look.turn_us, look.start_us))
            yield _began_us(current[0], before_us), end_us, current
            before_us, current = current[-1].end_us, []
        if moment.busy:
            current.append(look)
            turn = moment.turn
        else:
            before_us = look.end_us
    if current:
        yield _began_us(current[0], before_us), current[-1].end_us, current


def _began_us(first: Look, before_us: float) -> float:
    if first.turn_us and first.turn_us <= first.start_us:
        return max(float(first.turn_us), before_us)
    return (before_us + first.start_us) / 2


def _moments(record: ProcessRecord, looks: Sequence[Look]) -> Iterator[_Moment]:
    known: dict[int, stalls.Stack | None] = {}
    for look in looks:
        if look.stack < 0:
            continue
        if look.stack not in known:
            callback = callback_of(as_seen_by_the_watch(record.stack_of(look)), None)
            known[look.stack] = callback if callback is None else callback[:1]
        callback = known[look.stack]
        if look.state == "io_sleep" and record.calls[look.call] == "epoll":
            # It waits for events, whatever a stack says that was taken a moment before.
            callback = None
        if callback is not None:
            yield _Moment(look, True, look.turn_us or callback)
        else:
            # Nothing runs, but the loop is not asleep either: something is ready, and it cannot go
            # on.
            waits = look.state in {"gil_wait", "python_gil", "native_free", "native_gil"}
            yield _Moment(look, waits, "waits")


def _stall(record: ProcessRecord, thread: int, episode: _Episode, roots: Roots) -> Stall:
    start_us, end_us, looks = episode
    cause, deciding = _cause(record, looks)
    frame, stack = _culprit(record, deciding, roots)
    if cause == _CAUSES["gil_wait"]:
        cause, frame = _blame_holder(record, deciding, roots)
    return Stall(
        start_s=start_us / 1e6,
        duration_s=(end_us - start_us) / 1e6,
        thread=thread,
        path=frame.file if frame else "",
        line=frame.line if frame else 0,
        function=frame.qualname if frame else "",
        cause=cause,
        stack=tuple(stack),
        looks=sum(look.moments for look in looks),
    )


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
    if look.state == "native_free" and outermost_of_callback(record.stack_of(look)) is None:
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
