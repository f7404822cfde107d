"""Who uses which function, and what follows for the functions themselves.

Names decide: a use of ``x.load`` counts for every function called ``load``. So a function is said to
run at import only, or under its callers' lock only, where no use of its name speaks against it.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from lanewise.readiness.locks import Locks
from lanewise.readiness.making import Maker
from lanewise.readiness.modules import ClassInfo, Function, Module, enclosing_method
from lanewise.readiness.project import Project
from lanewise.readiness.syntax import last_name

_AT_CLASS_CREATION = frozenset({"__init_subclass__", "__set_name__", "__prepare__"})
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_COMMAND_DECORATORS = frozenset({"command", "group", "callback"})
# Who is given one of these runs once it has come, long after the import.
_GIVEN_LATER = frozenset(
    {"request", "req", "websocket", "ws", "message", "event", "msg", "payload"}
)
_RUN_ONCE = frozenset(
    {"main", "_main", "cli", "run_from_command_line", "execute_from_command_line"}
)


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a name."""

    node: ast.expr
    function: Function | None  # None: the module's or a class's own statements
    module: Module
    how: str  # "call", "decorator", "decorator call" or "value"


class References:
    """All uses of the project's functions."""

    def __init__(self, project: Project, maker: Maker) -> None:
        self._project = project
        self._maker = maker
        self._classes: dict[ast.expr, ClassInfo | None] = {}
        self.uses: dict[str, list[Use]] = defaultdict(list)
        names = {function.name for function in project.functions}
        for module in project.modules:
            self._collect(module, None, module.nodes, names)
            for function in module.all_functions:
                self._collect(module, function, function.nodes, names)

    def _collect(
        self, module: Module, function: Function | None, nodes: list[ast.AST], names: set[str]
    ) -> None:
        for node in nodes:
            if isinstance(node, ast.Name):
                name = node.id
            elif isinstance(node, ast.Attribute):
                name = node.attr
            else:
                continue
            if name in names and isinstance(node.ctx, ast.Load):
                self.uses[name].append(Use(node, function, module, _how(node, module)))

    def of(self, function: Function) -> list[Use]:
        """Return every use outside the function itself that may be of it."""
        return [use for use in self._elsewhere(function) if self._may_be(use, function)]

    def _elsewhere(self, function: Function) -> Iterator[Use]:
        return (use for use in self.uses.get(function.name, []) if use.function is not function)

    def all_are(self, function: Function, holds: Callable[[Use], bool], *, sure: bool) -> bool:
        """Tell whether a function is used, and something holds for every use that may be of it.

        Args:
            function: The function.
            holds: What should hold.
            sure: At least one use must be of this function beyond doubt: a namesake's use speaks
                against a claim, but not for it.
        """
        good: list[Use] = []
        for use in self._elsewhere(function):
            if holds(use):
                good.append(use)
            elif self._may_be(use, function):  # asked last, for popular names have many uses
                return False
        return any(
            self._may_be(use, function) and (not sure or self._is_sure(use, function))
            for use in good
        )

    def _may_be(self, use: Use, function: Function) -> bool:
        if function.owner is None:
            return self._project.entity(use.node, use.function, use.module) is function
        if isinstance(use.node, ast.Name):
            # Inside the class's body it is the method, elsewhere a namesake.
            return use.function is None and use.module is function.module
        assert isinstance(use.node, ast.Attribute)
        info = self._class_of(use.node.value, use)
        if info is None:
            # ``line.left`` of an unknown object is most likely a number; ``line.left()`` may be ours.
            return use.how != "value"
        return self._are_related(info, function.owner)

    def _is_sure(self, use: Use, function: Function) -> bool:
        if function.owner is None or isinstance(use.node, ast.Name):
            return True
        assert isinstance(use.node, ast.Attribute)
        if self._class_of(use.node.value, use) is not None:
            return True
        return self._project.entity(use.node, use.function, use.module) is function

    def _class_of(self, node: ast.expr, use: Use) -> ClassInfo | None:
        if node not in self._classes:
            self._classes[node] = self._look_up_class(node, use)
        return self._classes[node]

    def _look_up_class(self, node: ast.expr, use: Use) -> ClassInfo | None:
        method = enclosing_method(use.function)
        if (
            isinstance(node, ast.Name)
            and method is not None
            and method.kind_of_method in ("instance", "class")
            and method.params[:1] == [node.id]
        ):
            return method.owner
        return self._maker.made(node, use.function, use.module).info

    def _are_related(self, one: ClassInfo, other: ClassInfo) -> bool:
        return (
            one in self._project.bases(other)
            or other in self._project.bases(one)
            or bool(
                # A mixin's self may be of any class that takes both in.
                set(self._project.subclasses.get(one, []))
                & set(self._project.subclasses.get(other, []))
            )
        )

    @cached_property
    def quiet(self) -> set[Function]:
        """Functions that run while one thread exists: at import, or from a command line."""
        found = {f for f in self._project.functions if _quiet_by_itself(f)}
        candidates = [f for f in self._project.functions if f not in found and f.name != "<lambda>"]
        for function in list(candidates):
            if registers(function) and not self._registers_later(function):
                found.add(function)
        while True:
            more = {f for f in candidates if f not in found and self._is_quiet(f, found)}
            more |= {inner for f in found | more for inner in self._returned(f)} - found
            if not more:
                return found
            found |= more

    def _registers_later(self, function: Function) -> bool:
        """Used by what a request or a message runs: ``def open(request): @on(request.topic) ...``."""
        used = function if function.parent is None else function.parent
        return any(
            use.function is not None
            and use.how != "value"
            and self._is_sure(use, used)
            and bool(_GIVEN_LATER & {*use.function.params})
            for use in self.of(used)
        )

    def _is_quiet(self, function: Function, found: set[Function]) -> bool:
        return self.all_are(
            function,
            lambda use: use.how != "value" and (use.function is None or use.function in found),
            sure=True,
        )

    def _returned(self, function: Function) -> list[Function]:
        """``@register("name")`` runs the function that ``register`` returns, at import too."""
        if not function.functions:
            return []
        if not self.all_are(function, lambda use: use.how == "decorator call", sure=True):
            return []
        returned = {
            node.value.id
            for node in function.nodes
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Name)
        }
        return [inner for name, inner in function.functions.items() if name in returned]

    @cached_property
    def handed_out(self) -> set[Function]:
        """Inner functions of decorators and makers used at import: one for all who call it.

        What they keep in their enclosing call is as shared as a module's global.
        """
        found: set[Function] = set()
        for function in self._project.functions:
            if not function.functions:
                continue
            at_import = any(
                use.how in ("decorator", "decorator call")
                or (use.how == "call" and use.function is None)
                for use in self.of(function)
            )
            inner = _inner(function)
            if at_import or any(_is_wrapper(f) for f in inner):
                found.update(inner)
        return found

    def held_by_callers(self, locks: Locks) -> set[Function]:
        """Private helpers all of whose callers hold a lock."""
        found: set[Function] = set()
        candidates = [f for f in self._project.functions if _is_private(f)]
        while True:
            more = {
                f for f in candidates if f not in found and self._only_under_lock(f, found, locks)
            }
            if not more:
                return found
            found |= more

    def _only_under_lock(self, function: Function, found: set[Function], locks: Locks) -> bool:
        def is_held(use: Use) -> bool:
            caller = use.function
            if use.how != "call" or caller is None:
                return False
            made = caller.name == "__init__" and caller.owner is function.owner
            return caller in found or made or bool(locks.written(use.node, caller))

        def is_made(use: Use) -> bool:
            return use.function is not None and use.function.name == "__init__"

        return self.all_are(function, is_held, sure=False) and not self.all_are(
            function, is_made, sure=False
        )

    @cached_property
    def only_while_made(self) -> set[Function]:
        """Methods that only constructors call: nobody else has the instance yet."""
        found: set[Function] = {
            f
            for f in self._project.functions
            if f.owner is not None
            and f.name in ("__init__", "__new__", "__post_init__", "__setstate__", "__set_name__")
        }
        candidates = [f for f in self._project.functions if f.owner is not None]
        while True:
            more = {f for f in candidates if f not in found and self._is_made_only(f, found)}
            if not more:
                return found
            found |= more

    def _is_made_only(self, function: Function, found: set[Function]) -> bool:
        return self.all_are(
            function, lambda use: use.how == "call" and use.function in found, sure=False
        )


def _inner(function: Function) -> set[Function]:
    """The functions that a function returns, and those that these return."""
    found: set[Function] = set()
    for node in function.nodes:
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Name):
            inner = function.functions.get(node.value.id)
            if inner is not None:
                found |= {inner} | _inner(inner)
    return found


def _is_wrapper(function: Function) -> bool:
    """``@wraps(fn)`` above it: what it is returned by is a decorator, whoever uses it."""
    return any(last_name(decorator) == "wraps" for decorator in function.decorators)


def _how(node: ast.expr, module: Module) -> str:
    parent = module.parents.get(node)
    called = isinstance(parent, ast.Call) and parent.func is node
    top = parent if called else node
    above = module.parents.get(top) if top is not None else None
    decorators = above.decorator_list if isinstance(above, _DEFINITIONS) else []
    if top in decorators:
        return "decorator call" if called else "decorator"
    return "call" if called else "value"


def _quiet_by_itself(function: Function) -> bool:
    if function.in_main_guard or function.name in _AT_CLASS_CREATION:
        return True
    if function.module.relative.rpartition("/")[2] == "__main__.py":
        return True
    if function.owner is not None:
        return _is_metaclass_hook(function)
    if function.parent is None and function.name in _RUN_ONCE:
        return True
    return any(last_name(d) in _COMMAND_DECORATORS for d in function.decorators)


def _is_metaclass_hook(function: Function) -> bool:
    owner = function.owner
    assert owner is not None
    if function.name not in ("__new__", "__init__", "__prepare__", "__setattr__"):
        return False
    bases = [last_name(base) for base in owner.node.bases]
    return any(base == "type" or base.lower().endswith(("meta", "metaclass")) for base in bases)


def registers(function: Function) -> bool:
    """A decorator that notes its function and hands it back: it runs at import."""
    if not function.params or isinstance(function.node, ast.Lambda):
        return False
    first = function.params[1 if function.kind_of_method in ("instance", "class") else 0 :][:1]
    returns = [node for node in function.nodes if isinstance(node, ast.Return)]
    if not first or len(returns) != 1 or function.is_generator:
        return False
    value = returns[0].value
    return (
        isinstance(value, ast.Name)
        and [value.id] == first
        and first[0] not in function.bound
        and function.body[-1] is returns[0]
        and bool(
            {
                "fn",
                "func",
                "f",
                "cls",
                "klass",
                "function",
                "view",
                "handler",
                "callback",
                "wrapped",
                "method",
                "class_",
                "callable",
                "obj",
            }
            & set(first)
        )
    )


def _is_private(function: Function) -> bool:
    """By its own name, or by that of its class."""
    name = function.name
    if name.startswith("__"):
        return False
    return name.startswith("_") or (
        function.owner is not None and function.owner.name.startswith("_")
    )
