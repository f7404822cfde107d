"""A project: its modules, and what a name in one stands for in another."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lanewise.readiness.files import Source, printable
from lanewise.readiness.findings import Place
from lanewise.readiness.kinds import Kind
from lanewise.readiness.modules import Bound, ClassInfo, Function, Module, read_module
from lanewise.readiness.syntax import dotted_text

_BUILTINS = frozenset(dir(builtins))
_MOST_HOPS = 8  # re-exports followed; a cycle of imports ends here


@dataclass(frozen=True, slots=True)
class External:
    """Something outside the project, by its dotted name."""

    dotted: str


@dataclass(frozen=True, slots=True)
class Variable:
    """A name that a module binds."""

    module: Module
    name: str

    @property
    def bounds(self) -> list[Bound]:
        """What the module's own statements bind it to."""
        return self.module.names.get(self.name, [])


Entity = Module | ClassInfo | Function | Variable | External


class Project:
    """All modules of one audit."""

    def __init__(self, root: Path, sources: list[Source]) -> None:
        self.root = root
        self.modules: list[Module] = []
        self._by_name: dict[str, Module] = {}
        for source in sources:
            if source.tree is not None:
                self._add(source, source.tree)

    def _add(self, source: Source, tree: ast.Module) -> None:
        names = module_names(self.root, source.path)
        module = read_module(names[0], source.relative, tree)
        self.modules.append(module)
        for name in names:
            self._by_name.setdefault(name, module)

    @property
    def functions(self) -> Iterator[Function]:
        """Every function, method and lambda."""
        for module in self.modules:
            yield from module.all_functions

    @property
    def classes(self) -> Iterator[ClassInfo]:
        """Every class."""
        for module in self.modules:
            yield from module.all_classes

    @cached_property
    def rebound(self) -> dict[tuple[str, str], list[Bound]]:
        """What functions bind module names to with ``global``: (module, name) to bindings."""
        found: dict[tuple[str, str], list[Bound]] = {}
        for function in self.functions:
            for name in function.globals:
                if name in function.bound:
                    key = (function.module.name, name)
                    found.setdefault(key, []).extend(function.bound[name])
        return found

    def module(self, dotted: str) -> Module | None:
        """Return the module of that name, if the project has it."""
        return self._by_name.get(dotted)

    def member(self, module: Module, name: str, hops: int = 0) -> Entity | None:
        """Return what a name stands for at the module's own level."""
        if name in module.classes:
            return module.classes[name]
        if name in module.functions:
            return module.functions[name]
        if name in module.imports:
            return self.find(module.imports[name], hops + 1)
        if name in module.names or (module.name, name) in self.rebound:
            return Variable(module, name)
        return self._from_star(module, name, hops)

    def _from_star(self, module: Module, name: str, hops: int) -> Entity | None:
        if name.startswith("_") or hops > _MOST_HOPS:
            return None
        for source in module.star_imports:
            there = self._by_name.get(source)
            found = None if there is None else self.member(there, name, hops + 1)
            if found is not None:
                return found
        return None

    def find(self, dotted: str, hops: int = 0) -> Entity:
        """Return what a dotted name stands for, following re-exports."""
        if hops > _MOST_HOPS:
            return External(dotted)
        module = self._by_name.get(dotted)
        if module is not None:
            return module
        above, _, name = dotted.rpartition(".")
        module = self._by_name.get(above)
        if module is not None:
            return self.member(module, name, hops) or External(dotted)
        return External(dotted)

    def name(self, name: str, function: Function | None, module: Module) -> Entity | None:
        """Return what a free name stands for; None for a function's own variable."""
        scope = function
        while scope is not None:
            if name not in scope.globals and name in scope.locals:
                if name in scope.imports:
                    return self.find(scope.imports[name])
                return scope.functions.get(name) or scope.classes.get(name)
            if name in scope.globals:
                break
            scope = scope.parent
        found = self.member(module, name)
        if found is None and name in _BUILTINS:
            return External(f"builtins.{name}")
        return found

    def entity(self, node: ast.expr, function: Function | None, module: Module) -> Entity | None:
        """Return what a name or a dotted name stands for, without following instances."""
        text = dotted_text(node)
        if text is None:
            return None
        name, *parts = text.split(".")
        found = self.name(name, function, module)
        for part in parts:
            if isinstance(found, Module):
                found = self.member(found, part) or self.module(f"{found.name}.{part}")
            elif isinstance(found, External):
                found = self.find(f"{found.dotted}.{part}")
            elif isinstance(found, ClassInfo) and part in found.methods:
                found = found.methods[part]
            else:
                return None
        return found

    def bases(self, info: ClassInfo) -> list[ClassInfo]:
        """Return a class and its ancestors within the project, nearest first."""
        found = [info]
        for current in found:
            for base in current.node.bases:
                entity = self.entity(base, current.function, current.module)
                if isinstance(entity, ClassInfo) and entity not in found:
                    found.append(entity)
        return found

    def base_names(self, info: ClassInfo) -> set[str]:
        """Return the dotted names of all ancestors, inside and outside the project."""
        names: set[str] = set()
        for current in self.bases(info):
            for base in current.node.bases:
                node = base.value if isinstance(base, ast.Subscript) else base
                entity = self.entity(node, current.function, current.module)
                if isinstance(entity, External):
                    names.add(entity.dotted)
                names.add(ast.unparse(node))
        return names

    @cached_property
    def subclasses(self) -> dict[ClassInfo, list[ClassInfo]]:
        """Each class with all classes below it."""
        found: dict[ClassInfo, list[ClassInfo]] = {}
        for info in self.classes:
            for base in self.bases(info)[1:]:
                found.setdefault(base, []).append(info)
        return found

    def method(self, info: ClassInfo, name: str) -> Function | None:
        """Look a method up through the ancestors."""
        for current in self.bases(info):
            if name in current.methods:
                return current.methods[name]
        return None


def module_names(root: Path, path: Path) -> list[str]:
    """Return the names by which a file is imported, the surest first."""
    parts = [path.stem] if path.stem != "__init__" else []
    package = path.parent
    chain = list(parts)
    while (package / "__init__.py").is_file() and package.name:
        chain.insert(0, package.name)
        package = package.parent
    relative = list(path.relative_to(root).parts[:-1]) + parts
    names = [".".join(relative), ".".join(relative[1:]) if relative[:1] == ["src"] else ""]
    # ``audit app`` of a namespace package, whose modules say ``from app.state import ...``.
    names.append(".".join([root.resolve().name, *relative]))
    if len(chain) > len(parts):
        names.insert(0, ".".join(chain))
    names.append(path.stem)
    return [printable(name) for name in dict.fromkeys(names) if name] or [printable(path.stem)]


def import_folder(root: Path, relative: str, module: str) -> Path:
    """Return the folder from which a file of the project is imported by that dotted name."""
    path = (root / relative).resolve()
    levels = len(module.split(".")) - (path.stem != "__init__")
    return path.parents[levels]


def place_of(bounds: list[Bound], module: Module) -> Place | None:
    """Return where something is bound first."""
    return Place(module.relative, bounds[0].node.lineno) if bounds else None


def merged(kinds: list[Kind]) -> Kind:
    """Return the kind of a name that is bound several times: the first that says something."""
    for kind in kinds:
        if kind not in (Kind.NONE, Kind.OTHER):
            return kind
    if Kind.NONE in kinds:
        return Kind.NONE
    return Kind.OTHER
