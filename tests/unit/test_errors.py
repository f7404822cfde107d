"""The exception tree: as drawn, complete, catchable by the standard names, and portable."""

from __future__ import annotations

import copy
import pickle
import re
from concurrent.futures import BrokenExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest

import lanewise
from lanewise import errors

DRAWN = re.findall(r"^ +[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE)
DEFINED = sorted(
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and value.__module__ == errors.__name__
)
EXAMPLES = [
    errors.LanewiseError("m"),
    errors.NotPortableError("m", started=True),
    errors.WorkerDiedError("m"),
    errors.TaskTimeoutError("m"),
    errors.OverloadedError("m", retry_after_s=1.5),
    errors.LaneUnavailableError("m", reasons={"thread": "why"}),
    errors.PlanError("m"),
    errors.MeasureError("m"),
    errors.AuditError("m"),
    errors.DiagnoseError("m"),
]


def test_the_drawing_shows_every_exception_once() -> None:
    assert sorted(DRAWN) == DEFINED


def test_the_drawing_shows_each_below_its_parent() -> None:
    parents: list[str] = ["Exception"]
    for indent, name in re.findall(r"^( +)[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 4
        del parents[depth:]
        assert parents[-1] in [base.__name__ for base in getattr(errors, name).__bases__]
        parents.append(name)


@pytest.mark.parametrize("name", DEFINED)
def test_every_exception_is_importable_from_the_package(name: str) -> None:
    assert getattr(lanewise, name) is getattr(errors, name)
    assert name in lanewise.__all__


@pytest.mark.parametrize("name", DEFINED)
def test_one_handler_catches_all(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.LanewiseError)


@pytest.mark.parametrize(
    ("ours", "standard"),
    [
        (errors.WorkerDiedError, BrokenProcessPool),
        (errors.WorkerDiedError, BrokenExecutor),
        (errors.TaskTimeoutError, TimeoutError),
    ],
)
def test_handlers_for_the_standard_exception_go_on_working(
    ours: type[Exception], standard: type[Exception]
) -> None:
    with pytest.raises(standard):
        raise ours("it happened")


@pytest.mark.parametrize("make_copy", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_exception_survives_copying_and_pickling_with_what_it_carries(
    error: Exception, make_copy: object
) -> None:
    again = make_copy(error)  # type: ignore[operator]
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_the_examples_cover_the_tree() -> None:
    assert sorted(type(error).__name__ for error in EXAMPLES) == DEFINED


def test_the_reasons_are_a_copy() -> None:
    reasons = {"thread": "busy"}
    error = errors.LaneUnavailableError("none", reasons=reasons)
    reasons.clear()
    assert error.reasons == {"thread": "busy"}
