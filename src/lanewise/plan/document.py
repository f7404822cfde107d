"""The plan file: TOML that is reviewed, diffed and edited like code.

``schema`` history: 1, the first.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lanewise.errors import PlanError
from lanewise.model.facts import Calibration
from lanewise.model.lane import LANE_NAMES
from lanewise.plan.task_plan import CostPoint, Observation, TaskPlan

SCHEMA = 1
_OPTIONAL_COST = (
    "gil_held_share",
    "gil_handovers_per_s",
    "gil_wait_p99_s",
    "args_bytes",
    "result_bytes",
    "pickle_s",
)


@dataclass(frozen=True)
class Plan:
    """What every task costs, and with a host's calibration where each call should run.

    Threads: immutable, so it can be read from any.
    """

    tasks: Mapping[str, TaskPlan] = field(default_factory=dict)
    source: str = "plan"

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a plan file.

        Raises:
            PlanError: It is missing, broken, or of a newer schema; the message names line and cure.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise PlanError(
                f"the plan {path} cannot be read ({error.strerror}). "
                f"Write one: lanewise measure TARGET --plan {path}"
            ) from error
        except UnicodeDecodeError as error:
            raise PlanError(f"the plan {path} is not UTF-8 text: {error}") from error
        return cls.parse(text, source=str(path))

    @classmethod
    def parse(cls, text: str, *, source: str = "plan") -> Plan:
        """Read a plan from text.

        Raises:
            PlanError: See :meth:`load`.
        """
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise PlanError(
                f"{source} is not valid TOML: {error}. Mend that line, or write the plan again with "
                "lanewise measure TARGET --plan"
            ) from error
        return _Reader(text, source).read(data)

    def merged(self, other: Plan) -> Plan:
        """Return a plan with the tasks of both; ``other`` wins."""
        return replace(self, tasks={**self.tasks, **other.tasks})


class _Reader:
    """Turns parsed TOML into a plan and knows where things stand, for messages."""

    def __init__(self, text: str, source: str) -> None:
        self._lines = text.splitlines()
        self._source = source

    def read(self, data: dict[str, Any]) -> Plan:
        schema = data.get("schema")
        if not isinstance(schema, int) or schema < 1:
            raise self._error("schema", "it must begin with schema = 1", "add that line")
        if schema > SCHEMA:
            raise self._error(
                "schema",
                f"schema {schema} is newer than this lanewise understands ({SCHEMA})",
                "upgrade lanewise, or write the plan again with this version",
            )
        hosts = self._table(data, "host", "host")
        tasks = self._table(data, "task", "task")
        read = {name: self._task(name, self._table(tasks, name, name), hosts) for name in tasks}
        return Plan(read, self._source)

    def _table(self, data: dict[str, Any], key: str, words: str) -> dict[str, Any]:
        value = data.get(key, {})
        if not isinstance(value, dict):
            raise self._error(
                words, f"{key} must be a table", f"write [{key}...] and keys below it"
            )
        return value

    def _task(self, name: str, table: dict[str, Any], hosts: dict[str, Any]) -> TaskPlan:
        try:
            calibration = self._calibration(table, hosts)
            costs = tuple(self._cost(row) for row in table["costs"])
            pinned = table.get("lane")
            if pinned is not None and pinned not in LANE_NAMES:
                raise ValueError(f"lane {pinned!r} is not one of {', '.join(LANE_NAMES)}")
            if not costs:
                raise ValueError("costs is empty")
            return TaskPlan(
                name=name,
                size_unit=str(table.get("size_unit", "declared")),
                calibration=calibration,
                usable_cores=int(table["usable_cores"]),
                gil_enabled=bool(table["gil_enabled"]),
                loop_budget_s=float(table["loop_budget_s"]),
                costs=costs,
                observations=tuple(_observations(table.get("observed", []))),
                unportable=table.get("unportable"),
                isolated=bool(table.get("isolated", False)),
                pinned=pinned,
                python=str(table.get("python", "")),
                target=str(table.get("target", "")),
            )
        except KeyError as error:
            raise self._error(
                name,
                f"task {name} lacks {error}",
                "measure it again: lanewise measure TARGET --plan",
            ) from error
        except (TypeError, ValueError, AttributeError) as error:
            raise self._error(
                name, f"task {name} cannot be read: {error}", "mend it, or measure the task again"
            ) from error

    def _calibration(self, table: dict[str, Any], hosts: dict[str, Any]) -> Calibration:
        fingerprint = table["host"]
        if fingerprint not in hosts:
            raise ValueError(f'there is no [host."{fingerprint}"] for its host')
        return Calibration.from_dict({"fingerprint": fingerprint, **hosts[fingerprint]})

    def _cost(self, row: dict[str, Any]) -> CostPoint:
        if not row["wall_s"] > 0:
            raise ValueError(f"wall_s = {row['wall_s']} must be above 0")
        optional = {key: row.get(key) for key in _OPTIONAL_COST}
        return CostPoint(
            variant=str(row["variant"]),
            size=float(row["size"]),
            call_size=float(row.get("call_size", row["size"])),
            wall_s=float(row["wall_s"]),
            cpu_s=float(row["cpu_s"]),
            run_queue_s=None,
            **optional,
        )

    def _error(self, near: str, what: str, cure: str) -> PlanError:
        line = self._line_of(near)
        where = f"{self._source}, line {line}" if line else self._source
        return PlanError(f"{where}: {what}. Cure: {cure}")

    def _line_of(self, words: str) -> int | None:
        """The line that a message is about: the table's header, or else the key."""
        quoted = re.escape(words)
        for pattern in (rf'^\s*\[.*"?{quoted}"?\s*\]', rf"^\s*{quoted}\s*="):
            for number, line in enumerate(self._lines, 1):
                if re.search(pattern, line):
                    return number
        return None


def _observations(rows: Iterable[dict[str, Any]]) -> Iterable[Observation]:
    for row in rows:
        if row["lane"] not in LANE_NAMES:
            raise ValueError(f"observed lane {row['lane']!r} is not one of {', '.join(LANE_NAMES)}")
        columns = (row["sizes"], row["efficiency"], row["spread"], row["loop_lag_s"])
        for size, efficiency, spread, lag_s in zip(*columns, strict=True):
            if not efficiency > 0:
                raise ValueError(f"efficiency {efficiency} must be above 0")
            yield Observation(
                variant=str(row["variant"]),
                lane=row["lane"],
                concurrency=int(row["concurrency"]),
                size=float(size),
                efficiency=float(efficiency),
                spread=float(spread),
                loop_lag_s=float(lag_s),
            )
