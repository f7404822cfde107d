"""Classes with an instance that outlives a call, so that several threads can hold it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.making import Maker
from lanewise.readiness.modules import Bound, ClassInfo, Function, Module, enclosing_method
from lanewise.readiness.project import Project, Variable
from lanewise.readiness.syntax import last_name, method_call, walk_inside

# Of these a framework or the logging module keeps one instance, and calls it from every thread.
_KEPT_BASES = frozenset(
    {"celery.Task", "celery.app.task.Task", "django.apps.AppConfig", "django.contrib.admin.ModelAdmin",
     "logging.Handler", "logging.StreamHandler", "logging.FileHandler", "logging.Filter",
     "logging.Formatter", "logging.LoggerAdapter"}
)  # fmt: skip
_DISPLAYS = (
    ast.Dict, ast.List, ast.Set, ast.Tuple, ast.DictComp, ast.ListComp, ast.SetComp,
)  # fmt: skip
_FIELDS = frozenset({"field", "Field", "ib", "attrib"})
_CACHES = frozenset({"cache", "lru_cache", "cached"})
# These give every instance a copy of what the body says.
_COPYING_BASES = frozenset(
    {"BaseModel", "BaseSettings", "SQLModel", "Enum", "IntEnum", "StrEnum", "Flag", "TypedDict",
     "NamedTuple", "Struct", "Model", "Document", "Schema", "Form", "local"}
)  # fmt: skip
_COPYING_DECORATORS = ("dataclass", "define", "frozen", "mutable", "attrs", "attr.s", "attrib")


class Held:
    """Classes with such an instance, and which of their methods it has.

    An instance is held by a module's global (bound at import or with ``global``), by a class's
    attribute, inside a container of the module, by something that the module holds
    (``app.state.meter = Meter()``), or by a cached function that made it.
    """

    def __init__(self, project: Project, maker: Maker) -> None:
        self._project = project
        self._made: dict[ClassInfo, list[ClassInfo]] = {}
        for leaf in dict.fromkeys(_instances(project, maker)):
            for info in project.bases(leaf):
                self._made.setdefault(info, []).append(leaf)
        self._live: dict[ClassInfo, set[Function]] = {}

    def holds(self, info: ClassInfo, method: Function | None, name: str = "") -> bool:
        """Tell whether a held instance is one of that class, and has a method and an attribute.

        A subclass with methods of its own in place of an ancestor's says nothing of the latter.

        Args:
            info: The class.
            method: One of its methods, or None for any.
            name: An attribute that some method binds, or "" for any.
        """
        leaves = self._made.get(info, [])
        if method is None or info in leaves:
            return bool(leaves)
        return any(method in self._live_in(leaf) and self._binds(leaf, name) for leaf in leaves)

    def _binds(self, leaf: ClassInfo, name: str) -> bool:
        """An ancestor's constructor that is never called binds nothing."""
        family = self._project.bases(leaf)
        if not name or any(name in info.body for info in family):
            return True
        bounds = [bound for info in family for bound in info.on_self.get(name, [])]
        live = self._live_in(leaf)
        return not bounds or any(
            enclosing_method(bound.function) in live for bound in bounds if not _is_augmented(bound)
        )

    def _live_in(self, leaf: ClassInfo) -> set[Function]:
        """Return the methods that an instance of a class comes to."""
        if leaf not in self._live:
            self._live[leaf] = live_methods(self._project, leaf)
        return self._live[leaf]


def live_methods(project: Project, leaf: ClassInfo) -> set[Function]:
    """Return the methods of a class and its ancestors that its instances can come to.

    They come to what others call by a public name, and to what such methods call on ``self``.
    """
    family = project.bases(leaf)
    methods = [f for info in family for f in _methods_of(info)]
    used = {f: _on_own_object(f) for f in methods}
    known = {name for names in used.values() for name in names}
    found: set[Function] = set()
    waiting = [
        f for f in methods
        if _is_first(f, family) and (not _is_internal(f.name) or f.name not in known)
    ]  # fmt: skip
    while waiting:
        function = waiting.pop()
        if function in found:
            continue
        found.add(function)
        names = used[function]
        waiting += [f for f in methods if f.name in names and _is_first(f, family)]
        if "super" in names:
            later = family[family.index(function.owner) + 1 :] if function.owner else []
            waiting += [f for f in methods if f.owner in later and f.name in names]
    return found


def _methods_of(info: ClassInfo) -> list[Function]:
    """Every function of a class's body, setters of properties and overloads as well."""
    return [f for f in info.module.all_functions if f.owner is info]


def _is_first(function: Function, family: list[ClassInfo]) -> bool:
    """Whether no class nearer to the instance defines that name."""
    return next((c for c in family if function.name in c.methods), None) is function.owner


def _is_augmented(bound: Bound) -> bool:
    """``self.n += 1`` needs an ``n`` that is there already."""
    module = None if bound.function is None else bound.function.module
    return module is not None and isinstance(module.parents.get(bound.node), ast.AugAssign)


def _is_internal(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def _on_own_object(function: Function) -> set[str]:
    """Return the attributes that a method uses, and ``super`` where it calls that."""
    names: set[str] = set()
    waiting = [function]
    while waiting:
        current = waiting.pop()
        waiting += [*current.functions.values()]
        for node in current.nodes:
            if isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.Name) and node.id == "super":
                names.add("super")
            elif isinstance(node, ast.Lambda):
                waiting.append(current.module.function_at[node])
    return names


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
            yield from _of_class_body(current, project, maker)
        for function in module.all_functions:
            yield from _by_class(function, project, maker)
            yield from _by_cached(function, maker)
            yield from _decorating(function, project)
            yield from _on_what_is_held(module, function, project, maker)
        yield from _on_what_is_held(module, None, project, maker)


def _of_class_body(current: ClassInfo, project: Project, maker: Maker) -> Iterator[ClassInfo]:
    if project.base_names(current) & _KEPT_BASES:
        yield current
    for bounds in current.body.values():
        # ``x: X = field(default_factory=X)`` makes one for each instance.
        kept = [b for b in bounds if b.value is None or last_name(b.value) not in _FIELDS]
        info = maker.merged(kept, None, current.module).info
        if info is not None:
            yield info
    if _is_single(current, project):
        yield current


def _is_of_program(module: Module, name: str) -> bool:
    """Bound below ``if __name__ == "__main__"`` only: nobody who imports the module has it."""
    bounds = module.names.get(name, [])
    return bool(bounds) and all(bound.node in module.main_guard for bound in bounds)


def _inside_displays(module: Module, maker: Maker) -> Iterator[ClassInfo]:
    for bounds in module.names.values():
        for bound in bounds:
            if isinstance(bound.value, _DISPLAYS):
                for node in walk_inside([bound.value]):  # not into lambdas: those run later
                    if isinstance(node, ast.Call):
                        info = maker.made(node, None, module).info
                        if info is not None:
                            yield info


def _is_single(info: ClassInfo, project: Project) -> bool:
    """``class Settings(metaclass=Singleton)``, ``@singleton class Settings``."""
    names = [last_name(d) for d in info.node.decorator_list]
    names += [last_name(k.value) for c in project.bases(info) for k in c.node.keywords]
    return any("singleton" in name.lower() for name in names)


def _by_class(function: Function, project: Project, maker: Maker) -> Iterator[ClassInfo]:
    """``cls._shared = cls()``: the class keeps the one instance that it hands out."""
    method = enclosing_method(function)
    own = method.params[:1] if method is not None and method.kind_of_method == "class" else []
    for node in function.nodes:
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if not isinstance(target, ast.Attribute) or not isinstance(target.value, ast.Name):
                continue
            holder = project.entity(target.value, function, function.module)
            mine = method is not None and [target.value.id] == own
            if not mine and not isinstance(holder, ClassInfo):
                continue
            info = maker.made(node.value, function, function.module).info
            if info is None and mine and method is not None and _makes(node.value, own, function):
                info = method.owner
            if info is not None:
                yield info


def _makes(value: ast.expr, own: list[str], function: Function) -> bool:
    """``cls()`` and ``super().__new__(cls)``, at once or by a local name."""
    if isinstance(value, ast.Name):
        bounds = function.bound.get(value.id, [])
        return any(isinstance(b.value, ast.Call) and _makes(b.value, own, function) for b in bounds)
    return isinstance(value, ast.Call) and (
        [last_name(value.func)] == own or last_name(value.func) == "__new__"
    )


def _by_cached(function: Function, maker: Maker) -> Iterator[ClassInfo]:
    if function.owner is not None:
        return
    if is_cached(function):
        for node in function.nodes:
            if isinstance(node, ast.Return) and node.value is not None:
                info = maker.made(node.value, function, function.module).info
                if info is not None:
                    yield info


def _decorating(function: Function, project: Project) -> Iterator[ClassInfo]:
    """``@Memoized`` and ``@Memoized(size=9)``: one instance for all who call the function."""
    for decorator in function.decorators if function.parent is None else []:
        node = decorator.func if isinstance(decorator, ast.Call) else decorator
        entity = project.entity(node, None, function.module)
        if isinstance(entity, ClassInfo):
            yield entity


def is_cached(function: Function) -> bool:
    """Tell whether a function's result is kept, and the same object given to all who ask again."""
    return any(last_name(decorator) in _CACHES for decorator in function.decorators)


def _on_what_is_held(
    module: Module, function: Function | None, project: Project, maker: Maker
) -> Iterator[ClassInfo]:
    nodes = module.nodes if function is None else function.nodes
    for node in nodes:
        if isinstance(node, ast.Call):
            yield from _put_into(node, function, module, project, maker)
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        if node in module.main_guard:
            continue  # the program's own, as above
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


def _put_into(
    call: ast.Call, function: Function | None, module: Module, project: Project, maker: Maker
) -> Iterator[ClassInfo]:
    """``CIRCUITS.setdefault(name, Circuit())``, into a container of the module's."""
    receiver = method_call(call, "setdefault", "append", "add")
    if receiver is None or not call.args or call in module.main_guard:
        return
    if isinstance(project.entity(receiver, function, module), Variable):
        info = maker.made(call.args[-1], function, module).info
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
