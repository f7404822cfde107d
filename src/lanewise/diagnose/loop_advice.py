"""What would take work off an event loop, and what that gives. Pure.

Gain. A loop that is busy for B of the time, S of it with one function, could serve ``1 / (B - S + S e)``
times as much when only the part e of that work stays on it: what handing a call over takes, or what
another library still needs (Amdahl's law with the loop as the serial part). It serves more only where
it is busy nearly all the time; else its lag is what gets better. As many calls overlap as one turn of
the loop runs, the pool has threads for, and there are cores for (see ``load``).

Crossing. What a process is given is pickled on the loop and unpickled there, and what it gives comes
back the same way. For most work that is small; for codecs it is a walk over the same objects: a
quarter of the work's own time on either side (measured for lists of numbers on 3.13: 0.18 and 0.19
of json.dumps, 0.25 of json.loads).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lanewise.diagnose.load import UNSEEN_SIZE, Advice, Load, Strategy, verify_command
from lanewise.diagnose.loops import Behind, Busy, LoopTime, lag_s
from lanewise.diagnose.session import Frame
from lanewise.diagnose.states import held
from lanewise.diagnose.summary import ProcessSummary

# A stall is worth advice from this share of the time on.
_LEAST_STALLED = 0.01
_LEAST_BUSY = 0.05
_SATURATED = 0.85
# A loop that is later than this is felt, stalled or not.
LATE_S = 0.01
_MOST_OF_A_LOOP = 0.2
# What handing a call over takes of the loop, and of all cores together: as much as the standard
# library's executors take on an ordinary server, by estimate; it matters to calls below a millisecond.
_HAND_OVER_S = {"thread": 60e-6, "process": 150e-6}
_CROSSING_S = {"thread": 60e-6, "process": 250e-6}
_CODEC_CROSSING = 0.25
# What asyncio's own executor has: min(32, cores + 4).
_MOST_THREADS = 32
_MORE_THREADS = 4
# How much faster the known libraries for it are: orjson says about 10 for encoding; for lists of
# numbers 27 was measured there, and 4.2 for decoding.
FASTER = {"json": 4.2, "json.encoder": 10.0}
WAITS = "it waits without the GIL, so a thread takes it off the loop"
_BLOCKING = ("blocking call", "waiting for a lock")
_FOR_THE_GIL = "waiting for the GIL"
_NO_CORE = "waiting for a core"
_HOLDS = "CPU: native code that holds the GIL"
_ASSUMED = "the calls may run beside each other, and nothing else on the loop waits for them"
_SMALL = f"arguments and results are small beside what is computed ({UNSEEN_SIZE})"


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to take work off a loop.

    Attributes:
        left: The part of the work that stays on the loop, or goes on delaying it.
        more: How much more there is to compute, as a part of the work.
        known: Whether ``left`` is more than a bound.
    """

    strategy: Strategy
    why: str
    assumption: str
    left: float = 0.0
    more: float = 0.0
    known: bool = True


def advice_for_loops(summary: ProcessSummary, load: Load) -> Iterator[Advice]:
    """Advise on what stalls a process's loops, or fills them with short callbacks."""
    for loop in summary.loops:
        blamed: dict[tuple[str, str, str], float] = {}
        for stall in loop.stalls:
            key = (stall.path, stall.function, stall.cause)
            blamed[key] = blamed.get(key, 0.0) + stall.duration_s
        for key, seconds in sorted(blamed.items(), key=lambda item: -item[1]):
            if seconds / summary.record.wall_s >= _LEAST_STALLED:
                yield from _for_stalls(summary, load, loop, key)
        # Of what stood in the run queue, or waited for others, nothing was said about its own work.
        stalling = {stall.function for stall in loop.stalls if _is_own(stall.cause)}
        for busy in felt(loop):
            if busy.frame.qualname not in stalling:
                yield from _for_busy(summary, load, loop, busy)


def ran_by_loops(summary: ProcessSummary) -> set[str]:
    """The functions that loops themselves ran, and of which their advice speaks."""
    found = {
        stall.function for loop in summary.loops for stall in loop.stalls if _is_own(stall.cause)
    }
    return found | {busy.frame.qualname for loop in summary.loops for busy in felt(loop)}


def _is_own(cause: str) -> bool:
    """Whether a stall is the doing of the function that it is put down to, on the loop itself."""
    return cause != _NO_CORE and not cause.startswith(_FOR_THE_GIL)


def felt(loop: LoopTime) -> list[Busy]:
    """What takes so much of a loop's time, in whatever pieces, that others feel it."""
    if loop.lag_p99_s < LATE_S and loop.busy_share < _SATURATED:
        return []
    late = loop.lag_p99_s >= LATE_S
    return [
        busy
        for busy in loop.busy
        if busy.share >= _MOST_OF_A_LOOP
        or (late and busy.share >= _LEAST_BUSY and 2 * busy.lag_p99_without_s <= loop.lag_p99_s)
    ]


def lag_behind(summary: ProcessSummary, frame: Frame) -> float | None:
    """The lag of the worst loop if it never waited for the lock behind a function of another thread."""
    lags = [
        behind.lag_p99_without_s if behind else loop.lag_p99_s
        for loop in summary.loops
        for behind in [_behind(loop, frame.file, frame.qualname)]
    ]
    found = any(_behind(loop, frame.file, frame.qualname) for loop in summary.loops)
    return max(lags) if found else None


def _behind(loop: LoopTime, path: str, function: str) -> Behind | None:
    return next(
        (one for one in loop.behind if (one.frame.file, one.frame.qualname) == (path, function)),
        None,
    )


def _for_busy(summary: ProcessSummary, load: Load, loop: LoopTime, busy: Busy) -> Iterator[Advice]:
    for way in _ways(busy.cause, busy.codec):
        yield Advice(
            busy.frame.qualname,
            way.strategy,
            _gain(loop, load, busy, way),
            _lag_after(loop, busy.lag_p99_without_s, way),
            f"it takes {busy.share:.0%} of the event loop's time, in turns that are short, but follow "
            f"each other ({busy.cause}): {way.why}",
            _assumption(load, busy, way),
            verify_command(summary, busy.frame),
        )


def _for_stalls(
    summary: ProcessSummary, load: Load, loop: LoopTime, key: tuple[str, str, str]
) -> Iterator[Advice]:
    path, function, cause = key
    mine = [s for s in loop.stalls if (s.path, s.function, s.cause) == key]
    share = sum(stall.duration_s for stall in mine) / summary.record.wall_s
    busy = next(
        (one for one in loop.busy if (one.frame.file, one.frame.qualname) == (path, function)), None
    )
    for way in _ways(cause, busy.codec if busy else ""):
        frame = Frame(path, mine[0].line, function.rpartition(".")[2], function, 0)
        yield Advice(
            function or None,
            way.strategy,
            _gain_of_stalls(summary, load, loop, frame, busy, cause, way, share),
            _lag_after(loop, _lag_without(summary, loop, key, busy), way),
            f"it stalls the event loop for {share:.0%} of the time ({len(mine)} times, the longest "
            f"{max(s.duration_s for s in mine):.3f} s; {cause}): {way.why}",
            _assumption(load, busy, way),
            verify_command(summary, frame),
        )


def _gain_of_stalls(  # noqa: PLR0913 - because: all of them are facts about the same stalls
    summary: ProcessSummary,
    load: Load,
    loop: LoopTime,
    frame: Frame,
    busy: Busy | None,
    cause: str,
    way: _Way,
    share: float,
) -> float | None:
    if cause.startswith(_FOR_THE_GIL):
        # Not the loop's time is given back, but the lock.
        mine = sum(
            held(one.shares)
            for one in summary.functions
            if (one.frame.file, one.frame.qualname) == (frame.file, frame.qualname)
        )
        return load.gain(max(load.held - mine, 0.0))
    if way.strategy == "stay":
        return 1.0
    if busy is not None:
        return _gain(loop, load, busy, way)
    if loop.busy_share > _SATURATED:
        return min(1 / max(loop.busy_share - share, _LEAST_BUSY), load.spare())
    return 1.0


def _lag_without(
    summary: ProcessSummary, loop: LoopTime, key: tuple[str, str, str], busy: Busy | None
) -> float:
    """The loop's lag if what these stalls are put down to took none of its time."""
    path, function, cause = key
    if cause.startswith(_FOR_THE_GIL):
        behind = _behind(loop, path, function)
        if behind is not None:
            return behind.lag_p99_without_s
    elif busy is not None:
        return busy.lag_p99_without_s
    rest = [s.duration_s * 1e6 for s in loop.stalls if (s.path, s.function, s.cause) != key]
    return lag_s(rest, summary.record.wall_s * 1e6, 0.99)


def _lag_after(loop: LoopTime, without_s: float, way: _Way) -> float:
    """In between, where a part of the work goes on delaying the loop."""
    return without_s + way.left * max(loop.lag_p99_s - without_s, 0.0)


def _gain(loop: LoopTime, load: Load, busy: Busy, way: _Way) -> float | None:
    """The factor on the throughput of a loop that one function leaves; None where that cannot be told."""
    if loop.busy_share <= _SATURATED or way.strategy == "stay":
        return 1.0
    if not way.known:
        return None
    call_s = busy.turn_s / busy.ready if busy.turn_s and busy.ready else None
    handed_over = busy.share * _HAND_OVER_S.get(way.strategy, 0.0) / call_s if call_s else 0.0
    stays = loop.busy_share - busy.share + busy.share * way.left + handed_over
    bounds = [1 / max(stays, _LEAST_BUSY)]
    if way.strategy == "variant":
        return max(1.0, *bounds)
    if busy.ready is not None:
        bounds.append(max(busy.ready, 1.0))
    if way.strategy == "thread":
        bounds.append(_pool(load))
    if not busy.cause.startswith(_BLOCKING):
        slower = call_s / (call_s + _CROSSING_S[way.strategy]) if call_s else 1.0
        bounds.append(load.spare() * slower / (1 + way.more))
    elif busy.ready is None:
        return None
    return max(1.0, min(bounds))


def _pool(load: Load) -> int:
    return min(_MOST_THREADS, load.cores + _MORE_THREADS)


def _assumption(load: Load, busy: Busy | None, way: _Way) -> str:
    words = way.assumption
    if way.strategy == "thread":
        words += f"; asyncio.to_thread, which has {_pool(load)} threads here"
        if busy is not None and busy.ready and busy.ready > _pool(load):
            words += f" (a larger pool overlaps up to {busy.ready:.0f} calls)"
    elif way.strategy == "process":
        words += f"; {load.surroundings()}"
    return words


def _ways(cause: str, codec: str) -> list[_Way]:
    if cause.startswith(_BLOCKING):
        return [_Way("thread", WAITS, _ASSUMED)]
    if cause == "CPU: native code":
        return [
            _Way(
                "thread", "it computes without the GIL, so a thread takes it off the loop", _ASSUMED
            )
        ]
    if cause == "garbage collection":
        why = (
            "fewer, or smaller, collections are what helps: gc.freeze() after start-up, a higher "
            "gc.set_threshold(), fewer objects that live long"
        )
        return [_Way("stay", why, "nothing else allocates as much")]
    if cause.startswith(_FOR_THE_GIL):
        why = "another thread keeps the GIL from the loop; its work belongs in processes"
        return [_Way("process", why, f"{_ASSUMED}; {_SMALL}")]
    if cause == _NO_CORE:
        return [_Way("stay", "the machine has no core left for the loop", "nothing else changes")]
    why = "it holds the GIL, so a thread would go on slowing the loop down; a process does not"
    others = [_another()] if cause == _HOLDS else []
    if codec in FASTER:
        others = [_faster(codec, FASTER[codec])]
    process = _Way("process", why, f"{_ASSUMED}; {_SMALL}")
    return [_crossing_process(codec, why) if codec else process, *others]


def _faster(codec: str, factor: float) -> _Way:
    return _Way(
        "variant",
        f"it is {codec}, for which faster libraries exist (orjson, msgspec); what would have to be sent "
        "to a process is as big as the work itself",
        f"the other library takes {1 / factor:.0%} of the time (lanewise measure tells)",
        left=1 / factor,
    )


def _crossing_process(codec: str, why: str) -> _Way:
    return _Way(
        "process",
        why,
        f"{_ASSUMED}; for {codec}, pickling what crosses takes {_CODEC_CROSSING:.0%} of the work's own "
        "time on either side",
        left=_CODEC_CROSSING,
        more=2 * _CODEC_CROSSING,
    )


def _another() -> _Way:
    return _Way(
        "variant",
        "it is native code that keeps the GIL: another library may be faster, or give the GIL up",
        "an upper bound: the variant takes no time on the loop at all",
        known=False,
    )
