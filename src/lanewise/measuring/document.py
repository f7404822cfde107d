"""The JSON document that ``lanewise measure --json`` writes and the report page is made from.

``schema`` history: ``lanewise.measure/1``, the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lanewise.measuring.session import SessionResult

SCHEMA = "lanewise.measure/1"


@dataclass(frozen=True, slots=True)
class Run:
    """What was asked and when. ``created_at`` is ISO 8601 in UTC."""

    version: str
    created_at: str
    command: str
    duration_s: float
    loop_budget_s: float


def measure_document(run: Run, results: Sequence[tuple[str, SessionResult]]) -> dict[str, Any]:
    """Return the whole document: the first result at the top level, further interpreters beside it.

    Args:
        run: The circumstances.
        results: For each interpreter what it was called and what it yielded.
    """
    (_, first), *others = results
    return {
        "schema": SCHEMA,
        "lanewise_version": run.version,
        "created_at": run.created_at,
        "command": run.command,
        "duration_s": run.duration_s,
        "interrupted": any(result.interrupted for _, result in results),
        "loop_budget_s": run.loop_budget_s,
        "host": first.host_dict(),
        "tasks": [task.as_dict() for task in first.tasks],
        "others": [
            {
                "python": name,
                "host": result.host_dict(),
                "tasks": [task.as_dict() for task in result.tasks],
            }
            for name, result in others
        ],
    }
