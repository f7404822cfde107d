"""Generators in processes of their own: one for each thousand requests a second."""

import math
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from supplyr_load.arrivals import Phase, schedule
from supplyr_load.generator import Generated, Lag, generate
from supplyr_load.tally import Outcome, Tally, merged

REQUESTS_PER_PROCESS_S = 1000.0
# A generator that is later than this is what is measured, not the server.
MAX_LAG_P99_S = 0.005
# For the schedule to get there and the generators to be ready.
_LEAD_S = 0.5


class VoidRunError(RuntimeError):
    """The generator itself was too late, so the run says nothing about the server."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the clients of a run saw.

    Attributes:
        phases: Of each phase, in order: its name, its seconds, and a tally for each kind.
        lag: The worst generator's own.
        resent: See Generated.
        bad_at_s: See Generated, of all generators.
        generator_cpu_s: Of all generators.
    """

    phases: tuple[tuple[str, float, dict[str, Tally]], ...]
    lag: Lag
    resent: int
    bad_at_s: tuple[tuple[float, str, Outcome], ...]
    generator_cpu_s: float

    def kinds(self, phase: str, *kinds: str) -> Tally:
        """Return the sum over kinds of a phase; kinds end with * to take all that begin so."""
        found = next(tallies for name, _, tallies in self.phases if name == phase)
        return merged(
            tally
            for name, tally in found.items()
            if any(
                name == kind or (kind[-1] == "*" and name.startswith(kind[:-1])) for kind in kinds
            )
        )

    def checked(self, max_lag_p99_s: float = MAX_LAG_P99_S) -> Self:
        """Return this, or raise VoidRunError where the generator lagged."""
        if self.lag.p99_s > max_lag_p99_s:
            raise VoidRunError(
                f"the generator itself was {self.lag.p99_s * 1e3:.1f} ms late (p99; the most was "
                f"{self.lag.max_s * 1e3:.1f} ms), more than {max_lag_p99_s * 1e3:.1f} ms: the "
                f"machine has no core left for it; lower the rate or give it a core of its own"
            )
        return self


class Fleet:
    """Processes that generate load. owner: the thread that entered it."""

    def __init__(self, processes: int = 1) -> None:
        self._count = processes
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(processes, context, initializer=_goes_first)

    def __enter__(self) -> Self:
        """Start the processes and import what they need, before anything is measured."""
        for future in [self._pool.submit(_nothing) for _ in range(self._count)]:
            future.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave no process behind."""
        self._pool.shutdown(cancel_futures=True)

    def start(
        self, phases: Sequence[Phase], seed: int, port: int, host: str = "127.0.0.1"
    ) -> "Running":
        """Begin a run. Arrivals are the same for equal arguments and equally many processes."""
        rate = max(sum(share.rate_per_s for share in phase.shares) for phase in phases)
        wanted = min(self._count, max(1, math.ceil(rate / REQUESTS_PER_PROCESS_S)))
        arrivals = schedule(phases, seed)
        start_at = time.monotonic() + _LEAD_S
        futures = [
            self._pool.submit(generate, arrivals[first::wanted], host, port, start_at)
            for first in range(wanted)
        ]
        return Running(tuple(phases), futures, start_at)

    def run(self, phases: Sequence[Phase], seed: int, port: int) -> Seen:
        """Run to the end and return what clients saw."""
        return self.start(phases, seed, port).result()


@dataclass(frozen=True, slots=True)
class Running:
    """A run that goes on in other processes; `start_at` is of time.monotonic."""

    phases: tuple[Phase, ...]
    futures: list["Future[Generated]"]
    start_at: float

    def done(self) -> bool:
        """Whether all answers have come."""
        return all(future.done() for future in self.futures)

    def result(self) -> Seen:
        """Await its end."""
        parts = [future.result() for future in self.futures]
        phases = []
        for number, phase in enumerate(self.phases):
            kinds = sorted({kind for part in parts for at, kind in part.tallies if at == number})
            tallies = {
                kind: merged(
                    part.tallies[number, kind] for part in parts if (number, kind) in part.tallies
                )
                for kind in kinds
            }
            phases.append((phase.name, phase.duration_s, tallies))
        worst = max((part.lag for part in parts), key=lambda lag: lag.p99_s)
        return Seen(
            tuple(phases),
            worst,
            sum(part.resent for part in parts),
            tuple(sorted(bad for part in parts for bad in part.bad_at_s)),
            sum(part.cpu_s for part in parts),
        )


def _goes_first() -> None:
    """Ask the system to let the generator go first, where it may: it needs little, but on time."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)


def _nothing() -> None:
    """Be there."""
