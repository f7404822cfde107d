"""Quantities: what is read means what was written, what is shown can be read."""

from __future__ import annotations

import math

import pytest

from lanewise.errors import MeasureError
from lanewise.model.units import (
    format_bytes,
    format_count,
    format_seconds,
    parse_concurrencies,
    parse_duration_s,
    parse_sizes,
    round_significant,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("40s", 40.0),
        ("40", 40.0),
        ("1ms", 0.001),
        (" 2.5 ms ", 0.0025),
        (".5s", 0.5),
        ("3.s", 3.0),
        ("250us", 250e-6),
        ("250µs", 250e-6),
        ("7ns", 7e-9),
        ("2m", 120.0),
        ("2min", 120.0),
    ],
)
def test_a_duration_means_its_number_times_its_unit(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    "text", ["", "s", "ms", "0", "0ms", "-1s", "1h", "1 day", "1,5s", "1e-3s", "nan", "inf", "1S"]
)
def test_a_duration_that_is_none_is_refused_with_the_words_and_an_example(text: str) -> None:
    with pytest.raises(MeasureError) as caught:
        parse_duration_s(text)
    assert repr(text) in str(caught.value)
    assert "1ms" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("50,200,800", (50, 200, 800)),
        ("800, 50 ,200,50", (50, 200, 800)),
        ("1k,64k", (1_000, 64_000)),
        ("1e6", (1_000_000,)),
        ("1.5e3", (1_500,)),
        ("2.5M", (2_500_000,)),
        ("1G", (1_000_000_000,)),
        ("0.5,.25", (0.25, 0.5)),
        ("1,,2,", (1, 2)),
    ],
)
def test_sizes_are_ascending_without_repeats(text: str, sizes: tuple[float, ...]) -> None:
    assert parse_sizes(text) == sizes


def test_whole_sizes_are_ints_since_inputs_pass_them_to_range() -> None:
    assert [type(size) for size in parse_sizes("1k,2.0,1e3,2.5")] == [int, float, int]


@pytest.mark.parametrize("thousandths", [1_001, 1_003, 2_007, 4_009, 16_383, 65_535])
def test_a_size_written_in_thousands_is_the_whole_number_that_it_says(thousandths: int) -> None:
    assert parse_sizes(f"{thousandths // 1000}.{thousandths % 1000:03}k") == (thousandths,)


@pytest.mark.parametrize(
    "text", ["", " , ", "x", "1;2", "-5", "1kk", "1e", "1 2", "1ki", "0x10", "1e400", "9" * 400]
)
def test_sizes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(MeasureError, match="size"):
        parse_sizes(text)


def test_concurrencies_are_whole_numbers_in_range() -> None:
    assert parse_concurrencies("4,1,1024,1") == (1, 4, 1024)


@pytest.mark.parametrize("text", ["0", "1025", "1.5", "1,0", "2k"])
def test_a_concurrency_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(MeasureError, match="whole number from 1 to 1024"):
        parse_concurrencies(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0 s"),
        (1.5, "1.5 s"),
        (123.4, "123 s"),
        (0.001, "1 ms"),
        (0.0123, "12.3 ms"),
        (12.345e-6, "12.3 µs"),
        (7e-9, "7 ns"),
        (0.9996, "1 s"),
        (0.0009996, "1 ms"),
        (0.9996e-6, "1 µs"),
        (-0.002, "-2 ms"),
    ],
)
def test_a_time_is_shown_with_three_digits_and_the_fitting_unit(
    seconds: float | None, text: str
) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (2048, "2048"),
        (9999.0, "9999"),
        (10_000, "10 k"),
        (48_321, "48.3 k"),
        (1_250_000, "1.25 M"),
        (3e9, "3 G"),
        (12.345, "12.3"),
        (0.5, "0.5"),
        (999_999, "1 M"),
        (999_999_999, "1 G"),
    ],
)
def test_a_count_is_shown_with_three_digits(value: float | None, text: str) -> None:
    assert format_count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (512, "512 B"), (1_250_000, "1.25 MB"), (48_321, "48.3 kB")]
)
def test_bytes_are_shown_in_powers_of_ten(value: float | None, text: str) -> None:
    assert format_bytes(value) == text


@pytest.mark.parametrize(
    ("value", "digits", "rounded"),
    [(0.0012345, 3, 0.00123), (98765.0, 2, 99000.0), (-1.25e-9, 1, -1e-9), (0.0, 3, 0.0)],
)
def test_rounding_keeps_significant_digits(value: float, digits: int, rounded: float) -> None:
    assert round_significant(value, digits) == rounded


@pytest.mark.parametrize("value", [math.inf, -math.inf, 5e-324])
def test_rounding_leaves_what_it_cannot_round(value: float) -> None:
    assert round_significant(value) == value
