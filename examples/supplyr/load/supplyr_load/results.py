"""What a scenario found: verdicts, tables, raw figures; as JSON and as Markdown."""

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lanewise.host.facts import gil_enabled, usable_cores
from lanewise.measuring.store import write_atomically


@dataclass(frozen=True, slots=True)
class Verdict:
    """One number that was asked for, what was measured, and whether that is enough."""

    asked: str
    measured: str
    passed: bool | None  # None: said, not judged


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text below headings."""

    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def markdown(self) -> str:
        """Return it as a Markdown table; figures to the right."""
        rules = ["---", *("---:" for _ in self.headings[1:])]
        lines = [self.headings, rules, *self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


@dataclass(slots=True)
class Result:
    """What one scenario found. owner: whoever runs the scenario.

    Attributes:
        name: "S1" to "S10".
        title: In words.
        table: For the README.
        verdicts: What was asked for.
        notes: What a reader must know to trust the figures.
        raw: Everything that was measured, round by round.
    """

    name: str
    title: str
    table: Table
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether nothing that was judged failed."""
        return all(one.passed is not False for one in self.verdicts)

    def markdown(self) -> str:
        """Return table, verdicts and notes for a README."""
        said = [f"- {_MARKS[one.passed]} {one.asked}: {one.measured}" for one in self.verdicts]
        parts = [f"### {self.name} {self.title}", self.table.markdown(), "\n".join(said)]
        return "\n\n".join(part for part in [*parts, *self.notes] if part) + "\n"

    def write(self, folder: Path, facts: dict[str, Any]) -> Path:
        """Write everything as JSON; an older result of the same scenario is replaced."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        document = {
            "scenario": self.name,
            "title": self.title,
            "machine": facts,
            "verdicts": [
                {"asked": one.asked, "measured": one.measured, "passed": one.passed}
                for one in self.verdicts
            ],
            "table": {"headings": self.table.headings, "rows": self.table.rows},
            "notes": self.notes,
            "raw": self.raw,
        }
        write_atomically(path, json.dumps(document, indent=1) + "\n")
        return path


_MARKS = {True: "reached:", False: "**missed:**", None: "seen:"}


def machine_facts() -> dict[str, Any]:
    """Return what a figure depends on."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "gil_enabled": gil_enabled(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "usable_cores": usable_cores(),
        "load_average_1m": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def median(values: Iterable[float]) -> float:
    """Return the median; not a number where there is nothing."""
    listed = list(values)
    return statistics.median(listed) if listed else float("nan")


def spread(values: Sequence[float], form: str = "{:.1f}") -> str:
    """Return "median (least to most)"."""
    if not values:
        return "-"
    if len(values) == 1:
        return form.format(values[0])
    return (
        f"{form.format(median(values))} ({form.format(min(values))} to {form.format(max(values))})"
    )


def milliseconds(seconds: float) -> str:
    """Return a time for people."""
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


def percent(share: float) -> str:
    """Return a share for people."""
    return f"{share:.1%}" if share > 0.99 or share < 0.1 else f"{share:.0%}"
