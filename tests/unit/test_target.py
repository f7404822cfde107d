"""From words to tasks; every way in which that can fail has its own answer."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lanewise.errors import MeasureError
from lanewise.measuring.target import resolve_targets, variant_problem

NUMBERS = itertools.count()
SHOP = """
from lanewise import task

def numbers(size):
    return (list(range(size)),)

@task(inputs=numbers)
def total(rows):
    return sum(rows)

again = total

@task(inputs=numbers, name="the-largest")
def largest(rows):
    return max(rows)

@task
def undecided(rows):
    return rows

def plain(rows):
    return rows

class Holder:
    @staticmethod
    def inside(rows):
        return rows

CONSTANT = 3
"""

MakeModule = Callable[[str], str]


@pytest.fixture
def make_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeModule]:
    """Puts source on the import path under a new name, and takes it away again."""
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)

    def make(source: str) -> str:
        name = f"made_for_target_{next(NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    yield make
    for name in set(sys.modules) - known:
        if name.startswith("made_for_target"):
            del sys.modules[name]


@pytest.fixture
def shop(make_module: MakeModule) -> str:
    return make_module(SHOP)


def refusal(words: str, inputs: str | None = None) -> str:
    with pytest.raises(MeasureError) as caught:
        resolve_targets(words, inputs)
    return str(caught.value)


def test_a_function_is_found_with_its_inputs(shop: str) -> None:
    (target,) = resolve_targets(f"{shop}:total", None)
    assert target.words == f"{shop}:total"
    assert target.task.inputs is not None
    assert target.task(*target.task.inputs(5)) == 10


def test_a_module_means_its_tasks_that_declare_inputs_each_once(shop: str) -> None:
    targets = resolve_targets(shop, None)
    assert [target.task.name for target in targets] == [f"{shop}:total", "the-largest"]
    assert [target.words for target in targets] == [f"{shop}:total", f"{shop}:largest"]


def test_given_inputs_replace_the_tasks_own(shop: str, make_module: MakeModule) -> None:
    other = make_module("def ones(size):\n    return ([1] * size,)\n")
    (target,) = resolve_targets(f"{shop}:total", f"{other}:ones")
    assert target.task.inputs is not None
    assert target.task(*target.task.inputs(5)) == 5
    (own,) = resolve_targets(f"{shop}:total", None)
    assert own.task.inputs is not None
    assert own.task(*own.task.inputs(5)) == 10


def test_given_inputs_let_every_task_of_a_module_take_part(shop: str) -> None:
    names = [target.task.name for target in resolve_targets(shop, f"{shop}:numbers")]
    assert names == [f"{shop}:total", "the-largest", f"{shop}:undecided"]


@pytest.mark.parametrize("path", ["plain", "Holder.inside"])
def test_a_function_that_is_no_task_is_measured_under_the_words_that_name_it(
    shop: str, path: str
) -> None:
    (target,) = resolve_targets(f"{shop}:{path}", f"{shop}:numbers")
    assert target.task.name == f"{shop}:{path}"
    assert target.task([1]) == [1]


@pytest.mark.parametrize("path", ["plain", "undecided"])
def test_without_inputs_the_cure_is_named(shop: str, path: str) -> None:
    message = refusal(f"{shop}:{path}")
    assert "declares no inputs" in message
    assert "--inputs" in message


def test_a_module_without_tasks_is_told(make_module: MakeModule) -> None:
    assert "has no task" in refusal(make_module("x = 1\n"))


@pytest.mark.parametrize(
    ("path", "hint"), [("totl", "'total'"), ("Holder.insid", "'inside'"), ("larges", "'largest'")]
)
def test_a_slip_of_the_pen_is_answered_with_the_nearest_name(
    shop: str, path: str, hint: str
) -> None:
    assert f"did you mean {hint}?" in refusal(f"{shop}:{path}")


def test_a_name_like_no_other_is_answered_without_a_guess(shop: str) -> None:
    message = refusal(f"{shop}:zzzzqqqq")
    assert "'zzzzqqqq'" in message
    assert "did you mean" not in message


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        ("shop.py:total", "shop:function"),
        ("src/shop/rows.py:total", "src.shop.rows:function"),
        ("./shop/rows.py", "shop.rows:function"),
        ("shop/rows:total", "shop.rows:function"),
    ],
)
def test_a_path_is_answered_with_the_module(words: str, suggestion: str) -> None:
    message = refusal(words)
    assert "is a path" in message
    assert suggestion in message


@pytest.mark.parametrize("words", [":total", "shop:"])
def test_half_a_name_is_refused(words: str) -> None:
    assert "module:name" in refusal(words)


@pytest.mark.parametrize("words", ["nowhere_at_all:f", "nowhere_at_all", "nowhere_at_all.below:f"])
def test_a_module_that_is_not_there_is_told_with_the_directory_to_be_in(words: str) -> None:
    message = refusal(words)
    assert "no module" in message
    assert "nowhere_at_all" in message


def test_a_module_below_a_plain_module_is_not_there(shop: str) -> None:
    assert "no module" in refusal(f"{shop}.below:f")


def test_a_missing_dependency_is_not_mistaken_for_a_missing_module(make_module: MakeModule) -> None:
    name = make_module("import nowhere_at_all\n")
    message = refusal(f"{name}:f")
    assert "needs 'nowhere_at_all'" in message
    assert f"no module {name!r}" not in message


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("def broken(:\n", "SyntaxError"),
        ("raise ImportError('wrong version')\n", "ImportError: wrong version"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    ],
)
def test_a_module_that_raises_is_told_with_what_it_raised(
    make_module: MakeModule, source: str, words: str
) -> None:
    name = make_module(source)
    message = refusal(f"{name}:f")
    assert name in message
    assert words in message


@pytest.mark.parametrize(("words", "kind"), [("CONSTANT", "int"), ("Holder.__doc__", "NoneType")])
def test_what_is_no_function_is_told_with_what_it_is(shop: str, words: str, kind: str) -> None:
    assert kind in refusal(f"{shop}:{words}")


def test_inputs_that_are_no_function_are_told_as_such(shop: str) -> None:
    message = refusal(f"{shop}:total", f"{shop}:CONSTANT")
    assert "--inputs" in message
    assert "int" in message


def test_inputs_that_are_not_there_are_told_as_such(shop: str) -> None:
    assert "--inputs" in refusal(f"{shop}:total", f"{shop}:number")


@pytest.mark.parametrize("requires", [None, "json", "json.decoder"])
def test_a_variant_whose_requirement_is_there_takes_part(requires: str | None) -> None:
    assert variant_problem(requires) is None


@pytest.mark.parametrize(
    ("requires", "package"),
    [("nowhere_at_all", "nowhere_at_all"), ("nowhere_at_all.below", "nowhere_at_all")],
)
def test_a_variant_whose_requirement_is_missing_names_it_and_how_to_get_it(
    requires: str, package: str
) -> None:
    problem = variant_problem(requires)
    assert problem is not None
    assert f"requires {requires}," in problem
    assert problem.endswith(f"pip install {package}")


@pytest.mark.parametrize("requires", ["json.nowhere", "json.decoder.nowhere", ""])
def test_a_module_that_its_package_does_not_have_is_missing(requires: str) -> None:
    assert variant_problem(requires) is not None
