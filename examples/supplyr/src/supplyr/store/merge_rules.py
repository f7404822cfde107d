"""What becomes of records of one supplier that are merged, and when that is undone. Pure."""

from collections.abc import Sequence
from typing import Any

from supplyr.store.suppliers import Draft

# Names a record where it was imported from: each keeps its own.
_OWN = frozenset({"external_ref"})
_UNITED = frozenset({"codes", "certificates"})


def combined(survivor: Draft, others: Sequence[Draft]) -> Draft:
    """Return the survivor with its gaps filled from the others, in their order.

    Codes and certificates are united; nothing that the survivor says is replaced. A place is taken
    as a whole: never one record's latitude with another's longitude.
    """
    values: dict[str, Any] = survivor._asdict()
    for other in others:
        for name, value in other._asdict().items():
            if name in _OWN or name in {"latitude_deg", "longitude_deg"}:
                continue
            if name in _UNITED:
                values[name] = tuple(sorted({*values[name], *value}))
            elif values[name] in (None, ""):
                values[name] = value
        if values["latitude_deg"] is None or values["longitude_deg"] is None:
            values["latitude_deg"] = other.latitude_deg
            values["longitude_deg"] = other.longitude_deg
    return Draft(**values)


def undone(before: Draft, after: Draft, now: Draft) -> Draft:
    """Return a survivor as it is after an undone merge.

    Whatever still is as the merge left it goes back; what somebody changed since stays.
    """
    values = {
        name: getattr(before, name) if getattr(now, name) == getattr(after, name) else value
        for name, value in now._asdict().items()
    }
    return Draft(**values)


def as_json(draft: Draft) -> dict[str, Any]:
    """Return a draft as JSON keeps it."""
    return draft._asdict()


def from_json(values: dict[str, Any]) -> Draft:
    """Return a draft from what `as_json` returned."""
    known: dict[str, Any] = {
        name: tuple(value) if name in _UNITED else value
        for name, value in values.items()
        if name in Draft._fields
    }
    return Draft(**known)
