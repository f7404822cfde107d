"""FT109: a thread-local value that only the importing thread has."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.findings import Place
from lanewise.readiness.kinds import Kind
from lanewise.readiness.modules import ClassInfo, Function, Module
from lanewise.readiness.project import Variable
from lanewise.readiness.shared import Shared
from lanewise.readiness.syntax import last_name, method_call

RULE = "FT109"
_FIX_LOCAL = (
    "set it where each thread begins (initializer= of the executor), read it with getattr(local, name, "
    "default), or subclass threading.local and set it in __init__"
)
_FIX_VAR = "give the ContextVar a default=, or pass the context on (contextvars.copy_context().run)"

_Set = dict[tuple[str, str], Place]  # (key of the local, attribute) -> where it is set


def find(context: Context) -> Iterator[Sighting]:
    """Yield every read of a value that was set at import, for one thread only."""
    set_at_import: _Set = {}
    for module in context.project.modules:
        set_at_import.update(_set_by(module, None, module.nodes, context))
    for function in context.project.functions:
        if _runs_at_import_only(function, context):
            set_at_import.update(_set_by(function.module, function, function.nodes, context))
    set_at_import.update(_set_while_made(context))
    begun = _set_where_threads_begin(context)
    for function in context.running:
        for node in function.nodes:
            found = _read(node, function, context)
            if found is None:
                continue
            if found not in set_at_import or found in begun:
                continue
            assert isinstance(node, ast.expr)
            if not _is_sure(node, found[1], function):
                yield _sighting(node, function, found, set_at_import[found])


def _sighting(node: ast.expr, function: Function, found: tuple[str, str], place: Place) -> Sighting:
    key, attribute = found
    name = key.rpartition(".")[2]
    if not attribute:
        return Sighting(
            RULE, "error", function, node, key,
            f"{name} is set at import, in the importing thread's context only: "
            f"{ast.unparse(node)} raises LookupError in threads that start with an empty one",
            _FIX_VAR, place,
        )  # fmt: skip
    return Sighting(
        RULE, "error", function, node, f"{key}.{attribute}",
        f"{name}.{attribute} is set at import, for the importing thread only: every other thread gets "
        "AttributeError here",
        _FIX_LOCAL, place,
    )  # fmt: skip


def _runs_at_import_only(function: Function, context: Context) -> bool:
    """Called by a module's own statements, and not below ``if __name__ == "__main__"``."""
    if function not in context.references.quiet or function.in_main_guard:
        return False
    return any(
        use.function is None and use.how == "call" and use.node not in use.module.main_guard
        for use in context.references.of(function)
    )


def _set_while_made(context: Context) -> _Set:
    """What constructors set of a local that their instance keeps, and no other method does."""
    found: _Set = {}
    for function in context.references.only_while_made:
        if function.owner is not None:
            own = {info.full_name for info in context.project.bases(function.owner)}
            values = _set_by(function.module, function, function.nodes, context)
            found.update({k: at for k, at in values.items() if k[0].rpartition(".")[0] in own})
    for function in context.running if found else []:
        if function not in context.references.only_while_made:
            for key in _set_by(function.module, function, function.nodes, context):
                found.pop(key, None)
    return found


def _set_by(
    module: Module, function: Function | None, nodes: list[ast.AST], context: Context
) -> _Set:
    found: _Set = {}
    for node in nodes:
        if node in module.main_guard:
            continue
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(module.parents.get(node), ast.AugAssign):
                continue
            key = _local_key(node.value, function, module, context)
            if key is not None and not _has_own(node, module, context):
                found[key, node.attr] = Place(module.relative, node.lineno)
        receiver = method_call(node, "set")
        if receiver is not None:
            key = _variable_key(receiver, function, module, context)
            if key is not None:
                found[key, ""] = Place(module.relative, receiver.lineno)
    return found


def _shared_key(
    node: ast.expr, function: Function | None, module: Module, context: Context, kind: Kind
) -> str | None:
    if function is not None:
        shared = context.resolver.resolve(node, function)
    else:
        shared = _at_import(node, module, context)
    if shared is None or shared.is_item or shared.scope == "closure":
        return None
    return shared.key if shared.kind is kind else None


def _at_import(node: ast.expr, module: Module, context: Context) -> Shared | None:
    """What a name stands for in the module's own statements, those of class bodies among them."""
    if isinstance(node, ast.Name):
        info = _class_around(node, module)
        if info is not None and node.id in info.body:
            return context.resolver.class_attribute(info, node.id)
    elif isinstance(node, ast.Attribute):
        owner = context.project.entity(node.value, None, module)
        if isinstance(owner, ClassInfo):
            return context.resolver.class_attribute(owner, node.attr)
    entity = context.project.entity(node, None, module)
    return context.resolver.variable(entity) if isinstance(entity, Variable) else None


def _class_around(node: ast.AST, module: Module) -> ClassInfo | None:
    current: ast.AST | None = node
    while current is not None and not isinstance(current, ast.ClassDef):
        current = module.parents.get(current)
    return next((c for c in module.all_classes if c.node is current), None)


def _local_key(
    node: ast.expr, function: Function | None, module: Module, context: Context
) -> str | None:
    return _shared_key(node, function, module, context, Kind.LOCAL)


def _variable_key(
    node: ast.expr, function: Function | None, module: Module, context: Context
) -> str | None:
    key = _shared_key(node, function, module, context, Kind.CONTEXT_VAR)
    entity = context.project.entity(node, function, module)
    if key is None or not isinstance(entity, Variable):
        return None
    calls = [bound.value for bound in entity.bounds if isinstance(bound.value, ast.Call)]
    has_default = any(keyword.arg == "default" for call in calls for keyword in call.keywords)
    return None if has_default else key


def _has_own(node: ast.Attribute, module: Module, context: Context) -> bool:
    """A subclass of local that sets the attribute for each thread, or for the class."""
    entity = context.project.entity(node.value, None, module)
    if not isinstance(entity, Variable):
        return False
    info = context.resolver.variable(entity).info
    return info is not None and any(
        node.attr in current.on_self or node.attr in current.body
        for current in context.project.bases(info)
    )


def _read(node: ast.AST, function: Function, context: Context) -> tuple[str, str] | None:
    if isinstance(node, ast.Attribute) and _is_read(node, function):
        key = _local_key(node.value, function, function.module, context)
        return None if key is None else (key, node.attr)
    receiver = method_call(node, "get")
    if receiver is not None and isinstance(node, ast.Call) and not node.args:
        key = _variable_key(receiver, function, function.module, context)
        return None if key is None else (key, "")
    return None


def _is_read(node: ast.Attribute, function: Function) -> bool:
    """``state.depth += 1`` reads what it sets."""
    augmented = isinstance(function.module.parents.get(node), ast.AugAssign)
    return isinstance(node.ctx, ast.Load) or augmented


def _is_sure(node: ast.expr, attribute: str, function: Function) -> bool:
    """Tell whether the function sets the value first, asks for it, or catches its absence."""
    for other in function.nodes:
        line = getattr(other, "lineno", 0)
        if line > node.lineno:
            continue
        if isinstance(other, ast.Attribute) and isinstance(other.ctx, ast.Store):
            if attribute and other.attr == attribute and not _is_read(other, function):
                return True
        elif isinstance(other, ast.Call):
            if last_name(other) in ("hasattr", "getattr"):
                return True
            if not attribute and method_call(other, "set") is not None:
                return True
    return _is_caught(node, function)


def _is_caught(node: ast.expr, function: Function) -> bool:
    current: ast.AST | None = node
    while current is not None and current is not function.node:
        parent = function.module.parents.get(current)
        if isinstance(parent, ast.Try) and current in parent.body:
            caught = " ".join(
                ast.unparse(h.type) if h.type else "Exception" for h in parent.handlers
            )
            if any(w in caught for w in ("AttributeError", "LookupError", "Exception")):
                return True
        current = parent
    return False


def _set_where_threads_begin(context: Context) -> set[tuple[str, str]]:
    """What functions given as ``initializer=`` set."""
    names = _initializers(context)
    found: set[tuple[str, str]] = set()
    for function in context.project.functions:
        if function.name not in names:
            continue
        for node in function.nodes:
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                key = _local_key(node.value, function, function.module, context)
                if key is not None:
                    found.add((key, node.attr))
            receiver = method_call(node, "set")
            if receiver is not None:
                key = _variable_key(receiver, function, function.module, context)
                if key is not None:
                    found.add((key, ""))
    return found


def _initializers(context: Context) -> set[str]:
    nodes = [node for module in context.project.modules for node in module.nodes]
    nodes += [node for function in context.project.functions for node in function.nodes]
    return {
        last_name(keyword.value)
        for node in nodes
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "initializer"
    }
