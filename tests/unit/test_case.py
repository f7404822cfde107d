"""One call made ready: what it costs to send, whether it can be sent, and whether results agree."""

from __future__ import annotations

import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest

from lanewise.errors import MeasureError
from lanewise.measuring.case import Case, call_once, make_arguments, make_case, results_equal
from lanewise.model.task import Task, Variant, as_task, task


def rows_of(size: int) -> tuple[list[int]]:
    return (list(range(size)),)


@task(inputs=rows_of, size=lambda rows: len(rows))  # noqa: PLW0108 - because: len itself is another case
def total(rows: list[int]) -> int:
    return sum(rows)


@task(inputs=rows_of)
def shorten(rows: list[int]) -> int:
    return rows.pop()


@task(inputs=lambda size: (threading.Lock(),))
def locked(lock: Any) -> bool:
    return lock.locked()


@task(inputs=rows_of)
def make_lock(rows: list[int]) -> Any:
    return threading.Lock()


def case_of(one: Task[..., Any], size: float = 10) -> Case:
    return make_case(one, one.variants["default"], size)


def comparing(**options: Any) -> Variant:
    return Variant("other", total_of_nothing, **options)


def total_of_nothing() -> int:
    return 0


def test_a_case_knows_result_sizes_and_bytes() -> None:
    case = case_of(total, 10)
    assert (case.result, case.size, case.call_size) == (45, 10, 10.0)
    assert case.args_bytes == len(pickle.dumps(case.args, pickle.HIGHEST_PROTOCOL))
    assert case.result_bytes == len(pickle.dumps(45, pickle.HIGHEST_PROTOCOL))
    assert case.unportable is None
    assert not case.mutates
    assert case.pickle_s is not None
    assert case.pickle_s > 0
    assert case.first_call_s > 0


def test_a_task_that_leaves_its_arguments_alone_is_given_the_same_again() -> None:
    case = case_of(total)
    assert all(args is case.args for args in case.fresh_arguments(5))


def test_a_task_that_changes_its_arguments_is_seen_and_given_fresh_ones() -> None:
    case = case_of(shorten, 10)
    assert case.mutates
    assert case.args == (list(range(10)),)
    copies = case.fresh_arguments(3)
    assert copies == [(list(range(10)),)] * 3
    assert len({id(args[0]) for args in [*copies, case.args]}) == 4


def test_an_argument_that_a_call_uses_up_is_made_anew() -> None:
    """An iterator cannot be pickled, so pickling cannot show that the first call emptied it."""
    one = as_task(sum, inputs=lambda size: (iter(number for number in range(size)),), name="sum")
    case = case_of(one, 10)
    assert case.result == 45
    for args in [*case.fresh_arguments(2), case.args]:
        assert one(*args) == 45


def test_copies_are_limited_by_the_memory_that_they_take() -> None:
    large = as_task(
        lambda data: data.append(0),
        inputs=lambda size: (bytearray(40 * 1024 * 1024),),
        name="large",
    )
    assert len(case_of(large).fresh_arguments(10)) == 1


def test_an_argument_that_changes_so_that_it_cannot_be_pickled_any_more_is_changed() -> None:
    spoil = as_task(
        lambda rows: rows.append(threading.Lock()), inputs=lambda size: ([],), name="spoil"
    )
    assert case_of(spoil).mutates


@pytest.mark.parametrize(
    ("one", "what"),
    [
        (locked, "an argument"),
        (make_lock, "the result"),
        (as_task(lambda rows: 0, inputs=rows_of, name="nameless"), "the function"),
    ],
)
def test_what_cannot_cross_is_named_with_the_cause(one: Task[..., Any], what: str) -> None:
    case = case_of(one)
    assert case.unportable is not None
    assert case.unportable.startswith(what)
    assert "(" in case.unportable


def test_an_argument_that_cannot_cross_has_no_bytes_and_no_time() -> None:
    case = case_of(locked)
    assert (case.args_bytes, case.pickle_s) == (None, None)
    assert case.result is False


def test_inputs_may_return_the_only_argument_without_a_tuple() -> None:
    assert make_arguments(as_task(len, inputs=lambda size: [0] * size), 3) == ([0, 0, 0],)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (as_task(len, name="bare"), "declares no inputs"),
        (as_task(len, name="bare", inputs=lambda size: 1 // 0), r"inputs\(10\) of bare.*ZeroDiv"),
        (as_task(len, name="bare", inputs=lambda size: (5,)), "bare.*TypeError at size 10"),
        (as_task(exit, name="bare", inputs=lambda size: (5,)), "bare.*SystemExit at size 10"),
        (task(inputs=rows_of, size=lambda: 0)(len), r"size\(\.\.\.\).*TypeError"),
    ],
    ids=["none", "raising inputs", "raising call", "leaving call", "raising size"],
)
def test_a_case_that_cannot_be_made_says_whose_fault_it_is(one: Task[..., Any], words: str) -> None:
    with pytest.raises(MeasureError, match=words):
        case_of(one)


def test_a_call_that_raised_is_told_with_the_place() -> None:
    def fails(value: int) -> int:
        raise LookupError("nothing there")

    one = as_task(fails)
    with pytest.raises(MeasureError, match=rf"LookupError.*nothing there.*{__file__}:\d+"):
        call_once(one, one.variants["default"], 1, (1,))


NAN = float("nan")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1),
        ("a", "a"),
        (NAN, NAN),
        ([1, (2.0, NAN)], [1, (2.0, NAN)]),
        ({"a": [NAN], "b": {}}, {"b": {}, "a": [NAN]}),
        ({"a": 1}, OrderedDict(a=1)),
        (b"abc", b"abc"),
        ({1, 2}, {2, 1}),
        (None, None),
    ],
)
def test_equal_results_are_equal(one: Any, other: Any) -> None:
    assert results_equal(one, other, comparing())


@pytest.mark.parametrize("tolerance", [0.0, 0.01])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        (1.0, NAN),
        (NAN, 1.0),
        (None, 0),
        ("1", 1),
        ([1, 2], [1, 2, 3]),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1}, {"b": 1}),
        ("ab", ["a", "b"]),
        ([1.0, [5.0]], [1.0, [6.0]]),
        (0.0, 1e-300),
    ],
)
def test_different_results_are_different(one: Any, other: Any, tolerance: float) -> None:
    assert not results_equal(one, other, comparing(tolerance=tolerance))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (100.0, 100.9),
        ([1.0, {"x": (2.0,)}], [1.009, {"x": (2.01,)}]),
        (-5.0, -5.01),
        (100, 100.9),
        (100.9, 100),
        (1000, 1001),
    ],
)
def test_numbers_may_differ_by_the_relative_tolerance(one: Any, other: Any) -> None:
    assert results_equal(one, other, comparing(tolerance=0.01))
    assert not results_equal(one, other, comparing(tolerance=1e-4))
    assert not results_equal(one, other, comparing())


@pytest.mark.parametrize(("answer", "expected"), [(True, True), (0, False), ([1], True)])
def test_the_declared_comparison_decides(answer: Any, *, expected: bool) -> None:
    seen: list[Any] = []

    def equal(default: Any, variant: Any) -> Any:
        seen.append((default, variant))
        return answer

    assert results_equal("default", "variant", comparing(equal=equal)) is expected
    assert seen == [("default", "variant")]


def test_a_comparison_that_raises_is_told() -> None:
    with pytest.raises(MeasureError, match=r"equal.*other.*ZeroDivisionError"):
        results_equal(1, 1, comparing(equal=lambda one, other: 1 // 0))


ArrayPair = Callable[[Any], tuple[Any, Any]]


@pytest.mark.parametrize(
    ("make", "tolerance", "expected"),
    [
        (lambda np: (np.arange(6.0), np.arange(6.0)), 0.0, True),
        (lambda np: (np.arange(6.0), np.arange(6.0) + 1e-9), 0.0, False),
        (lambda np: (np.full(4, 100.0), np.full(4, 100.5)), 0.01, True),
        (lambda np: (np.full(4, 100.0), np.full(4, 102.0)), 0.01, False),
        (lambda np: (np.zeros(3), np.zeros(4)), 0.0, False),
        (lambda np: (np.zeros((2, 1)), np.zeros((1, 2))), 0.0, False),
        (lambda np: (np.zeros(1), np.zeros(5)), 0.0, False),
        (lambda np: (np.array(["a", "b"]), np.array(["a", "b"])), 0.01, True),
        (lambda np: (np.array([1.0, np.nan]), np.array([1.0, np.nan])), 0.0, True),
        (lambda np: (np.array([1.0, np.nan]), np.array([1.0, np.nan])), 0.01, True),
        (lambda np: (np.array([1.0, np.nan]), np.array([1.0, 2.0])), 0.01, False),
        (lambda np: (np.array([np.inf]), np.array([np.inf])), 0.01, True),
        (lambda np: (np.array([100], "uint8"), np.array([101], "uint8")), 0.05, True),
        (lambda np: (np.array([101], "uint8"), np.array([100], "uint8")), 0.05, True),
        (lambda np: (np.float64(1), np.float64(1)), 0.0, True),
        (lambda np: (np.float32(1), np.float32(2)), 0.01, False),
        (lambda np: ([np.arange(3)], [np.arange(3)]), 0.0, True),
        (lambda np: ({"a": np.arange(3)}, {"a": np.arange(3) + 1}), 0.0, False),
    ],
    ids=[
        "same", "one billionth", "within", "beyond", "other length", "other shape", "broadcast",
        "text with a tolerance", "nan", "nan with a tolerance", "nan against a number", "infinity",
        "unsigned above", "unsigned below", "scalars", "different scalars", "in a list", "in a dict",
    ],
)  # fmt: skip
def test_arrays_are_compared_item_by_item(
    make: ArrayPair, tolerance: float, *, expected: bool
) -> None:
    one, other = make(pytest.importorskip("numpy"))
    assert results_equal(one, other, comparing(tolerance=tolerance)) is expected
