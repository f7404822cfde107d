"""Wherever something cannot be pickled, the path that is told leads there."""

from __future__ import annotations

import collections
import functools
import threading
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _lanewise_worker import culprit
from _lanewise_worker.culprit import find_culprit


@pytest.fixture(autouse=True, scope="module")
def _there_is_time() -> Iterator[None]:
    """A search that ran out of its second says less, and a busy machine may take that second away."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(culprit, "_MAX_S", 60.0)
        yield


@dataclass
class Plain:
    before: Any
    inside: Any


@dataclass(frozen=True, slots=True)
class Frozen:
    before: Any
    inside: Any


class Pair(NamedTuple):
    before: Any
    inside: Any


class Slotted:
    __slots__ = ("before", "inside", "unset")

    def __init__(self, before: Any, inside: Any) -> None:
        self.before, self.inside = before, inside


class Derived(list[Any]): ...


# Each holds a part beside something harmless.
WRAPPERS: list[Callable[[Any, Any], Any]] = [
    lambda inside, other: [other, inside],
    lambda inside, other: (other, inside, other),
    lambda inside, other: {"other": other, "inside": inside},
    lambda inside, other: {(1, None): other, b"inside": inside},
    lambda inside, other: {frozenset([1]): inside},
    lambda inside, other: Plain(other, inside),
    lambda inside, other: Frozen(other, inside),
    lambda inside, other: Pair(other, inside),
    lambda inside, other: Slotted(other, inside),
    lambda inside, other: Derived([other, inside]),
    lambda inside, other: functools.partial(print, other, inside),
    lambda inside, other: functools.partial(print, other, end=inside),
    lambda inside, other: collections.deque([other, inside]),
    lambda inside, other: collections.OrderedDict(other=other, inside=inside),
    lambda inside, other: types.SimpleNamespace(other=other, inside=inside),
    lambda inside, other: ValueError(other, inside),
    lambda inside, other: {Hashed(inside)},
    lambda inside, other: {Hashed(inside): other},
]


class Hashed:
    """Can stand in a set whatever it holds."""

    def __init__(self, inside: Any) -> None:
        self.inside = inside


HARMLESS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(), inner, max_size=4)
        | st.frozensets(st.integers(), max_size=4)
        | st.builds(Plain, inner, inner)
        | st.builds(Frozen, inner, inner)
        | st.builds(Pair, inner, inner)
        | st.builds(Slotted, inner, inner)
    ),
    max_leaves=12,
)


@given(st.lists(st.tuples(st.sampled_from(WRAPPERS), HARMLESS), max_size=12))
def test_the_path_evaluates_to_the_culprit(
    levels: list[tuple[Callable[[Any, Any], Any], Any]],
) -> None:
    lock = threading.Lock()
    value: Any = lock
    for wrap, other in levels:
        value = wrap(value, other)
    found = find_culprit(value, "it")
    assert found is not None
    assert eval(found.path, {"it": value}) is lock


@given(HARMLESS)
def test_nothing_is_found_in_what_pickles(value: Any) -> None:
    assert find_culprit(value, "it") is None


@given(HARMLESS, st.sampled_from(WRAPPERS))
def test_nothing_is_found_in_what_pickles_however_it_is_held(
    value: Any, wrap: Callable[[Any, Any], Any]
) -> None:
    assert find_culprit(wrap(value, 1), "it") is None
