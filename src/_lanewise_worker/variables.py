"""Context variables, found by the name that goes with a call."""

from __future__ import annotations

import contextvars
import warnings
from typing import Any


def find_variable(where: str) -> contextvars.ContextVar[Any] | None:
    """Return the variable that ``"module:name"`` names; None, with a warning, where there is none."""
    module, _, path = where.partition(":")
    try:
        found: Any = __import__(module, fromlist=["_"])
        for name in path.split("."):
            found = getattr(found, name)
    except Exception as error:  # noqa: BLE001 - because: it is the user's module
        warnings.warn(f"the context variable {where} is unknown here: {error}", stacklevel=2)
        return None
    variable: contextvars.ContextVar[Any] = found
    return variable
