"""From the words of the command line to tasks: imports the user's code, so it runs in the bench."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lanewise.errors import MeasureError
from lanewise.host.modules import module_present
from lanewise.model.task import Task, as_task


@dataclass(frozen=True, slots=True)
class Target:
    """A task to measure and the words that it was named by."""

    words: str
    task: Task[..., Any]


def resolve_targets(words: str, inputs: str | None) -> list[Target]:
    """Return the tasks that ``module:function`` or ``module`` names.

    Args:
        words: What to measure. A bare module means all of its tasks that declare ``inputs``.
        inputs: ``module:callable`` that makes arguments for a size, replacing the task's own.

    Raises:
        MeasureError: Something cannot be imported, is missing, or has no inputs.
    """
    maker = None if inputs is None else _load(inputs, "--inputs")
    if maker is not None and not callable(maker):
        raise MeasureError(f"--inputs {inputs}: {type(maker).__name__} is not callable")
    if ":" not in words:
        return _tasks_of_module(words, maker)
    found = _load(words, "target")
    if not callable(found):
        raise MeasureError(f"target {words}: a {type(found).__name__} is not a function")
    try:
        task = as_task(found, name=words, inputs=maker)
    except TypeError as error:
        raise MeasureError(f"target {words}: {error}") from error
    if task.inputs is None:
        raise MeasureError(
            f"target {words} declares no inputs, so there is nothing to call it with. Declare "
            "@task(inputs=lambda size: (argument, ...)) or pass --inputs module:callable"
        )
    return [Target(words, task)]


def _tasks_of_module(name: str, maker: Callable[..., Any] | None) -> list[Target]:
    module = _import(name, "target")
    tasks: dict[str, Target] = {}
    for attribute, value in vars(module).items():
        if isinstance(value, Task):
            task = value if maker is None else value.with_inputs(maker)
            if task.inputs is not None:
                tasks.setdefault(task.name, Target(f"{name}:{attribute}", task))
    if not tasks:
        raise MeasureError(
            f"module {name} has no task that declares inputs. Name a function (module:function), or "
            "declare @task(inputs=lambda size: (argument, ...)) above one"
        )
    return list(tasks.values())


def _load(words: str, role: str) -> Any:
    module_name, _, path = words.partition(":")
    if not module_name or not path:
        raise MeasureError(f"{role} {words!r} must be written module:name")
    found: Any = _import(module_name, role)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise MeasureError(
                f"{role} {words}: {module_name} has no {part!r}{_did_you_mean(found, part)}"
            ) from None
    return found


def _import(name: str, role: str) -> Any:
    if name.endswith(".py") or "/" in name:
        suggestion = name.removesuffix(".py").strip("./").replace("/", ".")
        raise MeasureError(
            f"{role} {name!r} is a path: name the module instead, {suggestion}:function"
        )
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise MeasureError(
                f"{role}: there is no module {name!r} on the import path. Run lanewise from the "
                "directory that holds it, or install it into this environment"
            ) from error
        raise MeasureError(
            f"{role}: importing {name!r} failed, since it needs {error.name!r}, which is not installed "
            "for this interpreter"
        ) from error
    except (Exception, SystemExit) as error:
        raise MeasureError(
            f"{role}: importing {name!r} raised {type(error).__name__}: {error}"
        ) from error


def _did_you_mean(owner: object, missing: str) -> str:
    import difflib  # noqa: PLC0415 - because: needed only for this message

    near = difflib.get_close_matches(missing, dir(owner), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def variant_problem(requires: str | None) -> str | None:
    """Why a variant cannot take part, or None: the module that it requires is not installed."""
    if requires is None or module_present(requires):
        return None
    package = requires.partition(".")[0]
    return f"it requires {requires}, which is not installed: pip install {package}"
