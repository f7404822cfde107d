"""A declared function: still the function, described, with variants, portable by reference."""

from __future__ import annotations

import functools
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lanewise.model.lane import LANE_NAMES
from lanewise.model.task import Task, as_task, task


@task
def double(value: int, *, times: int = 1) -> int:
    """Double it."""
    return value * 2**times


@task(
    name="sum-of-rows",
    lane="process",
    size=lambda rows, start=0: len(rows) * 3,
    inputs=lambda size: (list(range(size)),),
    timeout_s=2.5,
    idempotent=True,
    isolation="required",
)
def total(rows: list[int], start: int = 0) -> int:
    return sum(rows, start)


@total.variant("loop", requires="math", tolerance=0.25)
def total_loop(rows: list[int], start: int = 0) -> int:
    return functools.reduce(int.__add__, rows, start)


@task
def negate(value: int) -> int:
    return -value


@negate.variant("minus")  # type: ignore[no-redef]
def negate(value: int) -> int:
    return 0 - value


class Holder:
    @staticmethod
    @task
    def inside(value: int) -> int:
        return value + 1


def plain(value: int) -> int:
    return value


def test_a_call_is_the_plain_call() -> None:
    assert double(5) == 10
    assert double(5, times=3) == 40


def test_the_wrapped_function_shines_through() -> None:
    assert double.__name__ == "double"
    assert double.__doc__ == "Double it."
    assert list(inspect.signature(double).parameters) == ["value", "times"]


def test_an_exception_arrives_as_itself() -> None:
    with pytest.raises(TypeError, match="NoneType"):
        double(None)  # type: ignore[arg-type]


def test_without_options_nothing_is_asked_for() -> None:
    assert double.name == f"{__name__}:double"
    assert (double.lane, double.size, double.inputs, double.timeout_s) == (None, None, None, None)
    assert (double.idempotent, double.isolation) == (False, "any")


def test_the_options_are_kept() -> None:
    assert (total.name, total.lane, total.timeout_s) == ("sum-of-rows", "process", 2.5)
    assert (total.idempotent, total.isolation) == (True, "required")


def test_the_size_is_what_the_task_declares() -> None:
    assert total.size_of(([1, 2, 3, 4],)) == 12.0
    assert total.size_of(([1],), {"start": 9}) == 3.0


def test_without_a_declared_size_it_is_the_bytes_of_the_arguments() -> None:
    assert as_task(len).size_of((b"x" * 321,)) == 321.0


@pytest.mark.parametrize("one", [double, total, negate, Holder.inside], ids=repr)
def test_a_task_pickles_by_reference(one: Task[..., Any]) -> None:
    assert pickle.loads(pickle.dumps(one)) is one


def test_a_pickled_task_is_its_name_and_not_its_content() -> None:
    assert len(pickle.dumps(total)) < 150


def test_a_task_with_other_inputs_crosses_as_the_original() -> None:
    changed = total.with_inputs(lambda size: ([0] * size,))
    assert pickle.loads(pickle.dumps(changed.reference)) is total


def test_an_undeclared_function_crosses_as_itself() -> None:
    assert as_task(plain).reference is plain
    assert as_task(plain, inputs=lambda size: (size,)).reference is plain


def test_other_inputs_leave_the_original_and_everything_else() -> None:
    before = total.inputs
    maker: Callable[[Any], tuple[Any, ...]] = lambda size: ([7] * size,)
    changed = total.with_inputs(maker)
    assert changed is not total
    assert changed.inputs is maker
    assert total.inputs is before
    assert (changed.name, changed.lane, changed.variants) == (
        total.name,
        total.lane,
        total.variants,
    )
    assert changed([1, 2]) == 3


def test_the_default_variant_is_the_decorated_function_and_comes_first() -> None:
    assert list(total.variants) == ["default", "loop"]
    assert total.implementation() is total.__wrapped__
    assert total.variants["default"].requires is None


def test_a_variant_under_its_own_name_stays_the_plain_function() -> None:
    assert inspect.isfunction(total_loop)
    assert total.implementation("loop") is total_loop
    assert (total.variants["loop"].requires, total.variants["loop"].tolerance) == ("math", 0.25)


def test_a_variant_under_the_name_of_the_task_leaves_the_name_to_the_task() -> None:
    assert isinstance(negate, Task)
    assert negate.implementation("minus")(3) == -3
    assert negate.implementation("minus") is not negate.implementation()


def test_the_variants_are_a_copy() -> None:
    total.variants.clear()
    assert list(total.variants) == ["default", "loop"]


def test_a_variant_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(KeyError, match=r"sum-of-rows.*'native'.*default, loop"):
        total.implementation("native")


@pytest.mark.parametrize("name", ["default", "loop"])
def test_a_variant_name_is_given_once(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        total.variant(name)


def test_a_callable_without_a_name_can_be_a_variant() -> None:
    declared = task(plain)
    other = functools.partial(max, 0)
    assert declared.variant("partial")(other) is other
    assert declared.implementation("partial") is other


def test_a_callable_without_a_name_can_be_a_task() -> None:
    declared = task(functools.partial(max, 3))
    assert declared(1) == 3
    assert "partial" in declared.name


def test_a_task_given_as_a_task_is_the_same() -> None:
    assert as_task(double) is double


def test_a_task_given_with_inputs_is_the_same_with_these() -> None:
    maker: Callable[[Any], tuple[Any, ...]] = lambda size: (size,)
    assert as_task(double, inputs=maker).inputs is maker
    assert double.inputs is None


@pytest.mark.parametrize("value", [3, None, "double", [double]])
def test_what_cannot_be_called_is_no_task(value: Any) -> None:
    with pytest.raises(TypeError, match="not callable"):
        as_task(value)


@pytest.mark.parametrize("value", [3, "double", double])
def test_the_decorator_takes_a_function(value: Any) -> None:
    with pytest.raises(TypeError, match="@task takes a function"):
        task(value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lane": "threads"}, "threads"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": -1.0}, "timeout_s"),
        ({"timeout_s": float("nan")}, "timeout_s"),
        ({"isolation": "none"}, "isolation"),
    ],
)
def test_an_option_with_a_value_that_it_cannot_have_is_refused(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        task(**options)(plain)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        task(colour="red")(plain)  # type: ignore[call-overload]


@pytest.mark.parametrize("lane", LANE_NAMES)
def test_every_lane_can_be_asked_for(lane: Any) -> None:
    assert task(lane=lane)(plain).lane == lane


def test_a_task_of_the_program_itself_is_named_as_others_import_it(tmp_path: Path) -> None:
    """A plan measured as ``app:match`` must be found when app.py is run."""
    program = tmp_path / "app.py"
    program.write_text("from lanewise import task\n@task\ndef match(): ...\nprint(match.name)\n")
    for command in ([str(program)], ["-m", "app"]):
        ran = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert ran.stdout.strip() == "app:match"
