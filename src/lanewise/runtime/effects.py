"""What a call does beside returning something, seen where it runs."""

from __future__ import annotations

import locale
import os
import pickle
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

from lanewise.model.size import arguments_bytes

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
_LARGEST_BYTES = 4_000_000
# How changes of a module's own state are called. Those may be a cache that the first call fills.
OF_MODULE = "of its module is changed"


class Effects:
    """What a call changes beside returning something: made before it, asked after it.

    Args:
        function: The plain function; its module's globals and class attributes are looked at.
        args: Its arguments, ``kwargs`` too.

    Threads: the one that calls. What others change in the meantime cannot be told apart.
    """

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._function = function
        self._given = {**{f"{at}": one for at, one in enumerate(args)}, **kwargs}
        self._images = {name: _image(one) for name, one in self._given.items()}
        self._before = _state(function)

    def changes(self) -> list[str]:
        """Say in words what is not as it was."""
        found = [
            f"argument {name} is changed"
            for name, one in self._given.items()
            if _image(one) != self._images[name]
        ]
        before, after = self._before, _state(self._function)
        return found + [
            what
            for what in sorted({*before, *after})
            if before.get(what, _ABSENT) != after.get(what, _ABSENT)
        ]


def call_telling(
    tell: Callable[[list[str]], object],
    function: Callable[..., Any],
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Call a function; ``tell`` what it changed, if anything."""
    effects = Effects(function, args, kwargs)
    try:
        return function(*args, **kwargs)
    finally:
        changes = effects.changes()
        if changes:
            tell(changes)


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
    """Something that differs when the value does: its pickle, or which object it is where it has none.

    Nor is anything large pickled: an index of a gigabyte would be, twice a call.
    """
    try:
        if arguments_bytes((value,), {}) <= _LARGEST_BYTES:
            return pickle.dumps(value, 5)
    except Exception:  # noqa: BLE001, S110 - because: both run whatever code an object brings
        pass
    return type(value), id(value), _length(value)


def _length(value: Any) -> int | None:
    try:
        return len(value)
    except Exception:  # noqa: BLE001 - because: see above
        return None
