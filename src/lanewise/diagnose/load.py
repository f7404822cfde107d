"""What a piece of advice is made of: the load as it was seen, and the model of what a change gives. Pure.

The model is that of operational bounds (Denning & Buzen, "The Operational Analysis of Queueing
Network Models", ACM Computing Surveys 10, 1978), scaled from what was seen. Let the threads work for
B of the time (added up: on a core, or asleep with the lock, which keeps it from others all the same),
be on a core for C of it, and hold the lock for H.

Demand. A thread that works for b, waits for the lock for w and for a core for q of its time would go
through its work in 1 - w - q of that time, for it sleeps as long as before (Little's law for one
customer: without the waits its cycle is shorter by just them). So nobody asks for more than ``D = sum
of min(1, b / (1 - w - q))``; a thread that never sleeps has b = 1 - w - q and asks for 1.

Room. The program's processes together ask for W cores, others want O of what there is of them. Where
that is too much for the cores (or for the cgroup's quota), the kernel divides by the number of those
who want: ``W' = max(cores - O, cores W / (W + O))``. Others who were seen to use o while this program
got the part r = C / (C + Q) of what it asked for (Q waited for a core) are taken to want o / r, as they
stand in the same queue. Where others were not noted, what is granted is r of what is asked.

Gain. A change multiplies the throughput by at most ``g = min(D / B, W'(g C) / C, 1 / H')``, where H' is
what would still hold this process's lock. Workers of the same program that do the same get the same
change, so their C is part of W. Assumed: what is moved costs as much as before, others go on as they
do, and equal weights in the kernel's scheduler.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lanewise.diagnose.places_of_code import measurable
from lanewise.diagnose.session import Frame, Room
from lanewise.diagnose.states import COMPUTING, held
from lanewise.diagnose.summary import ProcessSummary

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
# What an assumption about arguments says as long as nobody has seen them.
UNSEEN_SIZE = "their size was not seen"
# A thread is never taken to want more than so many times what it was seen to do.
_MOST_STRETCHED = 100.0
# More than so many times the cores is not believed of others.
_MOST_WANTED = 8.0


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
        busy: The same, and asleep while holding the lock.
        held: Holding the lock, asleep or not.
        wanted: What they would do if they never waited for the lock or for a core.
        gil_wait, run_queue: Those two waits.
        cores: How many it may use.
        rooms: What others leave of them, and of the cgroup's quota; empty where that is not known.
        siblings: What the program's other processes have on a core.
    """

    on_core: float
    busy: float
    held: float
    wanted: float
    gil_wait: float
    run_queue: float
    cores: int
    rooms: tuple[Room, ...] = ()
    siblings: float = 0.0

    def spare(self) -> float:
        """The factor that the cores allow, when other programs go on as they do."""
        together = self.on_core + self.siblings
        return max(1.0, self.granted(self.most_cores()) / together) if self.on_core > 0 else 1.0

    def gain(self, still_held: float) -> float:
        """The factor on throughput when only this much holds the process's lock."""
        if self.busy <= 0:
            return 1.0
        bounds = [self.wanted / self.busy]
        if self.on_core > 0:
            together = self.on_core + self.siblings
            bounds.append(self.granted(bounds[0] * together) / together)
        if still_held > 0:
            bounds.append(1 / still_held)
        return max(1.0, min(bounds))

    def granted(self, asked: float) -> float:
        """How many cores the program's processes get when they ask for so many together."""
        in_queue = self.on_core + self.run_queue
        part = self.on_core / in_queue if in_queue > 0 else 1.0
        if not self.rooms:
            return part * min(asked, self.cores)
        return min(_left(room, asked, part) for room in self.rooms)

    def surroundings(self) -> str:
        """The cores in words, with what others have of them."""
        words = f"{self.most_cores():g} cores"
        others = max((room.others for room in self.rooms), default=0.0)
        if others > 0:
            words += f", of which others use {others:.2g}"
        if self.siblings > 0:
            words += f", {self.siblings:.2g} used by this program's other processes"
        return words

    def most_cores(self) -> float:
        """How many cores it may keep busy, by its affinity and its quota."""
        return min([float(self.cores), *(room.cores for room in self.rooms)])


def _left(room: Room, asked: float, part: float) -> float:
    """What is granted of a room that others want a part of."""
    theirs = min(room.others / max(part, 1 / _MOST_WANTED), _MOST_WANTED * room.cores)
    if asked + theirs <= room.cores:
        return asked
    fair = room.cores * asked / (asked + theirs)
    return min(asked, max(room.cores - theirs, fair))


def load_of(summary: ProcessSummary, family: Sequence[ProcessSummary] = ()) -> Load:
    """Add up what the threads did.

    Args:
        summary: Of the process.
        family: Of all of the program's processes that were looked at, this one among them.
    """
    wall_s = summary.record.wall_s
    on_core, asleep = _worked(summary)
    wanted = wanted_of(summary)
    total: dict[str, float] = dict.fromkeys(("held", "gil_wait", "run_queue"), 0.0)
    for thread in summary.threads:
        weight = thread.alive_s / wall_s
        total["held"] += weight * held(thread.shares)
        total["gil_wait"] += weight * thread.shares["gil_wait"]
        total["run_queue"] += weight * thread.shares["run_queue"]
    computing = sum(on_core.values())
    return Load(
        on_core=computing,
        busy=computing + sum(asleep.values()),
        held=total["held"],
        wanted=sum(wanted.values()),
        gil_wait=total["gil_wait"],
        run_queue=total["run_queue"],
        cores=summary.record.cores,
        rooms=tuple(summary.record.rooms),
        # Whether others share these cores is known only where the rooms are.
        siblings=sum(_ran_s(one) for one in family if one is not summary) / wall_s
        if summary.record.rooms
        else 0.0,
    )


def wanted_of(summary: ProcessSummary) -> dict[int, float]:
    """What each thread would do if it never waited for the lock or for a core; the module says why."""
    on_core, asleep = _worked(summary)
    found: dict[int, float] = {}
    for thread in summary.threads:
        waits = thread.shares["gil_wait"] + thread.shares["run_queue"]
        works = on_core[thread.thread] + asleep[thread.thread]
        weight = thread.alive_s / summary.record.wall_s
        found[thread.thread] = min(weight, works / max(1 - waits, 1 / _MOST_STRETCHED))
    return found


def _worked(summary: ProcessSummary) -> tuple[dict[int, float], dict[int, float]]:
    """Of each thread, the shares of the session that it was on a core, and asleep with the lock."""
    record = summary.record
    on_core: dict[int, float] = defaultdict(float)
    asleep: dict[int, float] = defaultdict(float)
    for one in summary.seconds:
        if one.column in COMPUTING:
            slept = one.look >= 0 and not record.looks[one.look].runnable
            (asleep if slept else on_core)[one.thread] += one.seconds / record.wall_s
    return on_core, asleep


def _ran_s(summary: ProcessSummary) -> float:
    return sum(thread.run_ns for thread in summary.record.threads) / 1e9


def verify_command(summary: ProcessSummary, frame: Frame) -> str:
    """The command that shows whether an advice for a function holds."""
    target = measurable(frame, summary.record.root)
    if target is None:
        return "lanewise diagnose diff BEFORE AFTER, with a session recorded before and after the change"
    return f"lanewise measure {target} --inputs MODULE:CALLABLE"
