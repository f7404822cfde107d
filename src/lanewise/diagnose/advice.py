"""From what was seen to what to do, each with its predicted gain and what that rests on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lanewise.diagnose.load import UNSEEN_SIZE, Advice, Load, load_of, verify_command, wanted_of
from lanewise.diagnose.loop_advice import (
    FASTER,
    WAITS,
    advice_for_loops,
    lag_behind,
    ran_by_loops,
)
from lanewise.diagnose.ranking import best_first, score
from lanewise.diagnose.states import Shares, held
from lanewise.diagnose.summary import FunctionTime, ProcessSummary
from lanewise.diagnose.waiting import main_wait

__all__ = ["Advice", "advise", "advise_all", "load_of"]

# Below this share of the time a function, or a wait, is not worth anybody's while.
_HOT = 0.05
_LEAST_GAIN = 1.1
_SATURATED = 0.85
_NOISY_ERROR = 0.1
_NOISY_QUEUE = 0.35
_FELT = 0.15
_FULL = 0.8
_LEAST_OBSERVED_S = 1.0
_LEAST_LOOKS = 100
_SHORT_INTERVAL_S = 0.0005
_MOST_FUNCTIONS = 5
_INTERPRETERS_SINCE = (3, 14)
# A thread that wants more than this of the time computes; one that needs the lock for less of its
# own time does so only now and then.
_COMPUTES = 0.8
_BRIEF = 0.5
_MOST_GAIN = 20.0
# What sending a call to a process takes altogether; ten times that is left unfelt.
_CROSSING_MS = 0.25
# What a free-threaded build keeps of one thread's speed: PEP 703 and the release notes of 3.14 say
# 5 to 10 % less; 3.13's, which does not specialise, loses 40 %.
_FREE_THREADED_SPEED = 0.92


def advise_all(summaries: Sequence[ProcessSummary]) -> list[Advice]:
    """Advise on several processes, as a server's workers are: the busiest first, each thing once.

    What only says that a process is idle or fine is left out where another one has something to say.
    """
    found: list[tuple[float, Advice]] = []
    for summary in sorted(summaries, key=lambda one: -load_of(one).wanted):
        found += _scored(summary, summaries)
    told = [one for _, one in best_first(found)]
    sure = [one for one in told if one.strategy not in {"stay", "unclear"} or one.function]
    unclear = [one for one in told if one.strategy == "unclear"]
    return [*sure, *unclear] or told


def advise(summary: ProcessSummary, family: Sequence[ProcessSummary] = ()) -> list[Advice]:
    """Say what would help, best first; what says that nothing would, alone.

    Args:
        summary: Of the process.
        family: Of all of the program's processes that were looked at, this one among them.
    """
    return [one for _, one in _scored(summary, family)]


def _scored(
    summary: ProcessSummary, family: Sequence[ProcessSummary]
) -> list[tuple[float, Advice]]:
    load = load_of(summary, family)
    if not summary.record.gil_known:
        reason = "; ".join(summary.record.weaknesses[:1])
        return [
            (
                -1.0,
                _unclear(
                    f"the GIL could not be seen: {reason}", "as the process's own user, or as root"
                ),
            )
        ]
    noise = _too_noisy(summary, load)
    if noise:
        # What blocks a loop without computing is as clear on a busy machine.
        found = [one for one in advice_for_loops(summary, load) if WAITS in one.reason]
    else:
        found = [
            *advice_for_loops(summary, load),
            *_of_functions(summary, load),
            *_of_program(summary, load),
            *_of_free_code(summary, load),
        ]
    ranked = best_first((score(one, summary.lag_p99_s), one) for one in found)
    if noise:
        words = "for longer, on a machine with a free core"
        return [*ranked, (-1.0, _unclear(f"too noisy to say: {noise}", words))]
    return ranked or [(-1.0, _stay(summary, load))]


def _unclear(reason: str, better: str) -> Advice:
    return Advice(None, "unclear", None, None, reason, "none", f"the same command {better}")


def _too_noisy(summary: ProcessSummary, load: Load) -> str:
    record = summary.record
    looks = max((thread.looks for thread in summary.threads), default=0)
    if record.wall_s < _LEAST_OBSERVED_S or looks < _LEAST_LOOKS:
        return f"only {record.wall_s:.1f} s and {looks} looks"
    if summary.gil_held_error > _NOISY_ERROR:
        return f"the held share is {summary.gil_held_share:.2f} ± {summary.gil_held_error:.2f}"
    wanting = load.on_core + load.gil_wait + load.run_queue
    queued = load.run_queue / wanting if wanting else 0.0
    # Threads of its own that fill the cores wait for each other, which is no noise.
    full = load.on_core >= _FULL * load.most_cores()
    if queued > _NOISY_QUEUE and load.run_queue > _FELT and not full:
        return (
            f"its threads waited for a core for {queued:.0%} of the time that they wanted to run, for "
            "other processes use the machine"
        )
    return ""


def _of_functions(summary: ProcessSummary, load: Load) -> Iterator[Advice]:
    told = ran_by_loops(summary)
    hot = [
        function
        for function in summary.functions[: 4 * _MOST_FUNCTIONS]
        if held(function.shares) >= _HOT
        and function.frame.qualname not in told
        and load.gil_wait >= _HOT
    ]
    for function in hot:
        yield from _for_function(summary, load, function, held(function.shares))
    if len(hot) > 1:
        yield from _for_all(load, hot)


def _for_all(load: Load, hot: Sequence[FunctionTime]) -> Iterator[Advice]:
    """Where no single function holds the GIL for most of the time, several together may."""
    mine = sum(held(function.shares) for function in hot)
    together = load.gain(max(load.held - mine, 0.0))
    alone = max(load.gain(max(load.held - held(one.shares), 0.0)) for one in hot)
    if together >= _LEAST_GAIN * alone:
        names = ", ".join(one.frame.qualname for one in hot[:_MOST_FUNCTIONS])
        yield Advice(
            None,
            "process",
            together,
            None,
            f"{names} hold the GIL for {mine:.0%} of the time together, while others wait for it "
            f"({load.gil_wait:.2f} threads on average)",
            f"all of them move; {load.surroundings()}; {_crossing()}",
            "lanewise diagnose diff BEFORE AFTER, with a session recorded before and after the change",
        )


def _crossing() -> str:
    return (
        f"arguments and results that cost little to send ({UNSEEN_SIZE}), and calls of "
        f"{10 * _CROSSING_MS:g} ms or more (sending one takes about {_CROSSING_MS:g} ms)"
    )


def _for_function(
    summary: ProcessSummary, load: Load, function: FunctionTime, mine: float
) -> Iterator[Advice]:
    gain = load.gain(max(load.held - mine, 0.0))
    lag_s = lag_behind(summary, function.frame)
    verify = verify_command(summary, function.frame)
    if gain >= _LEAST_GAIN:
        yield Advice(
            function.frame.qualname,
            "process",
            gain,
            lag_s,
            f"it holds the GIL for {mine:.0%} of the time while others wait for it "
            f"({load.gil_wait:.2f} threads on average)",
            f"{load.surroundings()}, {load.held - mine:.2f} of the GIL left in this process; "
            f"{_crossing()}",
            verify,
        )
        if _version(summary) >= _INTERPRETERS_SINCE:
            yield Advice(
                function.frame.qualname,
                "interpreter",
                gain,
                lag_s,
                "as in a process, with read-only buffers that are not copied",
                "the extensions that it imports may run in interpreters of their own, and nothing here "
                "forks: a fork of a process with sub-interpreters crashes",
                verify,
            )
    native = function.shares["native_gil"]
    if native > mine / 2 and native >= _HOT and load.held > 0:
        yield from _variant(summary, load, function)


def _variant(summary: ProcessSummary, load: Load, function: FunctionTime) -> Iterator[Advice]:
    """Another library for native code that keeps the GIL.

    Less time under the lock shortens the lock's queue and each thread's own cycle, so the gain is at most
    ``min(1 / (H - n), 1 / (B / D - n / k))``, where n is the native time that is saved, in k threads, and
    B / D the part of a thread's cycle that is no wait (see ``load``).
    """
    native, frame = function.shares["native_gil"], function.frame
    factor = FASTER.get(function.codec)
    saved = native * (1 - 1 / factor) if factor else native
    cycle = load.busy / load.wanted if load.wanted > 0 else 1.0
    lock = 1 / max(load.held - saved, 1 / _MOST_GAIN)
    own = 1 / max(cycle - saved / max(function.threads, 1), 1 / _MOST_GAIN)
    gain = max(1.0, min(lock, own, factor or _MOST_GAIN))
    if gain < _LEAST_GAIN:
        return
    known = (
        f"it is {function.codec}, for which faster libraries exist (orjson, msgspec)"
        if factor
        else "another library may be faster, or give the GIL up"
    )
    yield Advice(
        frame.qualname,
        "variant",
        gain if factor else min(gain, load.gain(max(load.held - native, 0.0))),
        lag_behind(summary, frame),
        f"{native / held(function.shares):.0%} of its time under the GIL is native code that keeps it: "
        f"{known}",
        f"the other library takes {1 / factor:.0%} of the time (lanewise measure tells)"
        if factor
        else "an upper bound: the variant takes no time under the GIL at all",
        verify_command(summary, frame),
    )


def _of_program(summary: ProcessSummary, load: Load) -> Iterator[Advice]:
    if load.gil_wait < _HOT or not summary.record.gil_enabled:
        return
    gain = load.gain(0.0) * _FREE_THREADED_SPEED
    if gain >= _LEAST_GAIN:
        yield Advice(
            None,
            "free_threaded",
            gain,
            None,
            f"its threads want the GIL for {load.held + load.gil_wait:.2f} of the time and there "
            "is one",
            f"{load.surroundings()}; the code scales without the lock, and one thread keeps "
            f"{_FREE_THREADED_SPEED:.0%} of its speed (from 3.14 on); its "
            "extensions support it (lanewise audit, lanewise audit --dependencies)",
            "python3.14t with the same program, then lanewise diagnose diff",
        )
    yield from _interval(summary)


def _interval(summary: ProcessSummary) -> Iterator[Advice]:
    """A shorter switch interval, where threads that need the GIL briefly wait behind one that computes.

    A thread that wants the lock asks for it after one interval, so what is waited for bytecode shrinks
    with the interval; the gain is that of the threads that wait, whose cycle gets so much shorter.
    """
    interval_s = summary.record.switch_interval_s or 0.005
    if interval_s <= 2 * _SHORT_INTERVAL_S:
        return
    ratio = _SHORT_INTERVAL_S / interval_s
    wanted = wanted_of(summary)
    computing = [
        thread
        for thread in summary.threads
        if wanted[thread.thread] >= _COMPUTES
        and thread.shares["python_gil"] > thread.shares["native_gil"]
    ]
    victims = [
        thread
        for thread in summary.threads
        if thread.shares["gil_wait"] >= _HOT and _needs_the_lock_briefly(thread.shares)
    ]
    if not computing or not victims:
        return
    worst = max(victims, key=lambda thread: thread.shares["gil_wait"])
    waiting = worst.shares["gil_wait"]
    lag_s = summary.lag_p99_s
    freed_s = max((loop.lag_p99_unlocked_s for loop in summary.loops), default=None)
    yield Advice(
        None,
        "switch_interval",
        1 / max(1 - waiting * (1 - ratio), 1 / _MOST_GAIN),
        None if lag_s is None or freed_s is None else freed_s + ratio * max(lag_s - freed_s, 0.0),
        f"a thread that needs the GIL only briefly waits for it {waiting:.0%} of the time, "
        "behind one that computes: "
        f"sys.setswitchinterval({_SHORT_INTERVAL_S}) makes it wait for a {1 / ratio:.0f}th of that",
        "the gain is that of the thread that waits; what it waits for is bytecode (native code that "
        "holds the GIL is not interrupted); the one that computes loses a few percent",
        "sys.setswitchinterval at start-up, then lanewise diagnose diff",
    )


def _needs_the_lock_briefly(shares: Shares) -> bool:
    """Whether a thread would hold the lock for little of its time even if it never waited."""
    own = max(1 - shares["gil_wait"] - shares["run_queue"], 1 / _MOST_GAIN)
    return held(shares) < shares["gil_wait"] / 2 and held(shares) / own <= _BRIEF


def _of_free_code(summary: ProcessSummary, load: Load) -> Iterator[Advice]:
    """One thread computes without the GIL, outside of any loop, while cores stand idle."""
    if not summary.record.gil_enabled or load.gil_wait >= _HOT:
        return
    gain = min(load.spare(), 1 / load.held if load.held > 0 else load.spare())
    busy = [thread for thread, wanted in wanted_of(summary).items() if wanted >= _HOT]
    if len(busy) != 1 or load.busy < _COMPUTES or gain < _LEAST_GAIN:
        return
    told = ran_by_loops(summary)
    for function in summary.functions[:_MOST_FUNCTIONS]:
        free = function.shares["native_free"]
        if free >= load.busy / 2 and function.frame.qualname not in told:
            yield Advice(
                function.frame.qualname,
                "thread",
                gain,
                None,
                f"one thread computes, {free:.0%} of the time without the GIL, while cores are idle: "
                "its calls can run beside each other",
                f"the calls are independent of each other; {load.surroundings()}",
                verify_command(summary, function.frame),
            )


def _stay(summary: ProcessSummary, load: Load) -> Advice:
    what = main_wait(summary, load)
    if not summary.record.gil_enabled:
        reason = f"There is no GIL here; {what}"
    elif load.held >= _SATURATED and load.gil_wait >= _HOT:
        reason = (
            f"its threads wait for the GIL, and there is no room for more at once: "
            f"{load.surroundings()}"
        )
    elif load.held >= _SATURATED:
        reason = (
            "one thread computes under the GIL nearly all the time and nobody waits for it: "
            "threads would add nothing, "
            f"processes up to a factor of {load.spare():.3g} if the work can be divided"
        )
    else:
        reason = f"Nothing here is limited by the GIL; {what}"
    return Advice(
        None,
        "stay",
        1.0,
        summary.lag_p99_s,
        reason,
        "the load stays as it was while this was recorded",
        "lanewise diagnose again, under the load that matters",
    )


def _version(summary: ProcessSummary) -> tuple[int, ...]:
    parts = summary.record.python_version.split(".")[:2]
    return tuple(int(part) for part in parts if part.isdigit())
