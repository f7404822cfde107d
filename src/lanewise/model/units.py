"""Reading and writing quantities: ``1ms``, ``50,200,800``, ``12.3 µs``."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from lanewise.errors import MeasureError

_SECONDS = {
    "": 1.0,
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
}
_DURATION = re.compile(r"^\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zµ]*)\s*$")
_NUMBER = re.compile(r"^\s*(\d+(?:\.\d*)?|\.\d+)(?:[eE](\d+))?\s*([kMG]?)\s*$")
_LARGEST_SIZE = 10**15
_SCALE = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}


def parse_duration_s(text: str) -> float:
    """Return the seconds that ``text`` means: ``40s``, ``1ms``, ``2min``; a bare number is seconds.

    Raises:
        MeasureError: It is not a duration above 0.
    """
    match = _DURATION.match(text)
    if match is None or match[2] not in _SECONDS or float(match[1]) <= 0:
        raise MeasureError(
            f"{text!r} is not a duration: write a number above 0 and one of ns, us, ms, s, min, "
            "such as 1ms or 40s; a bare number is seconds"
        )
    return float(match[1]) * _SECONDS[match[2]]


def parse_sizes(text: str) -> tuple[int | float, ...]:
    """Return the sizes in ``50,200,800`` (also ``1k``, ``1e6``), ascending and without repeats.

    Raises:
        MeasureError: One of them is not a number, or there is none.
    """
    sizes: set[int | float] = set()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        match = _NUMBER.match(part)
        if match is None:
            raise MeasureError(
                f"{part!r} is not a size: write numbers separated by commas, such as 50,200,800 or 1k,64k"
            )
        # Decimal, since 1.001k must be 1001 and not its neighbour among the floats.
        value = Decimal(match[1]).scaleb(min(int(match[2] or 0), 99)) * _SCALE[match[3]]
        if value > _LARGEST_SIZE:
            raise MeasureError(f"size {part} is beyond {_LARGEST_SIZE:g}: give smaller sizes")
        sizes.add(int(value) if value == value.to_integral_value() else float(value))
    if not sizes:
        raise MeasureError(
            f"{text!r} names no size: write them separated by commas, such as 50,200,800"
        )
    return tuple(sorted(sizes))


def parse_concurrencies(text: str) -> tuple[int, ...]:
    """Return the concurrencies in ``1,2,4``.

    Raises:
        MeasureError: One of them is not a whole number from 1 to 1024.
    """
    values = parse_sizes(text)
    for value in values:
        if not isinstance(value, int) or not 1 <= value <= 1024:  # noqa: PLR2004 - because: a closed loop of more callers than that measures asyncio itself
            raise MeasureError(f"concurrency {value} must be a whole number from 1 to 1024")
    return tuple(int(value) for value in values)


def format_seconds(seconds: float | None) -> str:
    """Write a time for people: ``12.3 µs``."""
    if seconds is None:
        return "–"
    if seconds == 0:
        return "0 s"
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if abs(seconds) >= factor * 0.9995:
            return f"{_three_digits(seconds / factor)} {unit}"
    return f"{_three_digits(seconds / 1e-9)} ns"


def format_count(value: float | None) -> str:
    """Write a number for people: ``1.25 M``, ``48.3 k``, ``2048``."""
    if value is None:
        return "–"
    if float(value).is_integer() and abs(value) < 10_000:  # noqa: PLR2004 - because: four digits read well as they are
        return str(int(value))
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(round_significant(value)) >= factor:
            return f"{_three_digits(value / factor)}{unit}"
    return _three_digits(value)


def format_bytes(value: float | None) -> str:
    """Write a number of bytes for people, in powers of ten: ``1.25 MB``."""
    if value is None:
        return "–"
    text = format_count(value)
    return f"{text}B" if text[-1].isalpha() else f"{text} B"


def round_significant(value: float, digits: int = 3) -> float:
    """Round to significant digits, so that a plan's numbers can be read and diffed."""
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


def _three_digits(value: float) -> str:
    rounded = round_significant(value, 3)
    return f"{rounded:.0f}" if abs(rounded) >= 100 else f"{rounded:g}"  # noqa: PLR2004 - because: three digits
