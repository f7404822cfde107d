"""From a callable and a variant's name to the plain function."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Hashable
from typing import Any, cast

from lanewise.model.task import Task


def plain_function(function: Callable[..., Any], variant: str) -> Callable[..., Any]:
    """Return the implementation to call in this process.

    Raises:
        KeyError: A task has no variant of that name.
    """
    return function.implementation(variant) if isinstance(function, Task) else function


def identity_of(function: Callable[..., Any]) -> Hashable:
    """Return what knowledge of a function is kept under.

    The function itself where its module holds it: functions, classes, tasks. For everything else (partial
    objects, bound methods, local functions, instances with ``__call__``), which programs make anew for
    each call and which may hold data, the name of what it is made of: nothing of it is kept alive, and
    what is learned of one serves the next.
    """
    if _is_held_by_its_module(function):
        return cast("Hashable", function)
    if isinstance(function, functools.partial):
        return "partial", identity_of(function.func)
    if isinstance(function, types.MethodType):
        return "method", identity_of(function.__func__)
    return type(function), getattr(function, "__qualname__", "")


def _is_held_by_its_module(function: Any) -> bool:
    if type(function) is types.FunctionType:
        return "<locals>" not in function.__qualname__
    if type(function) is types.BuiltinFunctionType:
        owner = function.__self__
        return owner is None or isinstance(owner, (type, types.ModuleType))
    return isinstance(function, (Task, type))
