"""What would take work off an event loop, and what that gives. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from lanewise.diagnose.load import Advice, Load, Strategy, verify_command
from lanewise.diagnose.loops import Busy, LoopTime, lag_s
from lanewise.diagnose.session import Frame
from lanewise.diagnose.summary import ProcessSummary

# A stall is worth advice from this share of the time on.
_LEAST_STALLED = 0.01
_LEAST_BUSY = 0.05
_SATURATED = 0.85
# A loop that is later than this is felt, stalled or not.
_LATE_S = 0.01
_MOST_OF_A_LOOP = 0.2
# What handing a call over takes of the loop, and of all cores together: as much as the standard
# library's executors take on an ordinary server, by estimate; it matters to calls below a millisecond.
_HAND_OVER_S = {"thread": 60e-6, "process": 150e-6}
_CROSSING_S = {"thread": 60e-6, "process": 250e-6}
_MOST_THREADS = 32
WAITS = "it waits without the GIL, so a thread takes it off the loop"
_ASSUMED = (
    "the calls may run beside each other, what crosses is small beside what is computed, and nothing "
    "else on the loop waits for them"
)


def advice_for_loops(summary: ProcessSummary, load: Load) -> Iterator[Advice]:
    """Advise on what stalls a process's loops, or fills them with short callbacks."""
    for loop in summary.loops:
        blamed: dict[tuple[str, str, str], float] = {}
        for stall in loop.stalls:
            key = (stall.path, stall.function, stall.cause)
            blamed[key] = blamed.get(key, 0.0) + stall.duration_s
        for (path, function, cause), seconds in sorted(blamed.items(), key=lambda item: -item[1]):
            if seconds / summary.record.wall_s >= _LEAST_STALLED:
                yield _for_stalls(summary, load, loop, (path, function, cause))
        stalling = {stall.function for stall in loop.stalls}
        for busy in felt(loop):
            if busy.frame.qualname not in stalling:
                yield _for_busy(summary, load, loop, busy)


def felt(loop: LoopTime) -> list[Busy]:
    """What takes so much of a loop's time, in whatever pieces, that others feel it."""
    if loop.lag_p99_s < _LATE_S and loop.busy_share < _SATURATED:
        return []
    return [busy for busy in loop.busy if busy.share >= _MOST_OF_A_LOOP]


def _for_busy(summary: ProcessSummary, load: Load, loop: LoopTime, busy: Busy) -> Advice:
    strategy, why = _way_out(busy.cause)
    return Advice(
        busy.frame.qualname,
        strategy,
        _gain_off_the_loop(loop, load, busy, strategy),
        busy.lag_p99_without_s,
        f"it takes {busy.share:.0%} of the event loop's time, in turns that are short, but follow "
        f"each other ({busy.cause}): {why}",
        _ASSUMED,
        verify_command(summary, busy.frame),
    )


def _gain_off_the_loop(loop: LoopTime, load: Load, busy: Busy, strategy: Strategy) -> float | None:
    """The factor on the throughput of a loop that one function leaves; None where that cannot be told."""
    if loop.busy_share <= _SATURATED:
        return 1.0
    if strategy not in _HAND_OVER_S:
        return 1.0
    call_s = busy.turn_s / busy.ready if busy.turn_s and busy.ready else None
    per_call_s = _HAND_OVER_S[strategy]
    handed_over = busy.share * per_call_s / call_s if call_s else 0.0
    bounds = [1 / max(loop.busy_share - busy.share + handed_over, _LEAST_BUSY)]
    if busy.ready is not None:
        # As many calls overlap as the loop found ready at once.
        bounds.append(min(max(busy.ready, 1.0), _MOST_THREADS))
    if not busy.cause.startswith(("blocking call", "waiting for a lock")):
        slower = call_s / (call_s + _CROSSING_S[strategy]) if call_s else 1.0
        bounds.append(load.spare() * slower)
    elif busy.ready is None:
        return None
    return max(1.0, min(bounds))


def _for_stalls(
    summary: ProcessSummary, load: Load, loop: LoopTime, key: tuple[str, str, str]
) -> Advice:
    path, function, cause = key
    mine = [s for s in loop.stalls if (s.path, s.function, s.cause) == key]
    seconds = sum(stall.duration_s for stall in mine)
    share = seconds / summary.record.wall_s
    rest = [s.duration_s * 1e6 for s in loop.stalls if (s.path, s.function, s.cause) != key]
    lag_after_s = lag_s(rest, summary.record.wall_s * 1e6, 0.99)
    strategy, why = _way_out(cause)
    busy = next(
        (one for one in loop.busy if (one.frame.file, one.frame.qualname) == (path, function)), None
    )
    gain: float | None = 1.0
    if busy is not None:
        gain = _gain_off_the_loop(loop, load, busy, strategy)
    elif loop.busy_share > _SATURATED:
        gain = min(1 / max(loop.busy_share - share, _LEAST_BUSY), load.spare())
    frame = Frame(path, mine[0].line, function.rpartition(".")[2], function, 0)
    return Advice(
        function or None,
        strategy,
        gain,
        lag_after_s,
        f"it stalls the event loop for {share:.0%} of the time ({len(mine)} times, the longest "
        f"{max(s.duration_s for s in mine):.3f} s; {cause}): {why}",
        _ASSUMED,
        verify_command(summary, frame),
    )


def _way_out(cause: str) -> tuple[Strategy, str]:
    if cause.startswith(("blocking call", "waiting for a lock")):
        return "thread", WAITS
    if cause == "CPU: native code":
        return "thread", "it computes without the GIL, so a thread takes it off the loop"
    if cause == "garbage collection":
        return (
            "stay",
            (
                "fewer, or smaller, collections are what helps: gc.freeze() after start-up, a higher "
                "gc.set_threshold(), fewer objects that live long"
            ),
        )
    if cause.startswith("waiting for the GIL"):
        return (
            "process",
            "another thread keeps the GIL from the loop; its work belongs in processes",
        )
    if cause == "waiting for a core":
        return "stay", "the machine has no core left for the loop"
    return (
        "process",
        "it holds the GIL, so a thread would go on slowing the loop down; a process does not",
    )
