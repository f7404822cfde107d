"""The bytes of a call's arguments: exact where that is cheap, the right order elsewhere."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

import pytest

from lanewise.model.size import arguments_bytes


def size_of(*args: Any, **kwargs: Any) -> int:
    return arguments_bytes(args, kwargs)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"x" * 1000, 1000),
        (bytearray(77), 77),
        (memoryview(b"abc"), 3),
        ("y" * 500, 500),
        ("", 0),
        ([], 0),
        ({}, 0),
        (["ab"] * 1000, 2000),
        ([["abcd"] * 10] * 5, 200),
        ({"key": "value"}, 8),
    ],
)
def test_bytes_text_and_even_containers_are_exact(value: Any, expected: int) -> None:
    assert size_of(value) == expected


@pytest.mark.parametrize(
    "buffer", [array("d", range(1000)), memoryview(array("d", range(1000)))], ids=["array", "view"]
)
def test_a_buffer_counts_its_bytes_not_its_items(buffer: Any) -> None:
    assert size_of(buffer) == 8000


def test_an_array_of_numpy_counts_its_bytes() -> None:
    numpy = pytest.importorskip("numpy")
    assert size_of(numpy.zeros((10, 100), dtype=numpy.float32)) == 4000


def test_keyword_arguments_count_like_positional_ones() -> None:
    assert size_of("abc", [b"12345"]) == size_of(text="abc", rows=[b"12345"]) == 8


def test_the_size_grows_in_proportion_to_the_number_of_records() -> None:
    rows = [{"id": number, "name": "somebody"} for number in range(1000)]
    assert size_of(rows) == 10 * size_of(rows[:100])


def test_an_object_counts_what_its_attributes_hold() -> None:
    class Document:
        def __init__(self) -> None:
            self.body = "z" * 10_000

    assert size_of(Document()) == 10_000


def test_an_object_with_slots_counts_what_they_hold() -> None:
    @dataclass(slots=True)
    class Document:
        body: str

    assert size_of(Document("z" * 10_000)) == 10_000


def test_functions_and_classes_are_references_and_weigh_next_to_nothing() -> None:
    class Big:
        table = "x" * 10_000

    def function() -> None: ...

    function.notes = "x" * 10_000  # type: ignore[attr-defined]
    assert size_of(Big, function) <= 32


def test_a_value_that_contains_itself_has_a_size() -> None:
    loop: list[Any] = ["abc"]
    loop.append(loop)
    assert size_of(loop) > 0


def test_only_the_first_items_are_looked_at() -> None:
    class Forbidden:
        @property
        def nbytes(self) -> int:
            raise AssertionError("looked at")

    assert size_of(["ab"] * 100 + [Forbidden()]) == 202
