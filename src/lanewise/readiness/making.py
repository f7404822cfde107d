"""What expressions give: a container, a number, a lock, an instance of a class of the project."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from lanewise.readiness.kinds import Kind, is_lock_class, kind_of_call
from lanewise.readiness.modules import Bound, ClassInfo, Function, Module, enclosing_method
from lanewise.readiness.project import External, Project, Variable, merged
from lanewise.readiness.syntax import last_name

_CONTAINER_DISPLAYS = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
_PLAIN_DECORATORS = frozenset({"staticmethod", "classmethod"})
_SEMAPHORES = frozenset({"Semaphore", "BoundedSemaphore"})


@dataclass(frozen=True, slots=True)
class Made:
    """What an expression gives.

    Attributes:
        kind: What it is.
        type_name: What made it.
        info: Its class, for instances of the project's classes.
    """

    kind: Kind
    type_name: str = ""
    info: ClassInfo | None = None


UNKNOWN = Made(Kind.OTHER)


class Maker:
    """Says what values are."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._open: set[tuple[str, str]] = set()
        self._known: dict[tuple[str, str], Made] = {}

    def made(self, node: ast.expr | None, function: Function | None, module: Module) -> Made:
        """Say what a value is."""
        if isinstance(node, ast.Call):
            return self._by_call(node, function, module)
        if isinstance(node, (ast.Name, ast.Attribute)):
            entity = self._project.entity(node, function, module)
            return self.variable(entity) if isinstance(entity, Variable) else UNKNOWN
        if isinstance(node, (ast.UnaryOp, ast.Await, ast.NamedExpr)):
            inner = node.operand if isinstance(node, ast.UnaryOp) else node.value
            return self.made(inner, function, module)
        return UNKNOWN if node is None else _of_display(node)

    def _by_call(self, node: ast.Call, function: Function | None, module: Module) -> Made:
        func = node.func.value if isinstance(node.func, ast.Subscript) else node.func
        entity = self._project.entity(func, function, module) or self._own_method(func, function)
        if isinstance(entity, External):
            return self._by_external(entity, node, function, module)
        if isinstance(entity, ClassInfo):
            return self.instance(entity)
        if isinstance(entity, Function) and entity.is_generator and not entity.is_async:
            plain = all(last_name(d) in _PLAIN_DECORATORS for d in entity.decorators)
            return Made(Kind.GENERATOR if plain else Kind.OTHER, entity.name)
        return Made(Kind.OTHER, last_name(node))

    def _own_method(self, func: ast.expr, function: Function | None) -> Function | None:
        """``self._make()``, in a method."""
        method = enclosing_method(function)
        if (
            isinstance(func, ast.Attribute)
            and isinstance(func.value, ast.Name)
            and method is not None
            and method.owner is not None
            and method.kind_of_method == "instance"
            and method.params[:1] == [func.value.id]
        ):
            return self._project.method(method.owner, func.attr)
        return None

    def _by_external(
        self, entity: External, node: ast.Call, function: Function | None, module: Module
    ) -> Made:
        name = entity.dotted.rpartition(".")[2]
        factory = next((k.value for k in node.keywords if k.arg == "default_factory"), None)
        if factory is not None and name in ("field", "Field", "ib", "attrib"):
            call = ast.copy_location(ast.Call(factory, [], []), node)
            return self.made(call, function, module)
        if name in _SEMAPHORES and _lets_several_in(node):
            return Made(Kind.QUEUE, name)
        return Made(kind_of_call(entity.dotted), name)

    def instance(self, info: ClassInfo) -> Made:
        """Say what an instance of a class of the project is."""
        for name in self._project.base_names(info):
            kind = kind_of_call(name)
            if kind in (Kind.LOCAL, Kind.LOCK, Kind.QUEUE):
                return Made(kind, info.name, info)
            if kind is Kind.CONTAINER and not self._stores_itself(info):
                return Made(kind, name.rpartition(".")[2], info)
        return Made(Kind.LOCK if is_lock_class(info) else Kind.INSTANCE, info.name, info)

    def _stores_itself(self, info: ClassInfo) -> bool:
        """A container with a way of its own to store may hold a lock while it does."""
        own = {name for current in self._project.bases(info) for name in current.methods}
        return bool(own & {"__setitem__", "setdefault", "append", "add", "__missing__"})

    def merged(self, bounds: list[Bound], function: Function | None, module: Module) -> Made:
        """Say what a name is that is bound in several places."""
        all_made = [self.made(b.value, function or b.function, module) for b in bounds]
        kind = merged([made.kind for made in all_made])
        return next((made for made in all_made if made.kind is kind), Made(kind))

    def variable(self, variable: Variable) -> Made:
        """Say what a module's global is."""
        key = (variable.module.name, variable.name)
        if key in self._known:
            return self._known[key]
        if key in self._open:  # X = Y, Y = X
            return UNKNOWN
        self._open.add(key)
        made = self.merged(variable.bounds, None, variable.module)
        if made.kind in (Kind.NONE, Kind.OTHER):
            # What functions put there later tells more than the None it starts with.
            later = self.merged(self._project.rebound.get(key, []), None, variable.module)
            if later.kind in (Kind.INSTANCE, Kind.CONTAINER, Kind.GENERATOR, Kind.ITERATOR):
                made = later
        self._open.discard(key)
        self._known[key] = made
        return made


def _of_display(node: ast.expr) -> Made:
    if isinstance(node, _CONTAINER_DISPLAYS):
        return Made(Kind.CONTAINER, type(node).__name__.removesuffix("Comp").lower())
    if isinstance(node, ast.BinOp):  # [0] * 16
        sides = [_of_display(side) for side in (node.left, node.right)]
        return next((m for m in sides if m.kind is Kind.CONTAINER), _number(sides))
    if isinstance(node, ast.GeneratorExp):
        return Made(Kind.GENERATOR, "generator expression")
    if isinstance(node, ast.Constant):
        return Made(_kind_of_constant(node.value), type(node.value).__name__)
    if isinstance(node, (ast.Tuple, ast.JoinedStr)):
        return Made(Kind.CONSTANT, type(node).__name__.lower())
    return UNKNOWN


def _number(sides: list[Made]) -> Made:
    """``60 * 60``."""
    return sides[0] if all(m.kind is Kind.NUMBER for m in sides) else UNKNOWN


def _kind_of_constant(value: object) -> Kind:
    if value is None:
        return Kind.NONE
    if isinstance(value, bool) or not isinstance(value, (int, float, complex)):
        return Kind.CONSTANT
    return Kind.NUMBER


def _lets_several_in(node: ast.Call) -> bool:
    """``Semaphore(4)`` keeps nobody from writing at the same time as three others."""
    given = node.args[0] if node.args else next((k.value for k in node.keywords), None)
    return given is not None and not (isinstance(given, ast.Constant) and given.value == 1)
