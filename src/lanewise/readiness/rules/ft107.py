"""FT107: a loop over a container that others change meanwhile."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.kinds import Kind
from lanewise.readiness.modules import Function
from lanewise.readiness.project import External
from lanewise.readiness.shared import Shared
from lanewise.readiness.syntax import method_call

RULE = "FT107"
_FIX = (
    "loop over a copy (list(...)), hold the lock of those who change it, or never change it in place: "
    "build a new one and bind the name to it"
)
# With key= they call back between two items; list(), sorted() and the like take a copy in one step.
_LOOPING_CALLS = frozenset({"builtins.max", "builtins.min"})
_VIEWS = ("items", "values", "keys")


def find(context: Context) -> Iterator[Sighting]:
    """Yield every loop over a shared container that another function changes in place."""
    changers = _changers(context)
    for function in context.running:
        for node in function.nodes:
            looped = _loops_over(node, function, context)
            shared = None if looped is None else _looped(looped, function, context)
            if looped is None or shared is None or context.regions(looped, function, shared):
                continue
            if isinstance(node, ast.Call) and shared.type_name == "list":
                continue  # the highest of a list that grows meanwhile is still one of its items
            others = [f for f in changers.get(shared.key, []) if f is not function]
            if others:
                yield _sighting(looped, shared, function, others[0])


def _loops_over(node: ast.AST, function: Function, context: Context) -> ast.expr | None:
    if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
        return node.iter
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
        entity = context.project.entity(node.func, function, function.module)
        if all(keyword.arg != "key" for keyword in node.keywords):
            return None
        if isinstance(entity, External) and entity.dotted in _LOOPING_CALLS:
            return node.args[0]
    return None


def _sighting(node: ast.expr, shared: Shared, function: Function, other: Function) -> Sighting:
    harm = (
        "items are skipped or come twice"
        if shared.type_name in ("list", "deque")
        else "it raises RuntimeError (changed size during iteration)"
    )
    return Sighting(
        RULE,
        "warning",
        function,
        node,
        shared.key,
        f"the loop runs over {shared.short} itself, and {other.qualname} "
        f"({other.module.relative}:{other.node.lineno}) changes it in place: {harm}",
        _FIX,
        shared.defined,
    )


def _looped(node: ast.expr, function: Function, context: Context) -> Shared | None:
    holder = method_call(node, *_VIEWS) or node
    if not isinstance(holder, (ast.Name, ast.Attribute)):
        return None
    shared = context.resolver.resolve(holder, function)
    if shared is None or shared.is_item or shared.kind is not Kind.CONTAINER:
        return None
    return shared if context.counts(shared, function) else None


def _changers(context: Context) -> dict[str, list[Function]]:
    found: dict[str, list[Function]] = {}
    for function in context.running:
        shareds = [
            shared
            for change, shared in context.changes(function)
            if change.effect != "other" and shared.kind is Kind.CONTAINER
        ]
        for shared in [*shareds, *_by_looking(function, context)]:
            functions = found.setdefault(shared.key, [])
            if function not in functions:
                functions.append(function)
    return found


def _by_looking(function: Function, context: Context) -> Iterator[Shared]:
    """A defaultdict gets the key that is looked up."""
    for node in function.nodes:
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            shared = context.resolver.resolve(node.value, function)
            if shared is not None and shared.type_name == "defaultdict" and not shared.is_item:
                yield shared
