"""Write a plan as TOML, into an existing text if there is one: comments and other tasks stay."""

from __future__ import annotations

import tomllib
from typing import Any

from lanewise.errors import PlanError
from lanewise.model.units import round_significant
from lanewise.plan.document import SCHEMA, Plan
from lanewise.plan.task_plan import CostPoint, Observation, TaskPlan

_HEADER = (
    "What each task costs. With a host's own calibration these costs give the routes;\n"
    "`lanewise plan show` explains them, `lanewise plan check` measures whether they still hold.\n"
    'A line  lane = "process"  below a task pins it. Comments are kept when a task is measured again.'
)


def to_toml(plan: Plan, existing: str | None = None) -> str:
    """Return the text of a plan file.

    Args:
        plan: Tasks to write; other tasks of ``existing`` are left as they are.
        existing: The present text, whose comments and order are kept.

    Raises:
        PlanError: ``existing`` is not a plan that this version can read.
    """
    import tomlkit  # noqa: PLC0415 - because: only writing needs it; a service that reads plans does not

    if existing is not None and existing.strip():
        Plan.parse(existing, source="the existing plan")
        document = tomlkit.parse(existing)
    else:
        document = tomlkit.document()
        for line in _HEADER.splitlines():
            document.add(tomlkit.comment(line))
        document["schema"] = SCHEMA
    known = {} if existing is None else tomllib.loads(existing).get("host", {})
    for task in plan.tasks.values():
        _update(
            _sub_table(document, "host"), task.calibration.fingerprint, _host_values(task, known)
        )
        _update(_sub_table(document, "task"), task.name, _task_values(task))
    text = tomlkit.dumps(document)
    Plan.parse(text, source="the written plan")  # never leave behind what cannot be read again
    return text


def _sub_table(document: Any, key: str) -> Any:
    import tomlkit  # noqa: PLC0415 - because: see above

    if key not in document:
        document[key] = tomlkit.table(is_super_table=True)
    table = document[key]
    if not isinstance(table, dict):
        raise PlanError(f"{key} in the existing plan is not a table")
    return table


def _update(tables: Any, name: str, values: dict[str, Any]) -> None:
    import tomlkit  # noqa: PLC0415 - because: see above

    if name not in tables:
        tables[name] = tomlkit.table()
    table = tables[name]
    for key, value in values.items():
        if value is None:
            # A pin is the reviewer's word: measuring again must not take it back.
            if key != "lane":
                table.pop(key, None)
        elif isinstance(value, list) and (not value or isinstance(value[0], dict)):
            table[key] = _rows(value)
        elif key not in table or table[key] != value:
            table[key] = value


def _rows(rows: list[dict[str, Any]]) -> Any:
    """One row a line, so that a changed row is a changed line."""
    import tomlkit  # noqa: PLC0415 - because: see above

    array = tomlkit.array()
    for row in rows:
        inline = tomlkit.inline_table()
        inline.update(row)
        array.append(inline)
    return array.multiline(multiline=True)


def _host_values(task: TaskPlan, known: dict[str, Any]) -> dict[str, Any]:
    """The host's table. Lanes that were left out this time keep what is known of them.

    Other tasks of the plan are routed by this table: measuring one task on threads alone must not
    take their processes away.
    """
    calibration = task.calibration.as_dict()
    lanes = {
        lane: {key: round_significant(value) for key, value in cost.items()}
        for lane, cost in calibration["lanes"].items()
    }
    before = known.get(task.calibration.fingerprint, {}).get("lanes", {})
    kept = {lane: cost for lane, cost in before.items() if lane not in calibration["unavailable"]}
    lanes = {**kept, **lanes}
    return {
        "transfer_bytes_per_s": round_significant(calibration["transfer_bytes_per_s"]),
        "lanes": lanes,
        "unavailable": calibration["unavailable"] or None,
    }


def _task_values(task: TaskPlan) -> dict[str, Any]:
    return {
        "target": task.target,
        "inputs": task.inputs,
        "failing": list(task.failing) or None,
        "size_unit": task.size_unit,
        "host": task.calibration.fingerprint,
        "python": task.python,
        "usable_cores": task.usable_cores,
        "gil_enabled": task.gil_enabled,
        "loop_budget_s": task.loop_budget_s,
        "unportable": task.unportable,
        "isolated": task.isolated or None,
        "lane": task.pinned,
        "costs": [_cost_row(cost) for cost in task.costs],
        "observed": _observed_rows(task.observations),
    }


def _cost_row(cost: CostPoint) -> dict[str, Any]:
    row: dict[str, Any] = {"variant": cost.variant, "size": _number(cost.size)}
    if cost.call_size != cost.size:
        row["call_size"] = _number(cost.call_size)
    row["wall_s"] = round_significant(cost.wall_s)
    row["cpu_s"] = round_significant(cost.cpu_s)
    if cost.gil_held_share is not None:
        row["gil_held_share"] = round(cost.gil_held_share, 2)
    if cost.gil_handovers_per_s is not None:
        row["gil_handovers_per_s"] = _number(round_significant(cost.gil_handovers_per_s, 2))
    if cost.gil_wait_p99_s is not None:
        row["gil_wait_p99_s"] = round_significant(cost.gil_wait_p99_s, 2)
    for key in ("args_bytes", "result_bytes"):
        if getattr(cost, key) is not None:
            row[key] = getattr(cost, key)
    if cost.pickle_s is not None:
        row["pickle_s"] = round_significant(cost.pickle_s, 2)
    return row


def _observed_rows(observations: tuple[Observation, ...]) -> list[dict[str, Any]]:
    """One line for each contender and concurrency, the sizes side by side."""
    rows: dict[tuple[str, str, int], list[Observation]] = {}
    for seen in observations:
        rows.setdefault((seen.variant, seen.lane, seen.concurrency), []).append(seen)
    return [
        {
            "variant": variant,
            "lane": lane,
            "concurrency": concurrency,
            "sizes": [_number(seen.size) for seen in group],
            "efficiency": [round_significant(seen.efficiency) for seen in group],
            "spread": [round_significant(seen.spread, 2) for seen in group],
            "loop_lag_s": [round_significant(seen.loop_lag_s, 2) for seen in group],
        }
        for (variant, lane, concurrency), unsorted in sorted(rows.items())
        for group in [sorted(unsorted, key=lambda seen: seen.size)]
    ]


def _number(value: float) -> int | float:
    return int(value) if float(value).is_integer() else value
