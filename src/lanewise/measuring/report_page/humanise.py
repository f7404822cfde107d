"""Numbers as people read them: three digits, a unit, and a thin space that does not break."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lanewise.measuring.report_page.reading import number, text

if TYPE_CHECKING:
    from typing import Any

SPACE = "\u202f"
MISSING = "\u2013"
_LARGE = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_WRITTEN_OUT_BELOW = 1_000_000
_MINUTES_FROM_S = 120


def digits(value: float, significant: int = 3) -> str:
    """Return a number with so many significant digits, never with an exponent."""
    rounded = float(f"{value:.{significant - 1}e}")
    written = f"{rounded:,.10f}".rstrip("0").rstrip(".")
    return written if written not in {"", "-0"} else "0"


def _scaled(value: float, unit: str, significant: int = 3) -> str:
    for factor, prefix in _LARGE:
        if abs(value) >= factor * 0.9995:
            return f"{digits(value / factor, significant)}{SPACE}{prefix}{unit}"
    return f"{digits(value, significant)}{SPACE}{unit}".rstrip()


def seconds(value: Any) -> str:
    """Return a duration: 850 ns, 12.3 µs, 4.5 ms, 1.2 s, 3 min."""
    found = number(value)
    if found is None:
        return MISSING
    if found == 0:
        return f"0{SPACE}s"
    if abs(found) >= _MINUTES_FROM_S:
        return f"{digits(found / 60)}{SPACE}min"
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "\u00b5s")):
        if abs(found) >= factor * 0.9995:
            return f"{digits(found / factor)}{SPACE}{unit}"
    return f"{digits(found / 1e-9)}{SPACE}ns"


def data(value: Any) -> str:
    """Return a number of bytes: 340 B, 12.3 kB, 4 MB."""
    found = number(value)
    return MISSING if found is None else _scaled(found, "B")


def rate(value: Any) -> str:
    """Return a number of events a second: 12.3 k/s."""
    found = number(value)
    return MISSING if found is None else _scaled(found, "/s")


def share(value: Any, error: Any = None) -> str:
    """Return a share of 1 in per cent, with its error when there is one."""
    found, margin = number(value), number(error)
    if found is None:
        return MISSING
    shown = digits(found * 100, 2 if abs(found) < 1 else 3)
    spread = f" \u00b1{SPACE}{digits(margin * 100, 1)}" if margin else ""
    return f"{shown}{spread}{SPACE}%"


def count(value: Any) -> str:
    """Return a plain number: a whole one in full below a million, any other with three digits."""
    found = number(value)
    if found is None:
        return MISSING
    if abs(found) >= _WRITTEN_OUT_BELOW:
        return _scaled(found, "")
    return f"{found:,.0f}" if found.is_integer() else digits(found)


def size(value: Any, unit: Any) -> str:
    """Return the size of a call in the task's own unit."""
    return data(value) if unit == "bytes" else count(value)


def rough_size(value: Any, unit: Any) -> str:
    """Return a size that was found by search, with the three digits that it deserves."""
    found = number(value)
    return size(found if found is None else float(f"{found:.2e}"), unit)


def moment(value: Any) -> str:
    """Return a point in time, in UTC, or the text itself when it is none."""
    try:
        found = datetime.fromisoformat(text(value))
    except ValueError:
        return text(value)
    if found.tzinfo is not None:
        found = found.astimezone(UTC)
    return f"{found.day} {found:%B %Y, %H:%M} UTC"
