"""What a piece of advice is made of: the load as it was seen, and the model of what a change gives. Pure.

The model is that of operational bounds (Denning & Buzen), scaled from what was seen. Let the
threads be on a core for C of the time (added up), hold the lock for H, and want to run for D
(running, waiting for the lock or for a core). A change that multiplies the throughput by g needs g
C cores and g H' of the lock, and nobody asks for more than D; of what they ask for they get the
part r that they get today, for other programs go on as they do: ``g = min(r D / C, r cores / C, 1 /
H')``, where H' is what would still hold this process's lock.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from lanewise.diagnose.places_of_code import measurable
from lanewise.diagnose.session import Frame
from lanewise.diagnose.states import held
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


def verify_command(summary: ProcessSummary, frame: Frame) -> str:
    """The command that shows whether an advice for a function holds."""
    target = measurable(frame, summary.record.root)
    if target is None:
        return "lanewise diagnose diff BEFORE AFTER, with a session recorded before and after the change"
    return f"lanewise measure {target} --inputs MODULE:CALLABLE"
