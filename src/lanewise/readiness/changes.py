"""Changes of containers in place."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Literal

from lanewise.readiness.modules import Function
from lanewise.readiness.shared import Resolver, Shared
from lanewise.readiness.syntax import last_name

Effect = Literal["store", "insert", "remove", "clear", "other"]

_EFFECTS: dict[str, Effect] = {
    "append": "insert", "appendleft": "insert", "add": "insert", "insert": "insert",
    "extend": "insert", "extendleft": "insert", "update": "store", "setdefault": "insert",
    "pop": "remove", "popitem": "remove", "popleft": "remove", "remove": "remove",
    "discard": "remove", "clear": "clear", "sort": "other", "reverse": "other", "rotate": "other",
    "difference_update": "remove", "intersection_update": "remove",
    "symmetric_difference_update": "store", "subtract": "store", "move_to_end": "other",
    "__setitem__": "store", "__delitem__": "remove",
}  # fmt: skip
# Functions of heapq and bisect that change the list that they are given.
_HEAP: dict[str, Effect] = {
    "heappush": "insert", "heappop": "remove", "heapreplace": "store", "heappushpop": "store",
    "heapify": "other", "insort": "insert", "insort_left": "insert", "insort_right": "insert",
}  # fmt: skip
_ATOMIC = frozenset({"append", "appendleft", "add", "setdefault", "discard"})


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Attributes:
        node: The call, the subscript or the attribute that changes it.
        holder: The expression for the container.
        effect: What happens to its content.
        method: The method called, or ``[]`` for an item that is bound or deleted.
        value: What is stored, where one expression says it.
        key: The key or the element, where there is one.
    """

    node: ast.expr
    holder: ast.expr
    effect: Effect
    method: str
    value: ast.expr | None = None
    key: ast.expr | None = None

    @property
    def raises_when_gone(self) -> bool:
        """Whether it fails when another thread was there first."""
        if self.method == "[]":
            return self.effect == "remove"
        if self.method == "pop":
            assert isinstance(self.node, ast.Call)
            return len(self.node.args) < 2 and not self.node.keywords  # noqa: PLR2004 - because: pop(key, default)
        return self.method in ("popitem", "popleft", "remove", "heappop")

    @property
    def is_atomic(self) -> bool:
        """Whether one call of the interpreter does it, whatever others do."""
        return self.method in _ATOMIC or (self.method == "pop" and not self.raises_when_gone)


def change_of(node: ast.AST, function: Function) -> Change | None:
    """Return the change that a node makes, or None."""
    if isinstance(node, ast.Subscript):
        if isinstance(node.ctx, ast.Store):
            return Change(node, node.value, "store", "[]", _stored(node, function), node.slice)
        if isinstance(node.ctx, ast.Del):
            return Change(node, node.value, "remove", "[]", None, node.slice)
    elif isinstance(node, ast.Call) and last_name(node.func) in _HEAP and node.args:
        name = last_name(node.func)
        return Change(node, node.args[0], _HEAP[name], name, *node.args[1:2])
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        effect = _EFFECTS.get(node.func.attr)
        if effect is not None:
            first = node.args[0] if node.args else None
            value = node.args[1] if node.func.attr == "setdefault" and len(node.args) > 1 else first
            return Change(node, node.func.value, effect, node.func.attr, value, first)
    return None


def _stored(node: ast.Subscript, function: Function) -> ast.expr | None:
    parent = function.module.parents.get(node)
    if isinstance(parent, ast.Assign) and node in parent.targets:
        return parent.value
    if isinstance(parent, ast.AnnAssign):
        return parent.value
    return None


_WHO_RUNS = frozenset(
    {"get_ident", "get_native_id", "current_thread", "currentThread", "current_task"}
)


def is_own_key(key: ast.expr | None, function: Function) -> bool:
    """Tell whether a key names the thread that uses it, so that no other thread has the same."""
    if key is None:
        return False
    values = [key]
    for node in ast.walk(key):
        if isinstance(node, ast.Name) and node.id not in function.globals:
            values += [b.value for b in function.bound.get(node.id, []) if b.value is not None]
    return any(
        isinstance(node, ast.Call) and last_name(node.func) in _WHO_RUNS
        for value in values
        for node in ast.walk(value)
    )


def changed(change: Change, function: Function, resolver: Resolver) -> Shared | None:
    """Return the shared container that a change is of; not one that lies inside another."""
    shared = resolver.resolve(change.holder, function)
    return None if shared is None or shared.is_item else shared
