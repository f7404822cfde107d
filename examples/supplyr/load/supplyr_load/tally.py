"""What became of requests: counts by outcome and HdrHistograms of latency, for each kind."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from hdrh.histogram import HdrHistogram
from lanewise.measuring.store import write_atomically

Outcome: TypeAlias = Literal["ok", "shed", "timeout", "failed", "left"]
OUTCOMES: tuple[Outcome, ...] = ("ok", "shed", "timeout", "failed", "left")
# One microsecond to two minutes, three digits: 1.5 % of the memory of a list of a run's latencies.
_LOWEST_US, _HIGHEST_US, _DIGITS = 1, 120_000_000, 3


def histogram() -> Any:
    """Return an empty histogram of microseconds."""
    return HdrHistogram(_LOWEST_US, _HIGHEST_US, _DIGITS)


class Tally:
    """Requests of one kind in one phase. owner: the generator's loop, later whoever reads it.

    Attributes:
        counts: How many had which outcome.
        latency: Of all that were not shed and whose clients did not mean to leave, from the moment
            at which they were to be sent. Those that were lost or failed count as long as the
            client would have waited: leaving them out would praise the server that loses most.
        shed_latency: How long the server took to refuse.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.latency = histogram()
        self.shed_latency = histogram()

    def add(self, outcome: Outcome, latency_s: float, timeout_s: float) -> None:
        """Count one request."""
        self.counts[outcome] += 1
        if outcome == "left":
            return
        seconds = timeout_s if outcome in ("timeout", "failed") else latency_s
        micros = min(_HIGHEST_US, max(_LOWEST_US, round(seconds * 1e6)))
        (self.shed_latency if outcome == "shed" else self.latency).record_value(micros)

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross into another process: the histograms themselves cannot."""
        return Tally.from_json, (self.to_json(),)

    def merge(self, other: "Tally") -> None:
        """Add what another one counted."""
        self.counts += other.counts
        self.latency.add(other.latency)
        self.shed_latency.add(other.shed_latency)

    @property
    def asked(self) -> int:
        """How many there were."""
        return sum(self.counts.values())

    def share(self, outcome: Outcome) -> float:
        """Return the share that ended so; 0 where there were none."""
        return self.counts[outcome] / self.asked if self.asked else 0.0

    def quantile_s(self, share: float) -> float:
        """Return the latency that `share` of the requests did not exceed, in seconds."""
        return float(self.latency.get_value_at_percentile(100 * share)) / 1e6

    def curve(self) -> list[tuple[float, float]]:
        """Return points (share of requests, latency in seconds), denser towards the tail."""
        shares = [0.02, *(step / 20 for step in range(1, 19)), 0.92, 0.94, 0.96, 0.98, 0.99]
        shares += [0.995, 0.998, 0.999]
        # No rarer ones than there were requests.
        return [(one, self.quantile_s(one)) for one in shares if (1 - one) * self.asked >= 0.99]

    @property
    def max_s(self) -> float:
        """The longest latency, in seconds."""
        return float(self.latency.get_max_value()) / 1e6

    def to_json(self) -> dict[str, Any]:
        """Return counts, and both histograms in HdrHistogram's own encoding."""
        return {
            "counts": dict(self.counts),
            "latency": self.latency.encode().decode("ascii"),
            "shed_latency": self.shed_latency.encode().decode("ascii"),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Tally":
        """Read what to_json wrote."""
        made = cls()
        made.counts.update(document["counts"])
        made.latency = HdrHistogram.decode(document["latency"].encode("ascii"))
        made.shed_latency = HdrHistogram.decode(document["shed_latency"].encode("ascii"))
        return made


def merged(tallies: Iterable[Tally]) -> Tally:
    """Return the sum of tallies."""
    total = Tally()
    for one in tallies:
        total.merge(one)
    return total


def write_histograms(path: Path, named: Mapping[str, Tally], duration_s: float) -> None:
    """Write latencies as an HdrHistogram log with one tag a kind, which its tools read."""
    lines = [
        "#[Histogram log format version 1.2]",
        "#Microseconds from the intended moment of sending; Interval_Max is in milliseconds",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    for name, tally in named.items():
        encoded = tally.latency.encode().decode("ascii")
        longest_ms = tally.max_s * 1e3
        lines.append(f"Tag={name},0.000,{duration_s:.3f},{longest_ms:.3f},{encoded}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "\n".join([*lines, ""]))
