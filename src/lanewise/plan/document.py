"""The plan file: TOML that is reviewed, diffed and edited like code.

``schema`` history: 1, the first.
"""

from __future__ import annotations

import math
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

    def to_toml(self, existing: str | None = None) -> str:
        """Return the text of a plan file; with ``existing`` one its comments and other tasks stay.

        Raises:
            PlanError: ``existing`` is not a plan that this version can read.
        """
        from lanewise.plan.write import to_toml  # noqa: PLC0415 - because: writing imports this module

        return to_toml(self, existing)

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
        if type(schema) is not int or schema < 1:
            raise self._error(_SCHEMA_LINE, "it must begin with schema = 1", "add that line")
        if schema > SCHEMA:
            raise self._error(
                _SCHEMA_LINE,
                f"schema {schema} is newer than this lanewise understands ({SCHEMA})",
                "upgrade lanewise, or write the plan again with this version",
            )
        hosts = self._table(data, "host", r"^\s*host\s*=")
        tasks = self._table(data, "task", r"^\s*task\s*=")
        read = {
            name: self._task(name, self._table(tasks, name, _header_of(name)), hosts)
            for name in tasks
        }
        return Plan(read, self._source)

    def _table(self, data: dict[str, Any], key: str, near: str) -> dict[str, Any]:
        value = data.get(key, {})
        if not isinstance(value, dict):
            raise self._error(near, f"{key} must be a table", "write its keys below a [header]")
        return value

    def _task(self, name: str, table: dict[str, Any], hosts: dict[str, Any]) -> TaskPlan:
        try:
            return _read_task(name, table, hosts)
        except KeyError as error:
            what, cure = (
                f"task {name} lacks {error}",
                "measure it again: lanewise measure TARGET --plan",
            )
            raise self._error(_header_of(name), what, cure) from error
        except (TypeError, ValueError, AttributeError) as error:
            what, cure = (
                f"task {name} cannot be read: {error}",
                "mend it, or measure the task again",
            )
            raise self._error(_header_of(name), what, cure) from error

    def _error(self, near: str, what: str, cure: str) -> PlanError:
        """``near`` is a pattern for the line that the message is about."""
        found = (number for number, line in enumerate(self._lines, 1) if re.search(near, line))
        line = next(found, None)
        where = f"{self._source}, line {line}" if line else self._source
        return PlanError(f"{where}: {what}. Cure: {cure}")


_SCHEMA_LINE = r"^\s*schema\s*="


def _header_of(name: str) -> str:
    """A pattern for the header of a task's table, in any of the ways that TOML can quote it."""
    return rf"^\s*\[\s*task\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*\]"


def _read_task(name: str, table: dict[str, Any], hosts: dict[str, Any]) -> TaskPlan:
    fingerprint = table["host"]
    if fingerprint not in hosts:
        raise ValueError(f'there is no [host."{fingerprint}"] for its host')
    pinned = table.get("lane")
    if pinned is not None:
        _known_lane(pinned)
    costs = tuple(_cost(row) for row in table["costs"])
    if not costs:
        raise ValueError("costs is empty")
    gil_enabled = table["gil_enabled"]
    if not isinstance(gil_enabled, bool):
        raise ValueError(f"gil_enabled = {gil_enabled!r} must be true or false")  # noqa: TRY004 - because: a wrong value in a file, told like the others
    return TaskPlan(
        name=name,
        size_unit=str(table.get("size_unit", "declared")),
        calibration=_calibration(fingerprint, hosts[fingerprint]),
        usable_cores=_whole(table, "usable_cores"),
        gil_enabled=gil_enabled,
        loop_budget_s=_number(table, "loop_budget_s", above=0),
        costs=costs,
        observations=tuple(_observations(table.get("observed", []))),
        unportable=table.get("unportable"),
        isolated=bool(table.get("isolated", False)),
        pinned=pinned,
        python=str(table.get("python", "")),
        target=str(table.get("target", "")),
        failing=tuple(str(one) for one in table.get("failing", [])),
        inputs=None if table.get("inputs") is None else str(table["inputs"]),
    )


def _calibration(fingerprint: str, table: dict[str, Any]) -> Calibration:
    _number(table, "transfer_bytes_per_s", above=0)
    for lane, cost in table["lanes"].items():
        _known_lane(lane)
        for key in ("dispatch_s", "per_call_s"):
            _number(cost, key, above=0)
        if "transfer_bytes_per_s" in cost:
            _number(cost, "transfer_bytes_per_s", above=0)
    return Calibration.from_dict({"fingerprint": fingerprint, **table})


def _cost(row: dict[str, Any]) -> CostPoint:
    share = _optional(row, "gil_held_share", least=0)
    if share is not None and share > 1:
        raise ValueError(f"gil_held_share = {share} must be at most 1")
    _number(row, "size", least=0)
    size: float = row["size"]  # whole sizes stay whole: a task's inputs may want range(size)
    args_bytes, result_bytes = (
        _optional(row, key, least=0) for key in ("args_bytes", "result_bytes")
    )
    return CostPoint(
        variant=str(row["variant"]),
        size=size,
        call_size=_number(row, "call_size", least=0) if "call_size" in row else size,
        wall_s=_number(row, "wall_s", above=0),
        cpu_s=_number(row, "cpu_s", least=0),
        gil_held_share=share,
        gil_handovers_per_s=_optional(row, "gil_handovers_per_s", least=0),
        gil_wait_p99_s=_optional(row, "gil_wait_p99_s", least=0),
        run_queue_s=None,
        args_bytes=None if args_bytes is None else int(args_bytes),
        result_bytes=None if result_bytes is None else int(result_bytes),
        pickle_s=_optional(row, "pickle_s", least=0),
    )


def _observations(rows: Iterable[dict[str, Any]]) -> Iterable[Observation]:
    for row in rows:
        _known_lane(row["lane"])
        columns = (row["sizes"], row["efficiency"], row["spread"], row["loop_lag_s"])
        for values in zip(*columns, strict=True):
            cell = dict(zip(("size", "efficiency", "spread", "loop_lag_s"), values, strict=True))
            yield Observation(
                variant=str(row["variant"]),
                lane=row["lane"],
                concurrency=_whole(row, "concurrency"),
                size=_number(cell, "size", least=0),
                efficiency=_number(cell, "efficiency", above=0),
                spread=_number(cell, "spread", least=0),
                loop_lag_s=_number(cell, "loop_lag_s", least=0),
            )


def _known_lane(lane: object) -> None:
    if lane not in LANE_NAMES:
        raise ValueError(f"lane {lane!r} is not one of {', '.join(LANE_NAMES)}")


def _number(
    row: dict[str, Any], key: str, *, above: float = -math.inf, least: float = -math.inf
) -> float:
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{key} = {value!r} must be a number")
    if not math.isfinite(value) or value <= above or value < least:
        bound = f"above {above:g}" if above > -math.inf else f"at least {least:g}"
        raise ValueError(f"{key} = {value} must be a finite number, {bound}")
    return float(value)


def _optional(row: dict[str, Any], key: str, *, least: float) -> float | None:
    return _number(row, key, least=least) if key in row else None


def _whole(row: dict[str, Any], key: str) -> int:
    value = row[key]
    if type(value) is not int or value < 1:
        raise ValueError(f"{key} = {value!r} must be a whole number from 1 up")
    return value
