"""FT101: read, change, write back, without a lock: updates get lost."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.changes import is_own_key
from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.findings import Level
from lanewise.readiness.kinds import Kind
from lanewise.readiness.modules import Function
from lanewise.readiness.shared import Shared
from lanewise.readiness.syntax import last_name, method_call, same

RULE = "FT101"
_FIX = (
    "hold one threading.Lock around reading and writing, use itertools.count() for a plain counter, "
    "or let each thread count for itself and add up at the end"
)
_LAZY = (ast.BoolOp, ast.IfExp)  # X = X or make(): FT103's business
_COUNTER_METHODS = ("update", "subtract")


def find(context: Context) -> Iterator[Sighting]:
    """Yield every update of something shared that is not one step."""
    for function in context.running:
        for node in function.nodes:
            if isinstance(node, ast.AugAssign):
                yield from _augmented(node, function, context)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    yield from _assigned(target, node.value, function, context)
            elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
                yield from _assigned(node.target, node.value, function, context)
            elif isinstance(node, ast.Call):
                yield from _counted(node, function, context)


def _augmented(node: ast.AugAssign, function: Function, context: Context) -> Iterator[Sighting]:
    shared = context.resolver.target(node.target, function)
    if shared is None or not context.counts(shared, function):
        return
    if shared.kind is Kind.CONTAINER and not shared.is_item:
        return  # changed in place; the name goes on meaning the same container
    if shared.kind in (Kind.INSTANCE, Kind.ITERATOR, Kind.GENERATOR):
        return  # what += means is its class's own affair
    yield from _sighting(node.target, node, shared, function, context)


def _assigned(
    target: ast.expr, value: ast.expr, function: Function, context: Context
) -> Iterator[Sighting]:
    if not isinstance(target, (ast.Name, ast.Attribute, ast.Subscript)):
        return
    if isinstance(value, (*_LAZY, ast.Attribute, ast.Subscript, ast.Constant)):
        return
    shared = context.resolver.target(target, function)
    if shared is None or not context.counts(shared, function):
        return
    read = _read_of(target, value, shared, function, context)
    if read is None:
        return
    if context.regions(target, function, shared) & context.regions(read, function, shared):
        return
    yield from _sighting(target, target, shared, function, context, read)


def _read_of(
    target: ast.expr, value: ast.expr, shared: Shared, function: Function, context: Context
) -> ast.expr | None:
    """Return where the new value reads the old one: at once, or in a local a line before."""
    if not isinstance(value, ast.Name):
        for node in ast.walk(value):
            if isinstance(node, ast.expr) and _reads(node, target, shared, function, context):
                return None if _is_fallback(node, function) else node
    for node in ast.walk(value):
        if isinstance(node, ast.Name) and node.id in function.locals:
            bounds = function.bound.get(node.id, [])
            if len(bounds) != 1 or node.id in function.globals or bounds[0].entered:
                continue
            earlier = bounds[0].value
            if earlier is None or earlier.lineno > target.lineno:
                continue
            if _computed(value, earlier, target, shared, function, context):
                return earlier
    return None


def _is_fallback(node: ast.expr, function: Function) -> bool:
    """``x = given.pop("x", x)`` keeps the old value where no new one is given."""
    parent = function.module.parents.get(node)
    if not isinstance(parent, ast.Call) or node not in parent.args[1:]:
        return False
    return last_name(parent.func) in ("get", "pop", "getattr", "setdefault", "cast")


def _computed(  # noqa: PLR0913 - because: both statements of one update
    value: ast.expr,
    earlier: ast.expr,
    target: ast.expr,
    shared: Shared,
    function: Function,
    context: Context,
) -> bool:
    """``n = total`` and ``total = n + 1``; not ``old = total`` and ``total = old``."""
    if isinstance(value, ast.Name):
        if not isinstance(earlier, ast.BinOp):
            return False
        return any(
            isinstance(n, ast.expr) and _reads(n, target, shared, function, context)
            for n in ast.walk(earlier)
        )
    if not isinstance(value, ast.BinOp):
        return False
    return _reads(earlier, target, shared, function, context)


def _reads(
    node: ast.expr, target: ast.expr, shared: Shared, function: Function, context: Context
) -> bool:
    if isinstance(target, ast.Subscript):
        receiver = method_call(node, "get")
        if receiver is not None and isinstance(node, ast.Call) and node.args:
            alike = same(node.args[0], target.slice)
            return alike and _is_same(receiver, target.value, function, context)
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            alike = same(node.slice, target.slice)
            return alike and _is_same(node.value, target.value, function, context)
        return False
    if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(node.ctx, ast.Load):
        return False
    found = context.resolver.resolve(node, function)
    return (
        found is not None
        and found.key == shared.key
        and found.is_item == shared.is_item
        and (not shared.is_item or same(node, target))
    )


def _is_same(left: ast.expr, right: ast.expr, function: Function, context: Context) -> bool:
    one = context.resolver.resolve(left, function)
    other = context.resolver.resolve(right, function)
    return one is not None and other is not None and one.key == other.key


def _counted(node: ast.Call, function: Function, context: Context) -> Iterator[Sighting]:
    """``Counter.update`` reads and writes every count by itself."""
    receiver = method_call(node, *_COUNTER_METHODS)
    if receiver is None or not node.args:
        return
    shared = context.resolver.resolve(receiver, function)
    if shared is None or shared.type_name != "Counter" or shared.is_item:
        return
    if context.counts(shared, function):
        yield from _sighting(receiver, node, shared, function, context)


def _sighting(  # noqa: PLR0913 - because: the two ends of one update
    target: ast.expr,
    node: ast.AST,
    shared: Shared,
    function: Function,
    context: Context,
    read: ast.AST | None = None,
) -> Iterator[Sighting]:
    if read is None and context.regions(node, function, shared):
        return
    if isinstance(target, ast.Subscript) and is_own_key(target.slice, function):
        return
    level, remark = _level(function)
    between = "" if read is None else " (the old value is read first, then written)"
    yield Sighting(
        RULE,
        level,
        function,
        node,
        shared.key,
        f"{ast.unparse(target)} is read, changed and written back in separate steps{between}; what "
        f"another thread writes in between is lost. {_whose(shared)}{remark}",
        _FIX,
        shared.defined,
    )


def _level(function: Function) -> tuple[Level, str]:
    if function.is_async:
        return "warning", (
            ". Coroutines of one loop take turns, so it needs a second thread or loop to go wrong"
        )
    return "error", ""


def _whose(shared: Shared) -> str:
    where = {
        "global": "is a module's global",
        "class": "belongs to the class, so every instance shares it",
        "instance": "belongs to an instance that several threads hold",
        "closure": "is seen by all threads that run the inner function",
    }[shared.scope]
    return f"{shared.short} {where}"
