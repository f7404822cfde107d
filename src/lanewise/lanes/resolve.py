"""From a callable and a variant's name to the plain function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lanewise.model.task import Task


def plain_function(function: Callable[..., Any], variant: str) -> Callable[..., Any]:
    """Return the implementation to call in this process.

    Raises:
        KeyError: A task has no variant of that name.
    """
    return function.implementation(variant) if isinstance(function, Task) else function
