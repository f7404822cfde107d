"""The function, the object and the arguments that a finding is about, in a process that has them.

Arguments come, in this order, from the user's factory, from a task's ``inputs``, from what the
project's own tests were seen to give, and from a signature that needs none or says plain types.
"""

from __future__ import annotations

import ast
import asyncio
import functools
import importlib
import importlib.util
import inspect
import itertools
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

_BY_ANNOTATION: dict[str, Any] = {
    "int": 1, "float": 1.0, "str": "a", "bytes": b"a", "bool": True,
}  # fmt: skip
_MOST_ITEMS = 3  # of a generator function's: enough to advance what it shares
_SIZE = 10  # for ``inputs(size)``: small, for a call is stepped through instruction by instruction
NEVER = object()


class NoModelError(Exception):
    """Why no two calls can be made; the message is for the user."""


class Target:
    """A function of the user's, with the object that it shares.

    Args:
        question: ``module``, ``function`` (qualified name), ``object`` (dotted, within the module;
            a default is ``function(parameter)``), and optionally ``arguments``, ``recorded``,
            ``factories``.
    """

    def __init__(self, question: Mapping[str, Any]) -> None:
        self._question = question
        self._object: str = question["object"]
        self.module = _imported(question["module"])
        self._holder = _imported(question.get("object_module") or question["module"])
        self.owner, self._raw = _looked_up(self.module, question["function"])
        self.arguments = question.get("arguments") or self._found_arguments(
            question["function"], self.function
        )

    @property
    def function(self) -> Any:
        """The function itself, whatever its decorators have made of it."""
        raw = self._raw
        if isinstance(raw, (staticmethod, classmethod)):
            raw = raw.__func__
        if isinstance(raw, property):
            raw = raw.fget
        return inspect.unwrap(getattr(raw, "func", raw))

    @property
    def root(self) -> str:
        """The folder of the module's package, or of the module."""
        top = sys.modules.get(self.module.__name__.split(".")[0])
        file = getattr(top, "__file__", None) or self.module.__file__
        return os.path.dirname(os.path.realpath(str(file)))  # noqa: PTH120 - because: as code objects have it

    @property
    def is_method(self) -> bool:
        """Whether it needs an instance."""
        return self.owner is not None and not isinstance(self._raw, (staticmethod, classmethod))

    def shared_instance(self) -> Any:
        """The instance that the project's modules hold, else a new one; None for functions."""
        if not self.is_method:
            return None
        assert self.owner is not None
        for module in list(sys.modules.values()):
            name = getattr(module, "__name__", "")
            if name.split(".")[0] != self.module.__name__.split(".")[0]:
                continue
            for value in list(vars(module).values()):
                if isinstance(value, self.owner):
                    return value
        return self.new_instance()

    def new_instance(self) -> Any:
        """Make an instance.

        Raises:
            NoModelError: Nothing says with which arguments.
        """
        assert self.owner is not None
        name = self.owner.__qualname__
        init: Any = inspect.getattr_static(self.owner, "__init__")
        init = inspect.unwrap(init)
        spec: dict[str, Any] = {"from": "signature", "args": "()", "kwargs": "{}"}
        if init is not object.__init__:
            spec = self._found_arguments(f"{name}.__init__", init, skip=1, called=name)
        args, kwargs = self._made(spec, name)
        try:
            return self.owner(*args, **kwargs)
        except Exception as error:
            raise NoModelError(
                f"{name}{_shown(args, kwargs)} raises {error!r}: write a factory for {name}"
            ) from error

    def call_on(self, instance: Any) -> Callable[[], Any]:
        """Return the call, with arguments of its own."""
        args, kwargs = self._made(self.arguments, self._question["function"])
        raw, name = self._raw, self._question["function"].rpartition(".")[2]
        if isinstance(raw, property) or hasattr(raw, "func"):
            return lambda: getattr(instance, name)
        bound = getattr(instance if instance is not None else self.owner or self.module, name)
        if inspect.iscoroutinefunction(self.function):
            return lambda: asyncio.run(bound(*args, **kwargs))
        if inspect.isgeneratorfunction(self.function):
            return lambda: list(itertools.islice(bound(*args, **kwargs), _MOST_ITEMS))
        return functools.partial(bound, *args, **kwargs)

    def shared_object(self, instance: Any) -> Any:
        """The object as it is now; ``NEVER`` where it cannot be had."""
        path = self._object
        if path.endswith(")"):
            name, _, parameter = path[:-1].partition("(")
            function = inspect.unwrap(_looked_up(self._holder, name)[1])
            function = getattr(function, "__func__", function)
            return inspect.signature(function).parameters[parameter].default
        holder, _, name = path.rpartition(".")
        names = (
            {one.__qualname__ for one in type(instance).__mro__} if instance is not None else set()
        )
        try:
            if holder in names:
                return getattr(instance, name)
            found: Any = self._holder
            for part in path.split("."):
                found = getattr(found, part)
        except AttributeError:
            return NEVER
        return found

    def _found_arguments(
        self, name: str, function: Any, skip: int = 0, called: str = ""
    ) -> dict[str, Any]:
        full = f"{self.module.__name__}.{called or name}"
        if full in _factories(self._question.get("factories")):
            return {"from": "factory", "file": self._question["factories"]}
        if not called and self._inputs() is not None:
            return {"from": "inputs", "size": _SIZE}
        recorded = (self._question.get("recorded") or {}).get(f"{self.module.__name__}.{name}")
        if recorded:
            return {"from": "tests", **self._without_the_default(recorded)}
        return self._signature(function, skip or (1 if self._has_receiver(name) else 0), full)

    def _without_the_default(self, recorded: Mapping[str, str]) -> dict[str, str]:
        """What a test gave, less the parameter whose default the finding is about."""
        names: list[str] = ast.literal_eval(recorded["names"])
        args, kwargs = ast.literal_eval(recorded["args"]), ast.literal_eval(recorded["kwargs"])
        left_out = self._object[:-1].partition("(")[2] if self._object.endswith(")") else ""
        kwargs.pop(left_out, None)
        if left_out in names:
            at = names.index(left_out)
            kwargs.update(zip(names[at + 1 :], args[at + 1 :], strict=False))
            args = args[:at]
        return {"args": repr(args), "kwargs": repr(kwargs)}

    def _has_receiver(self, name: str) -> bool:
        return "." in name and not isinstance(self._raw, staticmethod)

    def _inputs(self) -> Callable[[int], tuple[Any, ...]] | None:
        found = getattr(self._raw, "inputs", None)
        return found if callable(found) and hasattr(self._raw, "__wrapped__") else None

    def _signature(self, function: Any, skip: int, full: str) -> dict[str, Any]:
        args: list[Any] = []
        try:
            parameters = list(inspect.signature(function).parameters.values())[skip:]
        except (TypeError, ValueError):
            raise NoModelError(f"the signature of {full} cannot be read") from None
        kwargs: dict[str, Any] = {}
        for one in parameters:
            if one.default is not one.empty or one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
                continue
            annotation = getattr(one.annotation, "__name__", one.annotation)
            if annotation not in _BY_ANNOTATION:
                raise NoModelError(
                    f"{full} needs arguments ({one.name}), and no test was seen to give them as "
                    f"literals: write a factory, FACTORIES = {{{full!r}: lambda: ((...,), {{}})}}, and "
                    "give its file with --factories"
                )
            if one.kind is one.KEYWORD_ONLY:
                kwargs[one.name] = _BY_ANNOTATION[annotation]
            else:
                args.append(_BY_ANNOTATION[annotation])
        return {"from": "signature", "args": repr(tuple(args)), "kwargs": repr(kwargs)}

    def _made(self, spec: Mapping[str, Any], name: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        full = f"{self.module.__name__}.{name}"
        try:
            if spec["from"] == "factory":
                args, kwargs = _factories(self._question.get("factories"))[full]()
                return tuple(args), dict(kwargs)
            if spec["from"] == "inputs":
                inputs = self._inputs()
                assert inputs is not None
                return tuple(inputs(spec["size"])), {}
        except Exception as error:
            raise NoModelError(f"the arguments of {full} cannot be made: {error!r}") from error
        return ast.literal_eval(spec["args"]), ast.literal_eval(spec["kwargs"])


def _shown(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    shown = [repr(one) for one in args] + [f"{name}={one!r}" for name, one in kwargs.items()]
    return f"({', '.join(shown)})"


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except BaseException as error:
        raise NoModelError(f"{name} cannot be imported: {error!r}") from error


def _looked_up(module: Any, qualname: str) -> tuple[type | None, Any]:
    """Return the class that holds a function, if any, and the function as it is held there."""
    if "<" in qualname or not qualname:
        raise NoModelError("it lies in a function that another function makes")
    owner: Any = None
    found: Any = module
    for part in qualname.split("."):
        if isinstance(found, type):
            owner = found
        elif found is not module:
            raise NoModelError(f"{qualname} is made by another function")
        try:
            found = inspect.getattr_static(found, part)
        except AttributeError:
            raise NoModelError(f"{module.__name__} has no {qualname} once it is imported") from None
    return owner, found


@functools.cache
def _factories(path: str | None) -> Mapping[str, Callable[[], tuple[Any, Any]]]:
    if path is None:
        return {}
    spec = importlib.util.spec_from_file_location("lanewise_factories", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        found: Mapping[str, Callable[[], tuple[Any, Any]]] = module.FACTORIES
    except Exception as error:
        raise NoModelError(f"{path} gives no FACTORIES: {error!r}") from error
    return found
