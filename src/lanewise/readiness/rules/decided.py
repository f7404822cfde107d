"""Part of FT101: states that two threads decide at once, and items that change places."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.checks import following
from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.kinds import Kind
from lanewise.readiness.modules import Function
from lanewise.readiness.shared import Shared
from lanewise.readiness.syntax import is_none, leaves, method_call, same, walk_inside

_FIX = "hold one threading.Lock around comparing and replacing"
_ORDER = (ast.Lt, ast.Gt, ast.LtE, ast.GtE)
_EQUAL = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot)
_STATES = frozenset({Kind.CONSTANT, Kind.OTHER, Kind.NONE})


def decided_twice(context: Context) -> Iterator[Sighting]:
    """Yield every state that is compared with a constant, then replaced because of the answer."""
    for function in context.running:
        for node in function.nodes:
            for test in _tests(node):
                state = _state(test, function, context)
                if state is not None and isinstance(node, ast.If):
                    yield from _replaced(node, test, state, function, context)


def _tests(node: ast.AST) -> list[ast.Compare]:
    if not isinstance(node, ast.If):
        return []
    parts = node.test.values if isinstance(node.test, ast.BoolOp) else [node.test]
    return [part for part in parts if isinstance(part, ast.Compare)]


def _state(test: ast.Compare, function: Function, context: Context) -> Shared | None:
    """What a test compares: an attribute with a constant, an item also with a bound."""
    left = test.left
    if len(test.ops) != 1 or not isinstance(left, (ast.Name, ast.Attribute, ast.Subscript)):
        return None
    by_size = isinstance(left, ast.Subscript) and isinstance(test.ops[0], _ORDER)
    if not by_size and not (isinstance(test.ops[0], _EQUAL) and _is_constant(test.comparators[0])):
        return None
    shared = context.resolver.resolve(left, function)
    if shared is None or not context.counts(shared, function):
        return None
    # FT103 has those that are made on first use.
    plain = shared.kind in _STATES and not is_none(test.comparators[0])
    return shared if by_size or shared.is_item or plain else None


def _is_constant(node: ast.expr) -> bool:
    """``"new"``, ``State.NEW``."""
    named = isinstance(node, ast.Attribute) and node.attr.isupper()
    return named or isinstance(node, ast.Constant)


def _replaced(
    node: ast.If, test: ast.Compare, shared: Shared, function: Function, context: Context
) -> Iterator[Sighting]:
    left = test.left
    region = [*node.body, *(following(node, function) if leaves(node.body) else [])]
    for target in walk_inside(list(region)):
        updated = method_call(target, "update")
        if updated is not None and isinstance(left, ast.Subscript) and same(updated, left.value):
            if not context.regions(left, function, shared) & context.regions(
                target, function, shared
            ):
                yield _decided(left, target, shared, function)
            return
        if not isinstance(target, (ast.Name, ast.Attribute, ast.Subscript)):
            continue
        parent = function.module.parents.get(target)
        if not isinstance(target.ctx, ast.Store) or not isinstance(parent, ast.Assign):
            continue
        if not same(target, left) or same(parent.value, test.comparators[0]):
            continue
        found = context.resolver.target(target, function)
        if found is None or found.key != shared.key:
            continue
        if context.regions(left, function, shared) & context.regions(target, function, shared):
            continue
        yield _decided(left, target, shared, function)
        return


def _decided(left: ast.expr, target: ast.AST, shared: Shared, function: Function) -> Sighting:
    return Sighting(
        "FT101",
        "warning",
        function,
        target,
        shared.key,
        f"{ast.unparse(left)} is compared, then replaced in separate steps: two threads can both "
        "find what they look for, and both do what follows",
        _FIX,
        shared.defined,
    )


def moved_items(context: Context) -> Iterator[Sighting]:
    """Yield ``kept = row[i]; row[i] = row[j]; row[j] = kept``: two at once lose one of the items."""
    for function in context.running:
        stores = [n for n in function.nodes if isinstance(n, ast.Assign)]
        for node in stores:
            target, value = node.targets[0], node.value
            if not isinstance(target, ast.Subscript) or not isinstance(value, ast.Subscript):
                continue
            if not any(
                same(t, value) for later in stores if later is not node for t in later.targets
            ):
                continue
            shared = context.resolver.resolve(target, function)
            source = context.resolver.resolve(value, function)
            if shared is None or source is None or shared.key != source.key:
                continue
            if context.counts(shared, function) and not context.regions(node, function, shared):
                yield Sighting(
                    "FT101",
                    "error",
                    function,
                    target,
                    shared.key,
                    f"items of {shared.short} change places in separate steps: another thread that moves "
                    "one of them meanwhile loses an item, or has it twice",
                    "hold one threading.Lock around the whole exchange",
                    shared.defined,
                )
