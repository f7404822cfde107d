"""A diagnosis as it was recorded: raw looks and counters, from which every report is made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lanewise.diagnose.states import Look
from lanewise.errors import DiagnoseError
from lanewise.measuring.store import write_atomically

SCHEMA = "lanewise.diagnose/1"


class Frame(NamedTuple):
    """One place in the program: a line of a function.

    Attributes:
        file: As the program names it.
        line: The line that was executing.
        name, qualname: Of the function, the second with its class.
        first_line: Where the function begins.
    """

    file: str
    line: int
    name: str
    qualname: str
    first_line: int


class Room(NamedTuple):
    """One of the bounds on what a process may compute: its cores, or its cgroup's quota.

    Attributes:
        cores: As many at once.
        others: What others used of them while the process was looked at, on average.
    """

    cores: float
    others: float


@dataclass(slots=True)
class ThreadRecord:
    """A thread and the kernel's counters at the first and the last look.

    Attributes:
        python: Whether the interpreter knows it; one that was started by a C library has no stack.
    """

    native_id: int
    name: str
    python: bool = True
    first_us: int = 0
    last_us: int = 0
    run_ns: int = 0
    queued_ns: int = 0


@dataclass(slots=True)
class ProcessRecord:
    """All that was seen of one process.

    Attributes:
        pid, command: Which one.
        python_version, gil_enabled, free_threaded_build: Its interpreter.
        gil_known: Whether the lock could be read.
        source: Where the looks come from, best first: ``debug-offsets``, ``learned-offsets``,
            ``learned-lock+py-spy``, ``learned-lock``, ``scheduler``.
        weaknesses: What this source cannot tell, in words.
        start_us, end_us: When it was looked at, since the session began.
        threads, frames, stacks, calls: What looks refer to; a stack is frames, innermost first.
        looks: One after the other.
        torn: Stacks that changed while they were read, and were not used.
        late_share: Share of looks that came more than 150 µs late: a sign that the sampler lacked a
            core.
        cores: How many the process may use.
        switch_interval_s: Of its interpreter, where it could be read.
        root: The folder that its program's own code lies in.
        rooms: What others left of the cores and the quota; empty where that was not noted.
    """

    pid: int
    command: str
    python_version: str = ""
    gil_enabled: bool = True
    free_threaded_build: bool = False
    gil_known: bool = True
    source: str = ""
    weaknesses: list[str] = field(default_factory=list)
    start_us: int = 0
    end_us: int = 0
    threads: list[ThreadRecord] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    stacks: list[tuple[int, ...]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    torn: int = 0
    late_share: float = 0.0
    cores: int = 1
    switch_interval_s: float | None = None
    root: str = ""
    rooms: list[Room] = field(default_factory=list)

    @property
    def wall_s(self) -> float:
        """For how long it was looked at."""
        return max(self.end_us - self.start_us, 1) / 1e6

    def stack_of(self, look: Look) -> Sequence[Frame]:
        """The frames of a look, innermost first."""
        return [self.frames[at] for at in self.stacks[look.stack]] if look.stack >= 0 else []


@dataclass(slots=True)
class Session:
    """What one run of ``lanewise diagnose`` recorded."""

    created_at: str
    lanewise_version: str
    command: list[str]
    host: dict[str, Any]
    rate_hz: float
    processes: list[ProcessRecord] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write it, atomically.

        Raises:
            MeasureError: The file cannot be written.
        """
        document = {"schema": SCHEMA, **asdict(self)}
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n"
        write_atomically(path, text)

    @classmethod
    def load(cls, path: Path) -> Session:
        """Read a session.

        Raises:
            DiagnoseError: There is none, or it is of another schema.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DiagnoseError(f"{path} cannot be read as a session: {error}") from error
        schema = data.pop("schema", None) if isinstance(data, dict) else None
        if schema != SCHEMA:
            raise DiagnoseError(
                f"{path} is no session of this lanewise: its schema is {schema!r}, expected "
                f"{SCHEMA!r}"
            )
        try:
            processes = [_process(one) for one in data.pop("processes")]
            return cls(processes=processes, **data)
        except (KeyError, TypeError, ValueError) as error:
            raise DiagnoseError(f"{path} is damaged: {error!r}") from error


def _process(data: dict[str, Any]) -> ProcessRecord:
    return ProcessRecord(
        **{
            **data,
            "threads": [ThreadRecord(**one) for one in data["threads"]],
            "frames": [Frame(*one) for one in data["frames"]],
            "stacks": [tuple(one) for one in data["stacks"]],
            "looks": [Look(*one) for one in data["looks"]],
            "rooms": [Room(*one) for one in data.get("rooms", [])],
        }
    )
