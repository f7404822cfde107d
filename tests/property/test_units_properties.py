"""Quantities survive being written and read."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from lanewise.model.units import (
    format_count,
    format_seconds,
    parse_duration_s,
    parse_sizes,
    round_significant,
)

SCALE = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}


@given(st.floats(1e-9, 1e5))
def test_a_time_that_was_shown_can_be_read_to_three_digits(seconds: float) -> None:
    assert math.isclose(parse_duration_s(format_seconds(seconds)), seconds, rel_tol=0.005)


@given(st.floats(1e-3, 9e11))
def test_a_count_that_was_shown_can_be_read_to_three_digits(value: float) -> None:
    number, _, unit = format_count(value).partition(" ")
    assert math.isclose(float(number) * SCALE[unit], value, rel_tol=0.005)
    assert len(number.replace(".", "").lstrip("0")) <= 4


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=20))
def test_whole_sizes_are_read_exactly_in_any_order(sizes: list[int]) -> None:
    assert parse_sizes(",".join(map(str, sizes))) == tuple(sorted(set(sizes)))


@given(st.integers(1, 10**7))
def test_a_size_in_thousands_is_as_exact_as_in_ones(size: int) -> None:
    assert parse_sizes(f"{size // 1000}.{size % 1000:03}k") == (size,)


@given(st.floats(-1e300, 1e300), st.integers(1, 6))
def test_rounding_moves_a_value_by_at_most_half_of_its_last_digit(
    value: float, digits: int
) -> None:
    rounded = round_significant(value, digits)
    assert math.isclose(rounded, value, rel_tol=0.5000001 * 10 ** (1 - digits), abs_tol=1e-307)
    assert round_significant(rounded, digits) == rounded
