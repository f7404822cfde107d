"""From what was seen to what to do, each with its predicted gain and what that rests on. Pure.

The model is that of operational bounds (Denning & Buzen), scaled from what was seen. Let the
threads be on a core for C of the time (added up), hold the lock for H, and want to run for D
(running, waiting for the lock or for a core). A change that multiplies the throughput by g needs g
C cores and g H' of the lock, and nobody asks for more than D; of what they ask for they get the
part r that they get today, for other programs go on as they do: ``g = min(r D / C, r cores / C, 1 /
H')``, where H' is what would still hold this process's lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lanewise.diagnose.loops import Busy, LoopTime, lag_s
from lanewise.diagnose.places_of_code import measurable
from lanewise.diagnose.session import Frame
from lanewise.diagnose.states import held
from lanewise.diagnose.summary import FunctionTime, ProcessSummary
from lanewise.diagnose.waiting import main_wait

Strategy = Literal[
    "stay",
    "variant",
    "thread",
    "process",
    "interpreter",
    "switch_interval",
    "free_threaded",
    "unclear",
]
# Below this share of the time a function, or a wait, is not worth anybody's while.
_HOT = 0.05
_LEAST_BUSY = 0.05
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
# A loop that is later than this is felt, stalled or not.
_LATE_S = 0.01
_MOST_OF_A_LOOP = 0.2
# What handing a call over takes of the loop, and of all cores together: measured with the standard
# library's executors, which do it more slowly than this one's lanes.
_HAND_OVER_S = {"thread": 60e-6, "process": 150e-6}
_CROSSING_S = {"thread": 60e-6, "process": 250e-6}
_MOST_THREADS = 32


_ASSUMED = (
    "the calls may run beside each other, what crosses is small beside what is computed, and nothing "
    "else on the loop waits for them"
)


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing that can be done.

    Attributes:
        function: What it is about; None for the whole program.
        strategy: ``stay``, ``variant``, ``thread``, ``process``, ``interpreter``,
            ``switch_interval``, ``free_threaded``, or ``unclear`` where the noise supports no
            answer.
        predicted_gain: Throughput afterwards over throughput now; None where it cannot be told.
        predicted_loop_lag_p99_s: The loop's lag afterwards; None without a loop, or where it cannot
            be told.
        reason: Why, in words.
        assumption: What the prediction rests on.
        verify: The command that shows whether it holds.
    """

    function: str | None
    strategy: Strategy
    predicted_gain: float | None
    predicted_loop_lag_p99_s: float | None
    reason: str
    assumption: str
    verify: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Load:
    """What the model needs of a process, in shares of the time, added up over its threads.

    Attributes:
        on_core: Computing, with and without the lock.
        held: Holding the lock while computing.
        wanted: Computing, or waiting for the lock or for a core.
        gil_wait, run_queue: Two of those waits.
        cores: How many it may use.
    """

    on_core: float
    held: float
    wanted: float
    gil_wait: float
    run_queue: float
    cores: int

    def spare(self) -> float:
        """The factor that the cores allow, when other programs go on as they do."""
        return max(1.0, self.cores / (self.on_core + self.run_queue)) if self.on_core > 0 else 1.0

    def gain(self, still_held: float) -> float:
        """The factor on throughput when only this much holds the process's lock."""
        if self.on_core <= 0:
            return 1.0
        granted = self.on_core / (self.on_core + self.run_queue)
        bounds = [granted * self.wanted / self.on_core, granted * self.cores / self.on_core]
        if still_held > 0:
            bounds.append(1 / still_held)
        return max(1.0, min(bounds))


def load_of(summary: ProcessSummary) -> Load:
    """Add up what the threads did."""
    total: dict[str, float] = dict.fromkeys(("held", "free", "gil_wait", "run_queue"), 0.0)
    for thread in summary.threads:
        weight = thread.alive_s / summary.record.wall_s
        total["held"] += weight * held(thread.shares)
        total["free"] += weight * thread.shares["native_free"]
        total["gil_wait"] += weight * thread.shares["gil_wait"]
        total["run_queue"] += weight * thread.shares["run_queue"]
    on_core = total["held"] + total["free"]
    return Load(
        on_core=on_core,
        held=total["held"],
        wanted=on_core + total["gil_wait"] + total["run_queue"],
        gil_wait=total["gil_wait"],
        run_queue=total["run_queue"],
        cores=summary.record.cores,
    )


def advise(summary: ProcessSummary) -> list[Advice]:
    """Say what would help, best first; what says that nothing would, alone."""
    load = load_of(summary)
    noise = _too_noisy(summary, load)
    if noise:
        # What blocks a loop without computing is as clear on a busy machine.
        sure = [one for one in _of_loops(summary, load) if one.strategy == "thread"]
        return [*sorted(sure, key=_rank), _unclear(noise)] if summary.loops else [_unclear(noise)]
    found = [*_of_loops(summary, load), *_of_functions(summary, load), *_of_program(summary, load)]
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


def _of_loops(summary: ProcessSummary, load: Load) -> Iterator[Advice]:
    for loop in summary.loops:
        blamed: dict[tuple[str, str, str], float] = {}
        for stall in loop.stalls:
            key = (stall.path, stall.function, stall.cause)
            blamed[key] = blamed.get(key, 0.0) + stall.duration_s
        for (path, function, cause), seconds in sorted(blamed.items(), key=lambda item: -item[1]):
            if seconds / summary.record.wall_s >= _HOT / 5:
                yield _for_stalls(summary, load, loop, (path, function, cause))
        stalling = {stall.function for stall in loop.stalls}
        for busy in _felt(loop):
            if busy.frame.qualname not in stalling:
                yield _for_busy(summary, load, loop, busy)


def _felt(loop: LoopTime) -> list[Busy]:
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
        return "thread", "it waits without the GIL, so a thread takes it off the loop"
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


def _of_functions(summary: ProcessSummary, load: Load) -> Iterator[Advice]:
    stalled = {stall.function for loop in summary.loops for stall in loop.stalls}
    stalled |= {busy.frame.qualname for loop in summary.loops for busy in _felt(loop)}
    for function in summary.functions[: 4 * _MOST_FUNCTIONS]:
        mine = held(function.shares)
        if mine < _HOT or function.frame.qualname in stalled or load.gil_wait < _HOT:
            continue
        yield from _for_function(summary, load, function, mine)


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


def verify_command(summary: ProcessSummary, frame: Frame) -> str:
    """The command that shows whether an advice for a function holds."""
    target = measurable(frame, summary.record.root)
    if target is None:
        return "lanewise diagnose diff BEFORE AFTER, with a session recorded before and after the change"
    return f"lanewise measure {target} --inputs MODULE:CALLABLE"


def _version(summary: ProcessSummary) -> tuple[int, ...]:
    parts = summary.record.python_version.split(".")[:2]
    return tuple(int(part) for part in parts if part.isdigit())
