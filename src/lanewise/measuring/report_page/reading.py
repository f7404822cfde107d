"""Careful access to the document: any list may be missing, any number null, any text hostile."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]

LANE_NAMES = {
    "event_loop": "event loop",
    "thread": "thread",
    "process": "process",
    "interpreter": "interpreter",
    "cluster": "cluster",
}


def rows(owner: Any, key: str) -> list[Row]:
    """Return the list of objects under `key`, without anything that is not an object."""
    value = owner.get(key) if isinstance(owner, dict) else None
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def section(owner: Any, key: str) -> Row:
    """Return the object under `key`, or an empty one."""
    value = owner.get(key) if isinstance(owner, dict) else None
    return value if isinstance(value, dict) else {}


def texts(owner: Row, key: str) -> list[str]:
    """Return the list of texts under `key`."""
    value = owner.get(key)
    return [str(item) for item in value if item is not None] if isinstance(value, list) else []


def text(value: Any, default: str = "") -> str:
    """Return a value as text, with a default for nothing."""
    return default if value is None or value == "" else str(value)


def number(value: Any) -> float | None:
    """Return a finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def in_order(value: Any) -> float:
    """Return a sort key that puts what is missing first."""
    found = number(value)
    return -1.0 if found is None else found


def lane_name(lane: Any) -> str:
    """Return a lane as it is called in sentences."""
    return LANE_NAMES.get(str(lane), text(lane, "no lane"))


def lane_and_variant(lane: Any, variant: Any) -> str:
    """Return a lane with its variant, unless that is the default one."""
    named = text(variant, "default")
    return lane_name(lane) if named == "default" else f"{lane_name(lane)}, variant {named}"


def distinct(owner: list[Row], key: str) -> list[float]:
    """Return the different numbers under `key`, sorted."""
    found = {number(row.get(key)) for row in owner}
    return sorted(value for value in found if value is not None)


def ranked(lanes: list[Row]) -> list[Row]:
    """Return the measurements that have a throughput, fastest first."""
    known = [row for row in lanes if number(row.get("throughput_per_s")) is not None]
    return sorted(known, key=lambda row: -in_order(row["throughput_per_s"]))
