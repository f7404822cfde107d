"""What a host and its interpreter are, and what its lanes cost. Values only."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from lanewise.model.lane import LaneName

# About what one core copies in memory at best. What a measurement finds beyond this is noise: the
# times that are taken off the whole were longer just then, and hardly anything was left.
FASTEST_TRANSFER_BYTES_PER_S = 2e10


def transfer_rate(crossed_bytes: float, took_s: float) -> float:
    """Return bytes per second, no more than memory could carry; ``took_s`` may be 0 or less."""
    least_s = crossed_bytes / FASTEST_TRANSFER_BYTES_PER_S
    return crossed_bytes / max(took_s, least_s)


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One interpreter on one machine, as seen at one moment.

    ``free_threaded_build`` is how the interpreter was built; ``gil_enabled`` is whether its lock is
    on now, which an import can change.
    """

    python_version: str
    implementation: str
    executable: str
    free_threaded_build: bool
    gil_enabled: bool
    system: str
    kernel: str
    cpu_model: str
    logical_cores: int
    usable_cores: int
    memory_bytes: int | None
    switch_interval_s: float

    @property
    def fingerprint(self) -> str:
        """Two hosts with the same fingerprint may share a calibration."""
        build = "t" if self.free_threaded_build else ""
        lock = "" if self.gil_enabled else "-nogil"
        version = ".".join(self.python_version.split(".")[:2])
        return f"{self.system}/{self.cpu_model}/{self.usable_cores}/{version}{build}{lock}"

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LaneCost:
    """What one lane adds to a call that does nothing.

    Attributes:
        dispatch_s: Time from submission to result with nothing else in flight; on the loop's own lane
            of a call that waits for a turn of the loop first.
        per_call_s: Time per call with many in flight: what the event loop's side must spend, so
            its inverse is the most calls per second that the lane can carry.
        transfer_bytes_per_s: How fast bytes cross there and come back, where that is another speed than
            to processes; else None.
        cores: What its calls compute on, where those are not this machine's; else None.
    """

    dispatch_s: float
    per_call_s: float
    transfer_bytes_per_s: float | None = None
    cores: int | None = None

    def as_dict(self) -> dict[str, float]:
        """Return what is known as plain values."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LaneCost:
        """Read what :meth:`as_dict` wrote.

        Raises:
            KeyError, TypeError, ValueError: ``data`` is not of that form.
        """
        own = data.get("transfer_bytes_per_s")
        return cls(
            float(data["dispatch_s"]),
            float(data["per_call_s"]),
            None if own is None else float(own),
            None if data.get("cores") is None else int(data["cores"]),
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the lanes of one host cost.

    Attributes:
        fingerprint: Of the host that it was made on.
        lanes: Cost of each lane that is available.
        unavailable: Each other lane with its reason.
        transfer_bytes_per_s: How fast bytes cross to another process and come back, pickled.
    """

    fingerprint: str
    lanes: dict[LaneName, LaneCost]
    unavailable: dict[LaneName, str] = field(default_factory=dict)
    transfer_bytes_per_s: float = 5e8

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON and TOML."""
        return {
            "fingerprint": self.fingerprint,
            "lanes": {name: cost.as_dict() for name, cost in self.lanes.items()},
            "unavailable": dict(self.unavailable),
            "transfer_bytes_per_s": self.transfer_bytes_per_s,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Calibration:
        """Read what :meth:`as_dict` wrote.

        Raises:
            KeyError, TypeError, ValueError: ``data`` is not of that form.
        """
        return cls(
            fingerprint=str(data["fingerprint"]),
            lanes={name: LaneCost.from_dict(cost) for name, cost in data["lanes"].items()},
            unavailable=dict(data.get("unavailable", {})),
            transfer_bytes_per_s=float(data["transfer_bytes_per_s"]),
        )
