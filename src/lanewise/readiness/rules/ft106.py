"""FT106: a default value that all calls share, changed or given away."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.changes import change_of
from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.findings import Level, Place
from lanewise.readiness.kinds import Kind
from lanewise.readiness.modules import Function
from lanewise.readiness.syntax import defaults_of

RULE = "FT106"
_FIX = (
    "write {name}=None and make a new one inside (if {name} is None: {name} = {empty}); where a cache is "
    "meant, keep it at module level under a lock"
)


def find(context: Context) -> Iterator[Sighting]:
    """Yield every default that leaks from one call into others."""
    changed_later: set[str] | None = None
    for function in context.running:
        if function.name == "__init_subclass__":
            continue
        if function.parent is not None and function not in context.resolver.crowded:
            continue  # made anew by each call of the function around it
        for name, default in defaults_of(function.node):
            if isinstance(default, (ast.Name, ast.Attribute)):
                continue  # a constant by its place: who changes it is found there
            made = context.resolver.made(default, function.parent, function.module)
            if made.kind is not Kind.CONTAINER:
                continue
            leak = _leak(name, function, context)
            if leak is None:
                continue
            node, what = leak
            if changed_later is None:
                changed_later = _attributes_changed(context)
            yield Sighting(
                RULE,
                _level(node, changed_later),
                function,
                node,
                f"{function.full_name}({name})",
                f"the default of {name} is made once and shared by all calls, and {what}",
                _FIX.format(name=name, empty=ast.unparse(default)),
                Place(function.module.relative, default.lineno),
            )


def _level(node: ast.AST, changed_later: set[str]) -> Level:
    """Kept where nobody of the project changes it, it waits for the first who does."""
    if not isinstance(node, ast.Assign):
        return "error"
    kept = [t for t in node.targets if isinstance(t, ast.Attribute)]
    harmless = kept == node.targets and all(t.attr not in changed_later for t in kept)
    return "warning" if harmless else "error"


def _attributes_changed(context: Context) -> set[str]:
    """Return the names of attributes that hold a container which something changes in place."""
    found: set[str] = set()
    for function in context.project.functions:
        for node in function.nodes:
            change = change_of(node, function)
            holder = None if change is None else change.holder
            if isinstance(node, ast.AugAssign):
                holder = node.target
            while isinstance(holder, ast.Subscript):
                holder = holder.value
            if isinstance(holder, ast.Attribute):
                found.add(holder.attr)
    return found


def _leak(name: str, function: Function, context: Context) -> tuple[ast.AST, str] | None:
    rebound = min((_end_line(b.node, function) for b in function.bound.get(name, [])), default=None)
    for node in function.nodes:
        line = getattr(node, "lineno", None)
        if line is None or (rebound is not None and line >= rebound):
            continue
        what = _what(node, name, function)
        if what is not None and not context.regions(node, function):
            return node, what
    if isinstance(function.node, ast.Lambda) and _means(function.node.body, name):
        return function.node.body, "the lambda gives it to its caller"
    return None


def _end_line(node: ast.expr, function: Function) -> int:
    """The line from which a name has another value."""
    parent = function.module.parents.get(node)
    if isinstance(parent, ast.AugAssign):  # acc += [x] changes the default itself
        return 1 << 30
    return node.lineno


def _what(node: ast.AST, name: str, function: Function) -> str | None:
    change = change_of(node, function)
    if change is not None and _root(change.holder, name):
        return "it is changed here"
    if isinstance(node, ast.AugAssign) and _means(node.target, name):
        return "it is changed here"
    if isinstance(node, ast.Return) and node.value is not None and _means(node.value, name):
        return "the caller gets it"
    if isinstance(node, ast.Assign) and _means(node.value, name):
        if any(isinstance(t, (ast.Attribute, ast.Subscript)) for t in node.targets):
            return "it is kept here, so what keeps it shares it"
        if any(isinstance(t, ast.Name) and t.id in function.globals for t in node.targets):
            return "it is kept here, so what keeps it shares it"
    return None


def _root(node: ast.expr, name: str) -> bool:
    while isinstance(node, ast.Subscript):
        node = node.value
    return _means(node, name)


def _means(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
