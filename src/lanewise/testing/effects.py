"""What a call does beside returning something, seen where it runs."""

from __future__ import annotations

import locale
import os
import pickle
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lanewise.lanes.resolve import plain_function

# What of a module is no state: it belongs to the import system, or to the interpreter.
_NO_STATE = frozenset(
    (
        "__builtins__",
        "__cached__",
        "__doc__",
        "__file__",
        "__loader__",
        "__spec__",
        "__warningregistry__",
    )
)


_ABSENT = object()
# How changes of a module's own state are called. Those may be a cache that the first call fills.
OF_MODULE = "of its module is changed"


@dataclass(frozen=True, slots=True)
class Seen:
    """One call, as it was where it ran.

    Attributes:
        result: What it returned; None where it raised.
        error: What it raised, in words, or None.
        effects: What it changed beside that, in words: its arguments, its module's globals, the
            environment, the working directory, the locale, the filters of warnings.
    """

    result: Any
    error: str | None
    effects: tuple[str, ...]


def observed(task: Callable[..., Any], variant: str, args: tuple[Any, ...]) -> Seen:
    """Call a function and note what changed. On whatever lane; nothing else may run beside it there."""
    function = plain_function(task, variant)
    before, given = _state(function), [_image(one) for one in args]
    error = None
    result = None
    try:
        result = function(*args)
    except Exception as raised:  # noqa: BLE001 - because: that it raises is what is compared
        error = f"{type(raised).__name__}: {raised}"
    changed = [
        f"argument {at} is changed"
        for at, (one, image) in enumerate(zip(args, given, strict=True))
        if _image(one) != image
    ]
    after = _state(function)
    changed += [
        what
        for what in sorted({*before, *after})
        if before.get(what, _ABSENT) != after.get(what, _ABSENT)
    ]
    return Seen(result, error, tuple(changed))


def _state(function: Callable[..., Any]) -> dict[str, Any]:
    """Everything that a call could change and others could see, by what it is called."""
    found: dict[str, Any] = {
        "the environment is changed": dict(os.environ),
        "the working directory is changed": _working_directory(),
        "the locale is changed": locale.setlocale(locale.LC_ALL),
        "the filters of warnings are changed": [*map(str, warnings.filters)],
        "sys.path is changed": [*sys.path],
    }
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    for name, value in [*vars(module).items()] if module is not None else ():
        if name not in _NO_STATE and not isinstance(value, types.ModuleType):
            found[f"{name} {OF_MODULE}"] = _image(value)
        if isinstance(value, type) and value.__module__ == getattr(module, "__name__", None):
            for own, held in [*vars(value).items()]:
                if not own.startswith("__") and not callable(held):
                    found[f"{name}.{own} {OF_MODULE}"] = _image(held)
    return found


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - because: a path is made of it for nothing
    except OSError:
        return "(gone)"


def _image(value: Any) -> Any:
    """Something that differs when the value does: its pickle, or which object it is where it has none."""
    try:
        return pickle.dumps(value, 5)
    except Exception:  # noqa: BLE001 - because: pickling runs whatever code an object brings
        return type(value), id(value), _length(value)


def _length(value: Any) -> int | None:
    try:
        return len(value)
    except Exception:  # noqa: BLE001 - because: see above
        return None
