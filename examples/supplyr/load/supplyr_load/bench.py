"""What all scenarios share: the data, the generators, how long, how large, and where results go."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanewise.measuring.store import write_atomically

from supplyr_load.arrivals import Share
from supplyr_load.capacity import Peak, peak
from supplyr_load.data import heavy_request
from supplyr_load.fleet import MAX_LAG_P99_S, Fleet, Seen
from supplyr_load.server import Options, Server
from supplyr_load.tally import Tally, write_histograms
from supplyr_load.wire import Request

# Cheap reads for each heavy call: the 95/5 mix.
CHEAP_PER_HEAVY = 19.0
CLIENT_TIMEOUT_S = 2.0
QUEUE_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Bench:
    """One session of load tests.

    Attributes:
        folder: The data that is served.
        results: Where JSON and histograms go.
        fleet: The generators.
        cheap: The cheap reads.
        work: The heavy work, and the `size` at which it takes `job_s` of CPU time.
        size: See work.
        job_s: See work.
        processes: Worker processes of the builds that have any.
        rounds: How often each comparison is repeated.
        seconds: How long one stretch of load takes.
        quick: Whether it is to show everything rather than to be precise.
        plan: A lanewise plan, or None to learn.
        seed: Of arrivals; each round adds to it.
        pythons: Other interpreters to serve with, for comparison.
        max_lag_s: A run whose generator was later than this (p99) is void.
        loads: Shares of the lane's capacity, the highest last.
        appends: Rounds of an earlier run of the same scenario count too.
    """

    folder: Path
    results: Path
    fleet: Fleet
    cheap: Sequence[Request]
    work: str
    size: int
    job_s: float
    processes: int
    rounds: int
    seconds: float
    quick: bool
    plan: Path | None = None
    seed: int = 1
    pythons: tuple[str, ...] = ()
    max_lag_s: float = MAX_LAG_P99_S
    loads: tuple[float, ...] = (0.25, 0.5, 0.8)
    appends: bool = False

    @property
    def heavy(self) -> Request:
        """The heavy request."""
        return heavy_request(self.work, self.size)

    def server(self, build: str, **environment: str) -> Server:
        """Return a build, not yet started."""
        given = {"SUPPLYR_QUEUE_TIMEOUT_S": str(QUEUE_TIMEOUT_S), **environment}
        # Empty: learn, whatever plan the environment names.
        given.setdefault("SUPPLYR_PLAN", "" if self.plan is None else str(self.plan))
        return Server(Options(build, self.folder, self.processes, environment=given))

    def cheap_share(self, rate_per_s: float) -> Share:
        """Return cheap reads at a rate."""
        return Share(rate_per_s, self.cheap, CLIENT_TIMEOUT_S)

    def heavy_share(self, rate_per_s: float) -> Share:
        """Return heavy calls at a rate."""
        return Share(rate_per_s, (self.heavy,), CLIENT_TIMEOUT_S)

    def warm(self, server: Server, seconds: float = 1.0) -> None:
        """Let a server import, connect and start workers before anything is measured."""
        peak(server.port, self.heavy, 2 * self.processes, seconds)
        for one in self.cheap[:: max(1, len(self.cheap) // 40)]:
            peak(server.port, one, 1, 0.01)

    def peak(self, server: Server) -> Peak:
        """Return what a build carries at best: with twice as many callers as it has workers."""
        return peak(server.port, self.heavy, 2 * self.processes, self.seconds)

    def say(self, text: str) -> None:
        """Tell whoever waits what was seen just now."""
        print(f"  {text}", file=sys.stderr, flush=True)

    def earlier(self, name: str) -> list[dict[str, Any]]:
        """Return the rounds that are kept of a scenario, if they are to count."""
        path = self.results / f"{name}-rounds.json"
        if not self.appends or not path.exists():
            return []
        kept: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
        return kept

    def keep_rounds(self, name: str, rounds: list[dict[str, Any]]) -> None:
        """Keep what was measured so far, for a run that is cut short is not lost then."""
        self.results.mkdir(parents=True, exist_ok=True)
        write_atomically(self.results / f"{name}-rounds.json", json.dumps(rounds, indent=1) + "\n")

    def keep(self, name: str, seen: Seen) -> None:
        """Keep the histograms of a run."""
        for phase, duration_s, tallies in seen.phases:
            self.keep_tallies(f"{name}-{phase}", tallies, duration_s)

    def keep_tallies(self, name: str, tallies: dict[str, Tally], duration_s: float) -> None:
        """Keep histograms under a name."""
        path = self.results / "histograms" / f"{name}.hlog"
        write_histograms(path, tallies, duration_s)
