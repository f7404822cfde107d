"""Part of FT101: ``if order.state == "new": ...; order.state = "paid"``, decided by two at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.checks import following
from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.kinds import Kind
from lanewise.readiness.modules import Function
from lanewise.readiness.shared import Shared
from lanewise.readiness.syntax import is_none, leaves, same, walk_inside

_FIX = "hold one threading.Lock around comparing and replacing"
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
    """What a test compares with a constant: an attribute or an item that threads share."""
    if len(test.ops) != 1 or not isinstance(test.left, (ast.Name, ast.Attribute, ast.Subscript)):
        return None
    constant = test.comparators[0]
    named = isinstance(constant, ast.Attribute) and constant.attr.isupper()  # State.NEW
    if not named and not isinstance(constant, ast.Constant):
        return None
    if not isinstance(test.ops[0], (ast.Eq, ast.NotEq, ast.Is, ast.IsNot)):
        return None
    shared = context.resolver.resolve(test.left, function)
    if shared is None or not context.counts(shared, function):
        return None
    if not shared.is_item and (is_none(constant) or shared.kind not in _STATES):
        return None  # FT103 has those that are made on first use
    return shared


def _replaced(
    node: ast.If, test: ast.Compare, shared: Shared, function: Function, context: Context
) -> Iterator[Sighting]:
    left = test.left
    region = [*node.body, *(following(node, function) if leaves(node.body) else [])]
    for target in walk_inside(list(region)):
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
        yield Sighting(
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
        return
