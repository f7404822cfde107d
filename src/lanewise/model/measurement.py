"""What measuring one task yields. Frozen values; every number says its unit.

The field names are those of the JSON that ``lanewise measure --json`` writes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from lanewise.model.lane import LaneName


@dataclass(frozen=True, slots=True, order=True)
class Contender:
    """One way to run a task: a lane and a variant."""

    lane: LaneName
    variant: str

    def __str__(self) -> str:
        return f"{self.lane}/{self.variant}"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call costs, alone on the machine.

    Attributes:
        size: The number that was given to the task's ``inputs``.
        call_size: What the task's ``size`` (or the bytes of its arguments) says of that call.
        wall_s: Median elapsed time; ``wall_low_s`` and ``wall_high_s`` bound it with 95 % confidence.
        first_call_s: The very first call, which imports and fills caches; not part of ``wall_s``.
        cpu_s: Time on cores, all threads of the call together.
        gil_held_share: Share of wall time during which the lock was held, or None where it could
            not be read; ``gil_held_share_error`` is its standard error.
        gil_handovers_per_s: How often per second of the call the lock was given up.
        gil_wait_p99_s: How long somebody else who wants the lock meanwhile waits for the present hold
            to end, 99th percentile, if nobody forces a switch; at most the length of a call.
        run_queue_s: Time per call spent ready to run, waiting for a core: not the call's own cost
            but the machine's.
        blocked_s: Time per call spent off the core and off the run queue: sleep, I/O, locks.
        args_bytes: Pickled arguments, None where they cannot be pickled; ``result_bytes`` alike.
        pickle_s: Pickling the arguments and unpickling the result: what the loop's side pays.
        note: What makes this row doubtful, or None.
    """

    variant: str
    size: float
    call_size: float
    wall_s: float
    wall_low_s: float
    wall_high_s: float
    first_call_s: float
    cpu_s: float
    gil_held_share: float | None
    gil_held_share_error: float | None
    gil_handovers_per_s: float | None
    gil_wait_p99_s: float | None
    run_queue_s: float | None
    blocked_s: float | None
    args_bytes: int | None
    result_bytes: int | None
    pickle_s: float | None
    note: str | None = None

    @property
    def held_share(self) -> float:
        """The held share, or the cautious guess 1.0 where it is unknown."""
        return 1.0 if self.gil_held_share is None else self.gil_held_share


@dataclass(frozen=True, slots=True)
class LaneResult:
    """One contender at one size and concurrency, closed loop: every caller waits for its result.

    Attributes:
        throughput_per_s: Median over rounds; the low and high are a 95 % bootstrap interval.
        latency_p50_s: From wanting to call until holding the result, over all rounds.
        loop_lag_p99_s: How late the event loop saw outside events, median over rounds of each
            round's 99th percentile. ``loop_lag_reference_p99_s`` is the same for a loop that does
            nothing beside as many busy processes, so that the difference is what the lane causes
            and not what busy cores cost any program.
        eligible: Whether the lane kept the loop budget; ``reason`` says how it broke it.
    """

    variant: str
    lane: LaneName
    size: float
    concurrency: int
    throughput_per_s: float
    throughput_low_per_s: float
    throughput_high_per_s: float
    latency_p50_s: float
    latency_p95_s: float
    loop_lag_p99_s: float
    loop_lag_reference_p99_s: float
    eligible: bool
    reason: str | None
    calls: int
    rounds: int

    @property
    def contender(self) -> Contender:
        """The way of running that this row is about."""
        return Contender(self.lane, self.variant)

    @property
    def loop_lag_caused_s(self) -> float:
        """The p99 lag above the reference."""
        return max(0.0, self.loop_lag_p99_s - self.loop_lag_reference_p99_s)


@dataclass(frozen=True, slots=True)
class BreakEven:
    """The size at which one contender overtakes another, with a 95 % interval."""

    concurrency: int
    from_: str
    to: str
    size: float
    low: float
    high: float
    why: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values; ``from_`` is written ``from``."""
        data = asdict(self)
        return {"concurrency": data.pop("concurrency"), "from": data.pop("from_"), **data}


@dataclass(frozen=True, slots=True)
class Saturation:
    """The concurrency past which a lane gains nothing, from a Universal Scalability Law fit.

    Attributes:
        contention: The fitted serial share; ``agrees`` says whether it lies within 0.2 of the
            share of lane time that holds the lock (``expected_contention``), None where unknown.
    """

    variant: str
    lane: LaneName
    size: float
    concurrency: int
    contention: float
    coherency: float
    rate_per_s: float
    gil_held_share: float | None
    expected_contention: float | None
    agrees: bool | None


@dataclass(frozen=True, slots=True)
class Route:
    """One decision: which contender runs calls of these sizes at this concurrency, and why.

    ``max_size`` is exclusive; None means without bound. ``decided`` is False where the noise does
    not support a winner: then the simplest lane among those that could be best is kept.
    """

    concurrency: int
    min_size: float
    max_size: float | None
    lane: LaneName
    variant: str
    decided: bool
    reason: str

    @property
    def contender(self) -> Contender:
        """The lane and variant that were chosen."""
        return Contender(self.lane, self.variant)


@dataclass(frozen=True, slots=True)
class GilRelease:
    """From ``size`` on the call gives the lock up; one below, it never does."""

    variant: str
    size: float
    held_share_below: float
    held_share_from: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """Throughput expected elsewhere, with the assumption that it rests on."""

    variant: str
    lane: LaneName
    size: float
    cores: int
    free_threaded: bool
    throughput_per_s: float
    assumption: str


@dataclass(frozen=True, slots=True)
class Contention:
    """FT201: threads that run without the lock keep each other from running; they share something hot.

    Attributes:
        concurrency: So many callers at once.
        scaling: Their throughput in threads, over that of one; below 1 they are slower than one.
        scaling_apart: The same in processes, where each has objects of its own.
    """

    variant: str
    size: float
    concurrency: int
    scaling: float
    scaling_apart: float

    def __str__(self) -> str:
        return (
            f"FT201 contention: {self.concurrency} threads carry {self.scaling:.2g} times what one does, "
            f"{self.concurrency} processes {self.scaling_apart:.2g} times. The calls share something "
            "hot, such as a module's object that all of them read in a loop, or a lock; until each has "
            "its own copy, processes carry more (lanewise audit --explain FT201)"
        )


@dataclass(frozen=True, slots=True)
class VariantStatus:
    """Whether a variant took part: ``ok``, ``unavailable`` or ``refused``."""

    name: str
    requires: str | None
    status: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class TaskMeasurement:
    """Everything that was learned about one task on one interpreter."""

    name: str
    target: str
    size_unit: str
    concurrencies: tuple[int, ...] = ()
    variants: tuple[VariantStatus, ...] = ()
    costs: tuple[Cost, ...] = ()
    lanes: tuple[LaneResult, ...] = ()
    break_even: tuple[BreakEven, ...] = ()
    saturation: tuple[Saturation, ...] = ()
    routes: tuple[Route, ...] = ()
    gil_release: tuple[GilRelease, ...] = ()
    predictions: tuple[Prediction, ...] = ()
    warnings: tuple[str, ...] = ()
    contention: tuple[Contention, ...] = ()
    error: str | None = None
    unavailable_lanes: dict[str, str] = field(default_factory=dict)
    elapsed_s: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        data = asdict(self)
        data["break_even"] = [point.as_dict() for point in self.break_even]
        return data
