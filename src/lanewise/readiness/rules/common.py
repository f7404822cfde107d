"""What the two rules about checks have in common."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from lanewise.readiness.changes import Change
from lanewise.readiness.checks import Check
from lanewise.readiness.context import Context
from lanewise.readiness.modules import Function


@dataclass(frozen=True, slots=True)
class Act:
    """What is done because of a check's answer."""

    check: Check
    node: ast.expr
    change: Change | None = None
    locked: bool = False
    made: tuple[ast.expr, Function] | None = None  # what a helper binds it to, and the helper

    def remark(self, function: Function) -> str:
        """What to add: of a lock that is not held around both, of coroutines that take turns."""
        if self.locked:
            return (
                ". The lock is not held from the check to the change, and nothing is asked again "
                "under it"
            )
        if not function.is_async:
            return ""
        if self._waits(function):
            return ". There is an await in between, so coroutines of one loop do it to each other"
        return ". No await lies in between, so it needs a second thread or loop to go wrong"

    def _waits(self, function: Function) -> bool:
        awaits = (ast.Await, ast.AsyncFor, ast.AsyncWith)
        last = self.node.end_lineno or self.node.lineno
        parent = function.module.parents.get(self.node)
        if isinstance(parent, ast.Assign):  # the value is made before the target is stored to
            last = parent.end_lineno or last
        return any(
            isinstance(node, awaits) and self.check.node.lineno <= node.lineno <= last
            for node in function.nodes
        )


def unguarded(acts: list[Act], function: Function, context: Context) -> Iterator[Act]:
    """Yield the acts that share no lock with any check of the same object.

    Double-checked locking asks twice, and the second time under the lock of the act: that check
    guards it.
    """
    by_node: dict[ast.expr, list[Act]] = {}
    for act in acts:
        by_node.setdefault(act.node, []).append(act)
    for node, candidates in by_node.items():
        shared = candidates[0].check.shared
        held = context.regions(node, function, shared)
        checked = [context.regions(act.check.node, function, shared) for act in candidates]
        if any(held & regions for regions in checked):
            continue
        first = candidates[0]
        yield Act(first.check, node, first.change, bool(held or any(checked)), first.made)


def returns_fresh(
    value: ast.expr | None, node: ast.expr, function: Function, context: Context
) -> bool:
    """Tell whether the caller gets the value just made, not the one that is kept."""
    names = _names_of(value, node, function)
    if not names or context.values.is_pure(value, function):
        return False
    return any(
        isinstance(inner, ast.Return)
        and isinstance(inner.value, ast.Name)
        and inner.value.id in names
        and inner.lineno >= node.lineno
        for inner in function.nodes
    )


def _names_of(value: ast.expr | None, node: ast.expr, function: Function) -> set[str]:
    """Return the local names of a value: ``D[k] = v = make()``, ``v = make(); D[k] = v``."""
    names = (
        {value.id} if isinstance(value, ast.Name) and value.id not in function.globals else set()
    )
    parent = function.module.parents.get(node)
    if isinstance(parent, ast.Assign):
        names |= {t.id for t in parent.targets if isinstance(t, ast.Name)}
    return names - function.globals
