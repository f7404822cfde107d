"""What lanewise relies on for every task: sizes, repeatable inputs, pickling, no side effects."""

import pickle
from typing import Any

import pytest
from lanewise import Task

from supplyr import tasks

TASKS: dict[str, Task[..., Any]] = {name: getattr(tasks, name) for name in tasks.__all__}
SIZES = {
    "stage_table": (100, 4000),
    "hash_password": (8, 64),
    "verify_password": (8, 64),
    "make_thumbnails": (2, 70),
}
CASES = [(name, size) for name in TASKS for size in SIZES.get(name, (1, 40))]


def _inputs(name: str, size: int) -> tuple[Any, ...]:
    inputs = TASKS[name].inputs
    assert inputs is not None
    return inputs(size)


@pytest.mark.parametrize(("name", "size"), CASES)
def test_size_of_the_inputs_is_the_size_asked_for(name: str, size: int) -> None:
    assert TASKS[name].size_of(_inputs(name, size)) == size


@pytest.mark.parametrize(("name", "size"), CASES)
def test_inputs_repeat_and_survive_the_call(name: str, size: int) -> None:
    args = _inputs(name, size)
    before = pickle.dumps(args)
    for variant in TASKS[name].variants.values():
        variant.function(*args)
    assert pickle.dumps(args) == before
    assert _inputs(name, size) == args


@pytest.mark.parametrize(("name", "size"), CASES)
def test_task_arguments_and_result_can_cross_processes(name: str, size: int) -> None:
    task = TASKS[name]
    assert pickle.loads(pickle.dumps(task)) is task  # noqa: S301 - made right here
    result = task(*_inputs(name, size))
    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301 - made right here


@pytest.mark.parametrize("name", [name for name in TASKS if name != "hash_password"])
def test_results_repeat(name: str) -> None:
    size = SIZES.get(name, (1, 40))[1]
    assert TASKS[name](*_inputs(name, size)) == TASKS[name](*_inputs(name, size))


def test_duplicate_detection_has_both_variants() -> None:
    assert list(TASKS["find_duplicates"].variants) == ["default", "rapidfuzz"]
