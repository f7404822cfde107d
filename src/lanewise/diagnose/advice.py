"""From what was seen to what to do, each with its predicted gain and what that rests on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lanewise.diagnose.load import Advice, Load, load_of, verify_command
from lanewise.diagnose.loop_advice import WAITS, advice_for_loops, felt
from lanewise.diagnose.states import held
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


def advise_all(summaries: Sequence[ProcessSummary]) -> list[Advice]:
    """Advise on several processes, as a server's workers are: the busiest first, each thing once.

    What only says that a process is idle or fine is left out where another one has something to say.
    """
    found: dict[tuple[str | None, str], Advice] = {}
    for summary in sorted(summaries, key=lambda one: -load_of(one).wanted):
        for one in advise(summary):
            found.setdefault((one.function, one.strategy), one)
    told = list(found.values())
    sure = [one for one in told if one.strategy not in {"stay", "unclear"} or one.function]
    unclear = [one for one in told if one.strategy == "unclear"]
    return [*sorted(sure, key=_rank), *unclear] or told


def advise(summary: ProcessSummary) -> list[Advice]:
    """Say what would help, best first; what says that nothing would, alone."""
    load = load_of(summary)
    noise = _too_noisy(summary, load)
    if noise:
        # What blocks a loop without computing is as clear on a busy machine.
        sure = [one for one in advice_for_loops(summary, load) if WAITS in one.reason]
        return [*sorted(sure, key=_rank), _unclear(noise)] if summary.loops else [_unclear(noise)]
    found = [
        *advice_for_loops(summary, load),
        *_of_functions(summary, load),
        *_of_program(summary, load),
    ]
    if not found:
        return [_stay(summary, load)]
    return sorted(found, key=_rank)


def _rank(advice: Advice) -> tuple[float, float, int]:
    order = ("thread", "process", "interpreter", "variant", "free_threaded", "switch_interval")
    lag = advice.predicted_loop_lag_p99_s
    place = order.index(advice.strategy) if advice.strategy in order else len(order)
    return (0.0 if lag is None else -1.0, -(advice.predicted_gain or 1.0), place)


def _unclear(noise: str) -> Advice:
    return Advice(
        None,
        "unclear",
        None,
        None,
        f"too noisy to say: {noise}",
        "none",
        "the same command for longer, on a machine with a free core",
    )


def _too_noisy(summary: ProcessSummary, load: Load) -> str:
    record = summary.record
    looks = max((thread.looks for thread in summary.threads), default=0)
    if record.wall_s < _LEAST_OBSERVED_S or looks < _LEAST_LOOKS:
        return f"only {record.wall_s:.1f} s and {looks} looks"
    if summary.gil_held_error > _NOISY_ERROR:
        return f"the held share is {summary.gil_held_share:.2f} ± {summary.gil_held_error:.2f}"
    queued = load.run_queue / load.wanted if load.wanted else 0.0
    # Threads of its own that fill the cores wait for each other, which is no noise.
    if queued > _NOISY_QUEUE and load.run_queue > _FELT and load.on_core < _FULL * load.cores:
        return (
            f"its threads waited for a core for {queued:.0%} of the time that they wanted to run, for "
            "other processes use the machine"
        )
    return ""


def _of_functions(summary: ProcessSummary, load: Load) -> Iterator[Advice]:
    stalled = {stall.function for loop in summary.loops for stall in loop.stalls}
    stalled |= {busy.frame.qualname for loop in summary.loops for busy in felt(loop)}
    hot = [
        function
        for function in summary.functions[: 4 * _MOST_FUNCTIONS]
        if held(function.shares) >= _HOT
        and function.frame.qualname not in stalled
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
            f"all of them move; {load.cores} cores; arguments and results that cost little to send",
            "lanewise diagnose diff BEFORE AFTER, with a session recorded before and after the change",
        )


def _for_function(
    summary: ProcessSummary, load: Load, function: FunctionTime, mine: float
) -> Iterator[Advice]:
    gain = load.gain(max(load.held - mine, 0.0))
    verify = verify_command(summary, function.frame)
    if gain >= _LEAST_GAIN:
        yield Advice(
            function.frame.qualname,
            "process",
            gain,
            None,
            f"it holds the GIL for {mine:.0%} of the time while others wait for it "
            f"({load.gil_wait:.2f} threads on average)",
            f"{load.cores} cores, {load.held - mine:.2f} of the GIL left in this process, "
            "arguments and results that cost "
            "little to send (their size was not seen)",
            verify,
        )
        if _version(summary) >= _INTERPRETERS_SINCE:
            yield Advice(
                function.frame.qualname,
                "interpreter",
                gain,
                None,
                "as in a process, with read-only buffers that are not copied",
                "the extensions that it imports may run in interpreters of their own",
                verify,
            )
    native = function.shares["native_gil"]
    if native > mine / 2 and native >= _HOT and load.held > 0:
        yield Advice(
            function.frame.qualname,
            "variant",
            min(
                1 / max(1 - native / load.held, 0.05),
                load.gain(max(load.held - native, 0.0)) or 1.0,
            ),
            None,
            f"{native / mine:.0%} of its time under the GIL is native code that keeps it: another "
            "library may be faster, or "
            "give the GIL up",
            "an upper bound: the variant takes no time under the GIL at all",
            verify,
        )


def _of_program(summary: ProcessSummary, load: Load) -> Iterator[Advice]:
    if load.gil_wait < _HOT or not summary.record.gil_enabled:
        return
    gain = load.gain(0.0)
    if gain >= _LEAST_GAIN:
        yield Advice(
            None,
            "free_threaded",
            gain,
            None,
            f"its threads want the GIL for {load.held + load.gil_wait:.2f} of the time and there "
            "is one",
            f"{load.cores} cores; the code scales without the lock, which takes 5 to 10 % from "
            "each thread; its "
            "extensions support it (lanewise audit, lanewise audit --dependencies)",
            "python3.14t with the same program, then lanewise diagnose diff",
        )
    interval_s = summary.record.switch_interval_s or 0.005
    victims = [
        thread
        for thread in summary.threads
        if thread.shares["gil_wait"] >= _HOT and held(thread.shares) < thread.shares["gil_wait"] / 2
    ]
    if victims and interval_s > 2 * _SHORT_INTERVAL_S:
        worst = max(victims, key=lambda thread: thread.shares["gil_wait"])
        waiting = worst.shares["gil_wait"]
        after = waiting * _SHORT_INTERVAL_S / interval_s
        yield Advice(
            None,
            "switch_interval",
            None,
            None,
            f"a thread that needs the GIL only briefly waits for it {waiting:.0%} of the time, "
            "behind one that computes: "
            f"sys.setswitchinterval({_SHORT_INTERVAL_S}) makes it wait for about {after:.0%}",
            "what it waits for is bytecode (native code that holds the GIL is not interrupted); "
            "the one that computes "
            "loses a few percent",
            "sys.setswitchinterval at start-up, then lanewise diagnose diff",
        )


def _stay(summary: ProcessSummary, load: Load) -> Advice:
    what = main_wait(summary, load)
    if not summary.record.gil_enabled:
        reason = f"There is no GIL here; {what}"
    elif load.held >= _SATURATED:
        reason = (
            "one thread computes under the GIL nearly all the time and nobody waits for it: "
            "threads would add nothing, "
            f"processes up to a factor of {load.cores} if the work can be divided"
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
