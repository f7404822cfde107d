"""Part of FT101: ``n = self.count`` and then ``self.count = 0``, while others go on counting."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.kinds import Kind
from lanewise.readiness.modules import Bound, Function
from lanewise.readiness.shared import Shared
from lanewise.readiness.syntax import last_name, method_call

_FIX = "hold the lock of those who add around both: taking the value and putting the new one in its place"
_COPIES = ("list", "tuple", "dict", "set", "frozenset", "sorted", "copy", "deepcopy")
_EMPTY = ("list", "dict", "set", "deque", "Counter", "defaultdict", "OrderedDict")


def taken_in_two_steps(context: Context) -> Iterator[Sighting]:
    """Yield every value that is taken and replaced by an empty one while others add to it."""
    added: dict[str, Function] | None = None
    for function in context.running:
        for node in function.nodes:
            for target in _emptied(node):
                taken = _taken(target, function, context)
                if taken is None:
                    continue
                added = _added_to(context) if added is None else added
                other = added.get(taken.key)
                if other is not None:
                    yield _sighting(target, taken, function, other)


def _emptied(node: ast.AST) -> Iterator[ast.expr]:
    """Yield what a statement empties: ``self.count = 0``, ``n, COUNT = COUNT, 0``, ``ITEMS.clear()``."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            value = node.value
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = zip(target.elts, value.elts, strict=False)
                yield from (one for one, new in pairs if _is_empty(new))
            elif _is_empty(value):
                yield target
    receiver = method_call(node, "clear")
    if receiver is not None:
        yield receiver
    if isinstance(node, ast.Delete):  # del PENDING[:n], after a copy of those
        yield from (
            t.value
            for t in node.targets
            if isinstance(t, ast.Subscript) and isinstance(t.slice, ast.Slice)
        )


def _taken(target: ast.expr, function: Function, context: Context) -> Shared | None:
    """Return what is emptied after a local name was given what it held."""
    if not isinstance(target, (ast.Name, ast.Attribute)):
        return None
    shared = _meant(target, function, context)
    if shared is None or not context.counts(shared, function):
        return None
    if shared.kind not in (Kind.NUMBER, Kind.CONTAINER):
        return None
    for name, bounds in function.bound.items():
        for bound in bounds:
            source = _source(bound)
            if source is None or bound.node.lineno > target.lineno:
                continue
            found = _meant(source, function, context)
            if found is None or found.key != shared.key:
                continue
            together = context.regions(bound.node, function, shared) & context.regions(
                target, function, shared
            )
            if not together and not _is_put_back(shared, name, function, context):
                return shared
    return None


def _source(bound: Bound) -> ast.Name | ast.Attribute | None:
    """What a local name was given, or given a copy of."""
    value = bound.value
    if value is None or bound.entered:
        return None
    copied = method_call(value, "copy")
    if copied is not None:
        value = copied
    elif isinstance(value, ast.Call) and last_name(value.func) in _COPIES and len(value.args) == 1:
        value = value.args[0]
    elif isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Slice):
        value = value.value
    value = method_call(value, "items", "values", "keys") or value
    return value if isinstance(value, (ast.Name, ast.Attribute)) else None


def _meant(node: ast.expr, function: Function, context: Context) -> Shared | None:
    found = context.resolver.target(node, function)
    if found is None and isinstance(node, ast.Name):
        found = context.resolver.resolve(node, function)
    return None if found is None or found.is_item else found


def _is_empty(value: ast.expr) -> bool:
    if isinstance(value, ast.Constant):
        return value.value == 0 and value.value is not False
    if isinstance(value, (ast.List, ast.Set)):
        return not value.elts
    if isinstance(value, ast.Dict):
        return not value.keys
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id in _EMPTY
        and not any(not isinstance(a, ast.Name) for a in value.args)
    )


def _is_put_back(shared: Shared, name: str, function: Function, context: Context) -> bool:
    """``old = depth; depth = 0; try: ... finally: depth = old``."""
    for node in function.nodes:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Name):
            continue
        if node.value.id != name:
            continue
        for target in node.targets:
            found = _meant(target, function, context)
            if found is not None and found.key == shared.key:
                return True
    return False


def _added_to(context: Context) -> dict[str, Function]:
    """What running functions add to, each with one that does."""
    found: dict[str, Function] = {}
    for function in context.running:
        for node in function.nodes:
            if isinstance(node, ast.AugAssign):
                shared = context.resolver.target(node.target, function)
                if shared is not None and not shared.is_item:
                    found.setdefault(shared.key, function)
        for change, shared in context.changes(function):
            if change.effect in ("insert", "store"):
                found.setdefault(shared.key, function)
    return found


def _sighting(target: ast.expr, shared: Shared, function: Function, other: Function) -> Sighting:
    name = ast.unparse(target)
    return Sighting(
        "FT101",
        "warning" if function.is_async else "error",
        function,
        target,
        shared.key,
        f"{name} is taken and then emptied in separate steps; what {other.qualname} "
        f"({other.module.relative}:{other.node.lineno}) adds in between is lost",
        _FIX,
        shared.defined,
    )
