"""Which expressions stand for something that other threads see too."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from lanewise.readiness.findings import Place
from lanewise.readiness.guarded import guarded_attributes
from lanewise.readiness.held import Held, copies_defaults, is_cached, is_class_var
from lanewise.readiness.kinds import Kind
from lanewise.readiness.making import Made, Maker
from lanewise.readiness.modules import (
    Bound,
    ClassInfo,
    Function,
    Module,
    enclosing_method,
    gives,
    is_swap,
    looped_over,
)
from lanewise.readiness.namespaces import bounds_of, is_state, keeps_items, server_of
from lanewise.readiness.project import Entity, Project, Variable, merged, place_of
from lanewise.readiness.syntax import attribute_meant, default_of, last_name, method_call

Scope = Literal["global", "class", "instance", "closure"]

_READERS = ("get", "setdefault", "__getitem__")
_MOST_STEPS = 12


@dataclass(frozen=True, slots=True)
class Shared:
    """Something that more than one thread can reach.

    Attributes:
        key: Its dotted name, the same wherever it is used.
        short: How a message calls it.
        kind: What it is.
        type_name: The class or function that made it, where known.
        scope: A module's global, a class's attribute, an attribute of an instance that a module
            holds, or a variable of an enclosing function.
        defined: Where it is bound.
        info: The class of it, for instances of project classes.
        is_item: Meant is something inside it.
    """

    key: str
    short: str
    kind: Kind
    type_name: str
    scope: Scope
    defined: Place | None
    info: ClassInfo | None = None
    is_item: bool = False


class Resolver:
    """Finds the shared object behind an expression."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.maker = Maker(project)
        self._copying: dict[ClassInfo, bool] = {}
        self._states: dict[str, Shared] = {}
        self._guarded: dict[ClassInfo, frozenset[str]] = {}
        self.crowded: set[Function] = set()
        """Functions that several threads run at once, set once entry points are known."""
        self.crowded_classes: set[ClassInfo] = set()
        """Classes that hand their own methods to several threads."""
        self.shared_params: dict[tuple[Function, str], Made] = {}
        """Parameters for which several threads get the same object."""
        self.origins: dict[tuple[Function, str], Shared] = {}
        """Parameters that are given something shared, and what."""

    def made(self, node: ast.expr | None, function: Function | None, module: Module) -> Made:
        """Say what a value is."""
        return self.maker.made(node, function, module)

    # --- where it lives ---------------------------------------------------------------------------

    def variable(self, variable: Variable) -> Shared:
        """Describe a module's global."""
        module, name = variable.module, variable.name
        made = self.maker.variable(variable)
        return Shared(
            f"{module.name}.{name}", name, made.kind, made.type_name, "global",
            place_of(variable.bounds, module), made.info,
        )  # fmt: skip

    def class_attribute(self, info: ClassInfo, name: str) -> Shared:
        """Describe an attribute that all instances of a class share."""
        holder = next((c for c in self.project.bases(info) if name in c.body), info)
        bounds = holder.body.get(name, [])
        made = self.maker.merged(bounds, None, holder.module)
        return Shared(
            f"{holder.full_name}.{name}", f"{holder.name}.{name}", made.kind, made.type_name,
            "class", place_of(bounds, holder.module), made.info,
        )  # fmt: skip

    def instance_attribute(self, info: ClassInfo, name: str) -> Shared | None:
        """Describe an attribute of an instance that many threads share."""
        for holder in self.project.bases(info):
            bounds = holder.on_self.get(name, [])
            if bounds:
                made = self.maker.merged(bounds, None, holder.module)
                return Shared(
                    f"{holder.full_name}.{name}", f"{holder.name}.{name}", made.kind,
                    made.type_name, "instance", place_of(bounds, holder.module), made.info,
                )  # fmt: skip
        return None

    @cached_property
    def _held(self) -> Held:
        return Held(self.project, self.maker)

    def is_held(self, info: ClassInfo, function: Function | None = None, name: str = "") -> bool:
        """Tell whether several threads may hold one instance of a class.

        Args:
            info: The class.
            function: Where the question comes up: one of its methods, which subclasses may replace.
            name: An attribute that the instance should have.
        """
        if info in self.crowded_classes:
            return True
        if self._held.holds(info, enclosing_method(function), name):
            return True
        if info not in self._guarded:
            self._guarded[info] = guarded_attributes(info, self.project, self.maker)
        return name in self._guarded[info]

    # --- what an expression stands for ------------------------------------------------------------

    def resolve(self, node: ast.expr, function: Function, steps: int = 0) -> Shared | None:
        """Return the shared object that an expression stands for, or lies in; None for others."""
        return None if steps > _MOST_STEPS else self._resolved(node, function, steps)

    def _resolved(self, node: ast.expr, function: Function, steps: int) -> Shared | None:
        if isinstance(node, ast.Name):
            return self._resolve_name(node.id, function, steps)
        if isinstance(node, ast.Attribute):
            return self._resolve_attribute(node, function, steps)
        if isinstance(node, ast.Subscript):
            return self._resolve_item(node, function, steps)
        if isinstance(node, (ast.NamedExpr, ast.Await)):
            return self.resolve(node.value, function, steps + 1)
        return self._resolve_call(node, function, steps) if isinstance(node, ast.Call) else None

    def _resolve_call(self, node: ast.Call, function: Function, steps: int) -> Shared | None:
        receiver = method_call(node, *_READERS)
        if receiver is not None:
            return _inside(self.resolve(receiver, function, steps + 1))
        attribute = attribute_meant(node, "getattr")
        if attribute is not None:
            return self._resolve_attribute(attribute, function, steps)
        return self._of_cached(node, function) or self._returned(node, function, steps)

    def _returned(self, node: ast.Call, function: Function, steps: int) -> Shared | None:
        """``_counts()``, ``self._bucket(key)``: a helper that does nothing but give what is shared."""
        called = self.project.entity(node.func, function, function.module)
        if isinstance(node.func, ast.Attribute) and not isinstance(called, Function):
            info = self.self_meant(node.func.value, function)
            called = None if info is None else self.project.method(info, node.func.attr)
        if not isinstance(called, Function) or called is function or called.is_generator:
            return None
        value = gives(called)
        found = None if value is None else self.resolve(value, called, steps + 1)
        return self._alias(found)

    def target(self, node: ast.expr, function: Function) -> Shared | None:
        """Return the shared object that an assignment to a target changes."""
        if isinstance(node, ast.Name):
            if node.id in function.globals:
                return self._global(node.id, function)
            if node.id in function.nonlocals:
                return self._closure(node.id, function)
            return None
        return self.resolve(node, function)

    def _global(self, name: str, function: Function) -> Shared | None:
        entity = self.project.name(name, function, function.module)
        return self.variable(entity) if isinstance(entity, Variable) else None

    def _resolve_name(self, name: str, function: Function, steps: int) -> Shared | None:
        if name in function.nonlocals:
            return self._closure(name, function)
        if name in function.locals and name not in function.globals:
            itself = self._itself(name, function)
            if itself is not None:
                return itself
            if name in function.imports:
                return self._global(name, function)
            return self._resolve_local(name, function, steps)
        return self._closure(name, function) or self._global(name, function)

    def _resolve_local(self, name: str, function: Function, steps: int) -> Shared | None:
        bounds = function.bound.get(name, [])
        if name in function.params and not bounds:
            if (function, name) in self.origins:
                return self.origins[function, name]
            if (function, name) in self.shared_params:
                return self._param(name, function)
            return self._default(name, function)
        if len(bounds) != 1 or name in function.params or bounds[0].entered:
            return None
        return self._bound_to(bounds[0], function, steps)

    def _bound_to(self, bound: Bound, function: Function, steps: int) -> Shared | None:
        value = bound.value
        if is_swap(bound, function.module):
            return None
        if value is None:
            looped = looped_over(bound, function)
            return None if looped is None else _inside(self.resolve(looped, function, steps + 1))
        if isinstance(value, (ast.Name, ast.Attribute, ast.Subscript, ast.Call)):
            return self._alias(self.resolve(value, function, steps + 1))
        return None

    def _itself(self, name: str, function: Function) -> Shared | None:
        """``self`` of a class that is a dict or a list by itself."""
        info = self.self_meant(ast.Name(name, ast.Load()), function)
        if info is None or not self.is_held(info, function):
            return None
        made = self.maker.instance(info)
        if made.kind is not Kind.CONTAINER:
            return None
        place = Place(info.module.relative, info.node.lineno)
        return Shared(info.full_name, info.name, made.kind, made.type_name, "instance", place, info)

    @staticmethod
    def _alias(found: Shared | None) -> Shared | None:
        """A local name for a container is the container; for a number it is only its value."""
        if found is None or found.is_item or found.kind in (Kind.NUMBER, Kind.CONSTANT, Kind.NONE):
            return found if found is not None and found.is_item else None
        return found

    def _default(self, name: str, function: Function) -> Shared | None:
        """``def f(key, cache=CACHE)``: the module's container by another name."""
        default = default_of(function.node, name)
        if not isinstance(default, ast.Name) or function.owner is not None:
            return None
        shared = self._global(default.id, function)
        return shared if shared is not None and shared.kind is Kind.CONTAINER else None

    def _param(self, name: str, function: Function) -> Shared:
        made = self.shared_params[function, name]
        place = Place(function.module.relative, function.node.lineno)
        return Shared(
            f"{function.full_name}({name})", f"{function.name}'s {name}", made.kind,
            made.type_name, "closure", place, made.info,
        )  # fmt: skip

    def _closure(self, name: str, function: Function) -> Shared | None:
        if function not in self.crowded:
            return None
        outer = function.parent
        while outer is not None:
            if name in outer.globals:
                return None
            if name in outer.locals:
                break
            outer = outer.parent
        if outer is None or name in outer.functions or name in outer.imports:
            return None
        bounds = outer.bound.get(name, [])
        made = self.maker.merged(bounds, outer, outer.module)
        return Shared(
            f"{outer.full_name}.{name}", f"{outer.name}'s {name}", made.kind, made.type_name,
            "closure", place_of(bounds, outer.module), made.info,
        )  # fmt: skip

    def _resolve_attribute(
        self, node: ast.Attribute, function: Function, steps: int
    ) -> Shared | None:
        info = self.class_meant(node.value, function)
        if info is not None:
            return self.class_attribute(info, node.attr)
        info = self.self_meant(node.value, function)
        if info is not None:
            return self._on_self(info, node.attr, function, steps)
        entity = self.project.entity(node, function, function.module)
        if isinstance(entity, Variable):
            return self.variable(entity)
        owner = self.project.entity(node.value, function, function.module)
        if isinstance(owner, Function):
            return self._function_attribute(owner, node.attr)
        if is_state(node.value, function, function.module, self.project):
            return self._of_state(node.attr)
        return self._of_holder(node, function, steps)

    def _of_holder(self, node: ast.Attribute, function: Function, steps: int) -> Shared | None:
        server = self._server(node, function)
        if server is not None:
            return self.instance_attribute(server, node.attr) or self._of_class(server, node)
        return self._attribute_of(self.resolve(node.value, function, steps + 1), node)

    def _server(self, node: ast.Attribute, function: Function) -> ClassInfo | None:
        """``self.server.hits`` in a handler: one server for the threads of all requests."""
        holder = node.value
        if not isinstance(holder, ast.Attribute) or holder.attr != "server":
            return None
        handler = self.self_meant(holder.value, function)
        return None if handler is None else server_of(handler, node.attr, self.project)

    def _of_state(self, name: str) -> Shared:
        """``app.state.hits``, which is a global by another name."""
        if name not in self._states:
            self._states[name] = self._state(name)
        return self._states[name]

    def _state(self, name: str) -> Shared:
        found = list(bounds_of(name, self.project))
        made = [self.made(bound.value, bound.function, module) for bound, module in found]
        kind = merged([one.kind for one in made])
        first = next((one for one in made if one.kind is kind), Made(kind))
        places = [Place(module.relative, bound.node.lineno) for bound, module in found]
        return Shared(
            f"app.state.{name}", f"state.{name}", kind, first.type_name, "global",
            places[0] if places else None, first.info,
        )  # fmt: skip

    def _of_cached(self, node: ast.Call, function: Function) -> Shared | None:
        """``limits(tenant)`` of a cached function: one object for all who ask for the same."""
        entity = self.project.entity(node.func, function, function.module)
        if not isinstance(entity, Function) or not is_cached(entity):
            return None
        returned = [n.value for n in entity.nodes if isinstance(n, ast.Return) and n.value]
        if len(returned) != 1:
            return None
        made = self.made(returned[0], entity, entity.module)
        place = Place(entity.module.relative, entity.node.lineno)
        return Shared(
            f"{entity.full_name}()", f"{entity.name}()", made.kind, made.type_name, "global", place,
            made.info,
        )  # fmt: skip

    def _function_attribute(self, owner: Function, name: str) -> Shared | None:
        """``hit.count``, which is a global by another name."""
        if name.startswith("__") or (owner.parent is not None and owner not in self.crowded):
            return None
        holder = owner.module if owner.parent is None else owner.parent
        bounds = [
            Bound(parent.value, node, None)
            for node in holder.nodes
            if isinstance(node, ast.Attribute)
            and node.attr == name
            and isinstance(node.value, ast.Name)
            and node.value.id == owner.name
            and isinstance(parent := owner.module.parents.get(node), ast.Assign)
        ]
        made = self.maker.merged(bounds, owner.parent, owner.module)
        return Shared(
            f"{owner.full_name}.{name}", f"{owner.name}.{name}", made.kind, made.type_name, "global",
            place_of(bounds, owner.module), made.info,
        )  # fmt: skip

    def _attribute_of(self, base: Shared | None, node: ast.Attribute) -> Shared | None:
        if base is None or base.kind in (Kind.LOCAL, Kind.CONTEXT_VAR):
            return None
        if base.is_item:
            return base
        if base.info is not None:
            return self.instance_attribute(base.info, node.attr) or self._of_class(base.info, node)
        return _inside(base) if base.type_name == "SimpleNamespace" else None

    def _of_class(self, info: ClassInfo, node: ast.Attribute) -> Shared | None:
        """A class's attribute is what an instance starts with; assigning gives it its own."""
        if any(node.attr in c.body for c in self.project.bases(info)):
            scope: Scope = "class" if isinstance(node.ctx, ast.Load) else "instance"
            return replace(self.class_attribute(info, node.attr), scope=scope)
        return None

    def _by_property(self, info: ClassInfo, name: str, steps: int) -> Shared | None:
        """``self.hits``, where a property gives ``self._state["hits"]``."""
        getter = self.project.method(info, name)
        if getter is None or not any(last_name(d) == "property" for d in getter.decorators):
            return None
        value = gives(getter)
        return None if value is None else self._alias(self.resolve(value, getter, steps + 1))

    def _on_self(self, info: ClassInfo, name: str, function: Function, steps: int) -> Shared | None:
        if self._is_of_thread(info, name):
            return None
        instance = self.instance_attribute(info, name)
        if instance is not None:
            if self.is_held(info, function, name):
                return instance
            return self._given_to_many(info, name)
        if not any(name in c.body for c in self.project.bases(info)):
            return self._by_property(info, name, steps)
        shared = self.class_attribute(info, name)
        own = self.copies_defaults(info) and not is_class_var(self.project, info, name)
        if not own or self._is_metaclass(info):
            return shared
        return replace(shared, scope="instance") if self.is_held(info, function, name) else None

    def _given_to_many(self, info: ClassInfo, name: str) -> Shared | None:
        """``self.stats = stats`` in a thread's constructor, where all threads are given the same."""
        bounds = [b for holder in self.project.bases(info) for b in holder.on_self.get(name, [])]
        if len(bounds) != 1 or not isinstance(bounds[0].value, ast.Name):
            return None
        made, given = bounds[0].function, bounds[0].value.id
        if made is None:
            return None
        if (made, given) in self.origins:
            return self.origins[made, given]
        return self._param(given, made) if (made, given) in self.shared_params else None

    def _is_of_thread(self, info: ClassInfo, name: str) -> bool:
        """A property that reads what a thread-local holds."""
        getter = self.project.method(info, name)
        if getter is None or not any("property" in ast.unparse(d) for d in getter.decorators):
            return False
        for node in getter.nodes:
            if not isinstance(node, ast.Attribute) or self.self_meant(node.value, getter) is None:
                continue
            held = self.instance_attribute(info, node.attr) or self.class_attribute(info, node.attr)
            if held.kind in (Kind.LOCAL, Kind.CONTEXT_VAR):
                return True
        return False

    def _is_metaclass(self, info: ClassInfo) -> bool:
        return "type" in self.project.base_names(info)

    def copies_defaults(self, info: ClassInfo) -> bool:
        """Tell whether each instance has its own of what the class's body binds."""
        if info not in self._copying:
            self._copying[info] = copies_defaults(self.project, info)
        return self._copying[info]

    def _resolve_item(self, node: ast.Subscript, function: Function, steps: int) -> Shared | None:
        call = node.value
        if isinstance(call, ast.Call) and last_name(call) in ("globals", "vars"):
            key = node.slice
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and not call.args:
                return self._by_key(key.value, function.module)
            return None
        if keeps_items(node.value, function, function.module, self.project):
            text = ast.unparse(node.value)
            name = "app" + text[text.rfind(".") :] if last_name(node.value) != text else "app"
            return Shared(
                name, f"the application's {last_name(node.value)}", Kind.CONTAINER, "dict", "global",
                None, is_item=True,
            )  # fmt: skip
        return _inside(self.resolve(node.value, function, steps + 1))

    def _by_key(self, name: str, module: Module) -> Shared | None:
        """``globals()["client"]``, a global that nothing else may bind."""
        if name in module.functions or name in module.classes or name in module.imports:
            return None
        return self.variable(Variable(module, name))

    def class_meant(self, node: ast.expr, function: Function) -> ClassInfo | None:
        """Return the class for ``cls``, ``type(self)``, ``self.__class__`` and ``Name``."""
        if isinstance(node, ast.Attribute) and node.attr == "__class__":
            return self.self_meant(node.value, function)
        if isinstance(node, ast.Call) and last_name(node) == "type" and len(node.args) == 1:
            return self.self_meant(node.args[0], function)
        if isinstance(node, ast.Name):
            method = enclosing_method(function)
            if (
                method is not None
                and method.kind_of_method == "class"
                and method.params[:1] == [node.id]
            ):
                return method.owner
        entity: Entity | None = self.project.entity(node, function, function.module)
        return entity if isinstance(entity, ClassInfo) else None

    def self_meant(self, node: ast.expr, function: Function) -> ClassInfo | None:
        """Return the class whose instance ``self`` is, else None."""
        method = enclosing_method(function)
        if (
            isinstance(node, ast.Name)
            and method is not None
            and method.kind_of_method == "instance"
            and method.params[:1] == [node.id]
        ):
            return method.owner
        return None


def _inside(found: Shared | None) -> Shared | None:
    if found is None or found.is_item:
        return found
    if found.kind not in (Kind.CONTAINER, Kind.NONE):
        return None
    return replace(found, is_item=True)
