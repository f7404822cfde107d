"""Classes with an instance that outlives a call, so that several threads can hold it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.making import Maker
from lanewise.readiness.modules import ClassInfo, Function, Module
from lanewise.readiness.project import Project, Variable
from lanewise.readiness.syntax import last_name, walk_inside

_FIELDS = frozenset({"field", "Field", "ib", "attrib"})
_CACHES = frozenset({"cache", "lru_cache", "cached"})
# These give every instance a copy of what the body says.
_COPYING_BASES = frozenset(
    {"BaseModel", "BaseSettings", "SQLModel", "Enum", "IntEnum", "StrEnum", "Flag", "TypedDict",
     "NamedTuple", "Struct", "Model", "Document", "Schema", "Form", "local"}
)  # fmt: skip
_COPYING_DECORATORS = ("dataclass", "define", "frozen", "mutable", "attrs", "attr.s", "attrib")


def held_classes(project: Project, maker: Maker) -> set[ClassInfo]:
    """Return those classes, and their ancestors.

    An instance is held by a module's global (bound at import or with ``global``), by a class's
    attribute, inside a container of the module, by something that the module holds
    (``app.state.meter = Meter()``), or by a cached function that made it.
    """
    found: set[ClassInfo] = set()
    for info in _instances(project, maker):
        found.update(project.bases(info))
    return found


def _instances(project: Project, maker: Maker) -> Iterator[ClassInfo]:
    for module in project.modules:
        names = {*module.names, *(n for m, n in project.rebound if m == module.name)}
        for name in names:
            if not _is_of_program(module, name):
                info = maker.variable(Variable(module, name)).info
                if info is not None:
                    yield info
        yield from _inside_displays(module, maker)
        for current in module.all_classes:
            for bounds in current.body.values():
                # ``x: X = field(default_factory=X)`` makes one for each instance.
                kept = [b for b in bounds if b.value is None or last_name(b.value) not in _FIELDS]
                info = maker.merged(kept, None, module).info
                if info is not None:
                    yield info
        for function in module.all_functions:
            yield from _by_cached(function, maker)
            yield from _on_what_is_held(module, function, project, maker)
        yield from _on_what_is_held(module, None, project, maker)


def _is_of_program(module: Module, name: str) -> bool:
    """Bound below ``if __name__ == "__main__"`` only: nobody who imports the module has it."""
    bounds = module.names.get(name, [])
    return bool(bounds) and all(bound.node in module.main_guard for bound in bounds)


def _inside_displays(module: Module, maker: Maker) -> Iterator[ClassInfo]:
    for bounds in module.names.values():
        for bound in bounds:
            if isinstance(bound.value, (ast.Dict, ast.List, ast.Set, ast.Tuple)):
                for node in walk_inside([bound.value]):  # not into lambdas: those run later
                    if isinstance(node, ast.Call):
                        info = maker.made(node, None, module).info
                        if info is not None:
                            yield info


def _by_cached(function: Function, maker: Maker) -> Iterator[ClassInfo]:
    if function.owner is not None:
        return
    if is_cached(function):
        for node in function.nodes:
            if isinstance(node, ast.Return) and node.value is not None:
                info = maker.made(node.value, function, function.module).info
                if info is not None:
                    yield info


def is_cached(function: Function) -> bool:
    """Tell whether a function's result is kept, and the same object given to all who ask again."""
    return any(last_name(decorator) in _CACHES for decorator in function.decorators)


def _on_what_is_held(
    module: Module, function: Function | None, project: Project, maker: Maker
) -> Iterator[ClassInfo]:
    nodes = module.nodes if function is None else function.nodes
    for node in nodes:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        for target in node.targets:
            root: ast.expr = target
            while isinstance(root, (ast.Attribute, ast.Subscript)):
                root = root.value
            if root is target or not isinstance(root, ast.Name):
                continue
            if isinstance(project.name(root.id, function, module), Variable):
                info = maker.made(node.value, function, module).info
                if info is not None:
                    yield info


def copies_defaults(project: Project, info: ClassInfo) -> bool:
    """Tell whether what a class's body binds is copied for each instance, or is not for instances."""
    bases = {base.rpartition(".")[2] for base in project.base_names(info)}
    if bases & _COPYING_BASES or "type" in bases:  # a metaclass's self is a class
        return True
    return any(
        word in ast.unparse(decorator)
        for current in project.bases(info)
        for decorator in current.node.decorator_list
        for word in _COPYING_DECORATORS
    )


def is_class_var(project: Project, info: ClassInfo, name: str) -> bool:
    """Tell whether an attribute stays the class's where others are copied: ``x: ClassVar[dict]``."""
    return any(
        isinstance(parent := current.module.parents.get(bound.node), ast.AnnAssign)
        and "ClassVar" in ast.unparse(parent.annotation)
        for current in project.bases(info)
        for bound in current.body.get(name, [])
    )
