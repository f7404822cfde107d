"""Context variables that cross with a call."""

from __future__ import annotations

import contextvars
import importlib
import logging
import pickle
import sys
from collections.abc import Iterable
from typing import Any

_log = logging.getLogger("lanewise")


class CarriedContext:
    """The variables that were named for propagation. Owner: the lane's loop.

    Args:
        names: ``"module:variable"``, or the variable itself where it is a global of some module.

    Raises:
        ValueError: There is no such variable.
    """

    def __init__(self, names: Iterable[str | contextvars.ContextVar[Any]]) -> None:
        self._variables = [_found(name) for name in names]
        self._unportable: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._variables)

    def values(self) -> tuple[tuple[str, Any], ...]:
        """Return what the variables are now, those that are set and can cross."""
        carried = []
        for where, variable in self._variables:
            try:
                value = variable.get()
            except LookupError:
                continue
            if self._crosses(where, value):
                carried.append((where, value))
        return tuple(carried)

    def _crosses(self, where: str, value: Any) -> bool:
        if value is None or isinstance(value, (str, int, float, bytes, bool)):
            return True
        try:
            pickle.dumps(value, 5)
        except Exception as error:  # noqa: BLE001 - because: __reduce__ may raise anything
            if where not in self._unportable:
                self._unportable.add(where)
                _log.warning("the context variable %s cannot cross to workers: %s", where, error)
            return False
        return True


def _found(name: str | contextvars.ContextVar[Any]) -> tuple[str, contextvars.ContextVar[Any]]:
    if isinstance(name, contextvars.ContextVar):
        return _home(name), name
    module, colon, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"there is no context variable {name!r}: write it as 'package.module:variable' ({error})"
        ) from error
    if not isinstance(found, contextvars.ContextVar):
        raise ValueError(  # noqa: TRY004 - because: the option's value is wrong, whatever it names
            f"{name!r} is a {type(found).__name__} and no context variable"
            + ("" if colon else ": write it as 'package.module:variable'")
        )
    return name, found


def _home(variable: contextvars.ContextVar[Any]) -> str:
    """Find the module that holds a variable, under whose name the far side can find it too."""
    for module_name, module in list(sys.modules.items()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is variable:
                return f"{module_name}:{name}"
    raise ValueError(
        f"the context variable {variable.name!r} is no global of a module, so workers could not find it"
    )
