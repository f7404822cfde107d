"""A function declared to lanewise, and its variants.

A :class:`Task` is still the plain function when it is called; everything else that it carries is a
description for ``measure`` and for the runtime. It pickles by reference, like the function itself.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Generic, Literal, ParamSpec, TypeVar, cast, overload

from lanewise.model.lane import LANE_NAMES, PRIORITIES, LaneName, Priority
from lanewise.model.size import arguments_bytes

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

Isolation = Literal["any", "required"]
DEFAULT_VARIANT = "default"


@dataclass(frozen=True, slots=True)
class Variant:
    """One implementation of a task.

    Attributes:
        name: Unique within the task; the decorated function itself is ``"default"``.
        function: The plain function.
        requires: A module that must be importable, or None. Without it the variant is left out.
        equal: Compares two results; None means ``==`` (or the declared tolerance).
        tolerance: Relative tolerance for numbers in the results; 0 asks for equality.
    """

    name: str
    function: Callable[..., Any]
    requires: str | None = None
    equal: Callable[[Any, Any], bool] | None = None
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class Resources:
    """What a call asks of the node that runs it. Lanes of this machine do not look at it.

    Attributes:
        cpus: Cores that it keeps busy.
        memory_bytes: Memory that is kept free for it; 0 asks for none. It is no limit.
    """

    cpus: float = 1.0
    memory_bytes: int = 0


NO_RESOURCES = Resources()


class Task(Generic[P, T]):
    """A declared function. Call it like the function that it wraps.

    Threads: the description is written while its module is imported and only read afterwards;
    ``variant`` is not meant to be called once calls run.
    """

    __wrapped__: Callable[P, T]
    __module__: str
    __name__: str
    __qualname__: str

    def __init__(  # noqa: PLR0913 - because: the decorator's keyword arguments, each documented in task()
        self,
        function: Callable[P, T],
        *,
        name: str | None = None,
        lane: LaneName | None = None,
        size: Callable[..., float] | None = None,
        inputs: Callable[[Any], tuple[Any, ...]] | None = None,
        timeout_s: float | None = None,
        idempotent: bool = False,
        isolation: Isolation = "any",
        priority: Priority = "normal",
        resources: Mapping[str, float] | None = None,
    ) -> None:
        _check_declaration(function, lane, timeout_s, isolation, priority)
        functools.update_wrapper(self, function)
        self.name = name or _name_of(function)
        self.lane: LaneName | None = lane
        self.size = size
        self.inputs = inputs
        self.timeout_s = timeout_s
        self.idempotent = idempotent
        self.isolation: Isolation = isolation
        self.priority: Priority = priority
        self.resources = NO_RESOURCES if resources is None else _resources(resources)
        self.declared = True
        self._is_global: bool | None = None
        # What this one is a changed copy of. Not itself: a cycle outlives the last reference.
        self._original: Task[P, T] | None = None
        # owner: the importing thread; read-only once the module is imported.
        self._variants: dict[str, Variant] = {DEFAULT_VARIANT: Variant(DEFAULT_VARIANT, function)}

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function, here and now."""
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<lanewise task {self.name}>"

    def __reduce__(self) -> str:
        # By reference, as functions do: the far side imports the module and finds the same task.
        return self.__qualname__

    @property
    def reference(self) -> Callable[..., Any]:
        """What to send to another process: this task, or the bare function where none is declared.

        A task pickles by the name under which its module holds it. One that was made of somebody
        else's function (``task(timeout_s=2)(package.function)``) is not held there: the function is,
        and goes in its place, unless there are variants, which it does not know.
        """
        if not self.declared:
            return self.__wrapped__
        if self._is_global is None:  # seen once: modules are complete when calls are made
            self._is_global = _held_by_its_module(self._original or self)
        if self._is_global or len(self._variants) > 1:
            return self._original or self
        return self.__wrapped__

    @property
    def variants(self) -> dict[str, Variant]:
        """Every implementation by name, the default one first. A copy."""
        return dict(self._variants)

    def implementation(self, variant: str = DEFAULT_VARIANT) -> Callable[..., T]:
        """Return the plain function of a variant.

        Raises:
            KeyError: There is no variant of that name; the message lists those that exist.
        """
        try:
            return cast("Callable[..., T]", self._variants[variant].function)
        except KeyError:
            known = ", ".join(self._variants)
            raise KeyError(
                f"task {self.name} has no variant {variant!r}; it has: {known}"
            ) from None

    def with_inputs(self, inputs: Callable[[Any], tuple[Any, ...]]) -> Task[P, T]:
        """Return the same task with another ``inputs``; the original is not changed."""
        changed: Task[P, T] = object.__new__(type(self))
        changed.__dict__.update(self.__dict__)
        changed.inputs = inputs
        changed._original = self._original or self
        return changed

    def size_of(self, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> float:
        """Return the size of a call, in the unit that break-even points are expressed in.

        That is what the task's ``size`` says, or else the approximate bytes of the arguments.
        """
        if self.size is None:
            return float(arguments_bytes(args, kwargs or {}))
        return float(self.size(*args, **(kwargs or {})))

    def variant(
        self,
        name: str,
        *,
        requires: str | None = None,
        equal: Callable[[Any, Any], bool] | None = None,
        tolerance: float = 0.0,
    ) -> Callable[[F], F]:
        """Declare another implementation that gives the same results.

        Args:
            name: How measurements and plans call it.
            requires: A module that it needs; where that is missing, the variant is left out.
            equal: ``equal(default_result, variant_result)`` where ``==`` is not the right test.
            tolerance: Relative tolerance for numbers in the results, 0 for equality.

        Returns:
            A decorator that gives back the plain function, or the task where the function was
            given the task's own name (so that the name goes on meaning the task).

        Raises:
            ValueError: The name is taken.
        """
        if name in self._variants:
            raise ValueError(
                f"task {self.name} already has a variant {name!r}: give it another name"
            )

        def declare(function: F) -> F:
            self._variants[name] = Variant(name, function, requires, equal, tolerance)
            same_name = getattr(function, "__qualname__", None) == self.__qualname__
            return cast("F", self) if same_name else function

        return declare


@overload
def task(fn: Callable[P, T], /) -> Task[P, T]: ...


@overload
def task(
    *,
    name: str | None = None,
    lane: LaneName | None = None,
    size: Callable[..., float] | None = None,
    inputs: Callable[[Any], tuple[Any, ...]] | None = None,
    timeout_s: float | None = None,
    idempotent: bool = False,
    isolation: Isolation = "any",
    priority: Priority = "normal",
    resources: Mapping[str, float] | None = None,
) -> Callable[[Callable[P, T]], Task[P, T]]: ...


def task(fn: Callable[P, T] | None = None, /, **options: Any) -> Any:
    """Declare a function to lanewise. Calling it stays an ordinary call.

    Args:
        fn: The function, where the decorator is used without parentheses.
        **options: ``name``: how plans call it, by default ``module:function``.
            ``lane``: pins every call to one lane.
            ``size(*args, **kwargs)``: the number that break-even points are expressed in; by
            default the bytes of the arguments.
            ``inputs(size)``: makes a tuple of arguments of that size, for ``lanewise measure``.
            ``timeout_s``: seconds from submission to result, queueing included.
            ``idempotent``: the call may be started again after its worker died.
            ``isolation``: ``"required"`` keeps it out of its caller's memory on every build;
            ``"any"`` is a promise that it neither mutates its arguments nor depends on module
            state that changes.
            ``priority``: ``"high"``, ``"normal"`` or ``"low"``: who goes first where calls wait for
            their lane, and who is refused first where there is no room.
            ``resources``: what a call asks of a cluster's node, as
            ``{"cpus": 2, "memory_bytes": 4_000_000_000}``; other lanes do not look at it.

    Raises:
        TypeError: ``fn`` is not a plain callable, or an option is unknown.
        ValueError: An option has a value that it cannot have.
    """
    if fn is None:
        return lambda function: Task(function, **options)
    return Task(fn, **options)


def _check_declaration(
    function: Callable[..., Any],
    lane: str | None,
    timeout_s: float | None,
    isolation: str,
    priority: str,
) -> None:
    if not callable(function) or isinstance(function, Task):
        raise TypeError(
            f"@task takes a function, got {type(function).__name__}: "
            "write @task above a def, or @task(size=..., inputs=...)"
        )
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{_name_of(function)} is async: it belongs on the event loop, so await it there. "
            "A task is the plain function inside that computes"
        )
    if lane is not None and lane not in LANE_NAMES:
        raise ValueError(f"lane={lane!r} is not a lane; choose one of {', '.join(LANE_NAMES)}")
    if timeout_s is not None and not timeout_s > 0:
        raise ValueError(f"timeout_s={timeout_s!r} must be a number of seconds above 0, or None")
    if isolation not in ("any", "required"):
        raise ValueError(f"isolation={isolation!r} must be 'any' or 'required'")
    if priority not in PRIORITIES:
        raise ValueError(f"priority={priority!r} must be one of {', '.join(PRIORITIES)}")
    if isolation == "required" and lane in ("event_loop", "thread"):
        raise ValueError(
            f"isolation='required' and lane={lane!r} contradict each other: that lane shares its "
            "caller's memory"
        )


def _resources(asked: Mapping[str, float]) -> Resources:
    unknown = sorted(asked.keys() - {"cpus", "memory_bytes"})
    cpus, memory_bytes = asked.get("cpus", 1.0), asked.get("memory_bytes", 0)
    if unknown or not cpus > 0 or memory_bytes < 0:
        raise ValueError(
            f"resources={dict(asked)!r}: give {{'cpus': 2, 'memory_bytes': 4_000_000_000}}, the cores "
            "that a call keeps busy and the memory that is kept free for it"
            + (f"; {unknown[0]!r} is not known" if unknown else "")
        )
    return Resources(float(cpus), int(memory_bytes))


def as_task(
    fn: Callable[..., Any],
    *,
    name: str | None = None,
    inputs: Callable[[Any], tuple[Any, ...]] | None = None,
) -> Task[..., Any]:
    """Give any callable the description of a task, with default options where it has none.

    Args:
        fn: A task, which is returned as it is when ``inputs`` is None, or any callable.
        name: Used for callables that are not tasks.
        inputs: Replaces the task's own.

    Raises:
        TypeError: ``fn`` cannot be called.
    """
    if isinstance(fn, Task):
        return fn if inputs is None else fn.with_inputs(inputs)
    if not callable(fn):
        raise TypeError(f"{fn!r} is not callable: give a function or a @task")
    undeclared: Task[..., Any] = Task(fn, name=name, inputs=inputs)
    undeclared.declared = False
    return undeclared


def _held_by_its_module(task: Task[..., Any]) -> bool:
    found: Any = sys.modules.get(task.__module__)
    for name in task.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is task


def _name_of_main() -> str:
    """The name by which others import the program that was started.

    A plan measured as ``app:match`` must be found when app.py is the program and its module is
    called ``__main__``.
    """
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:  # python -m package.app
        return str(spec.name).removesuffix(".__main__")
    file = getattr(main, "__file__", None)
    return PurePath(file).stem if file else "__main__"


def _name_of(function: Callable[..., Any]) -> str:
    module = getattr(function, "__module__", None) or type(function).__module__
    if module == "__main__":
        module = _name_of_main()
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    return f"{module}:{name or type(function).__qualname__}"
