"""What a class guards: an author who takes a lock for an attribute knows of other threads."""

from __future__ import annotations

import ast

from lanewise.readiness.kinds import Kind
from lanewise.readiness.making import Maker
from lanewise.readiness.modules import ClassInfo, Function
from lanewise.readiness.project import Project
from lanewise.readiness.syntax import walk_inside


def guarded_attributes(info: ClassInfo, project: Project, maker: Maker) -> frozenset[str]:
    """Return the attributes that some method changes or returns under a lock of the instance's own.

    Args:
        info: The class; its ancestors within the project count as well.
        project: Where they are.
        maker: Says what is a lock.
    """
    family = project.bases(info)
    locks = {name for current in family for name in _locks_of(current, maker)}
    if not locks:
        return frozenset()
    found: set[str] = set()
    for current in family:
        for method in current.methods.values():
            if method.kind_of_method == "instance" and method.params:
                found |= _under(method, method.params[0], locks)
    return frozenset(found - locks)


def _locks_of(info: ClassInfo, maker: Maker) -> set[str]:
    bound = {*info.on_self, *info.body}
    return {
        name
        for name in bound
        if maker.merged(
            [*info.on_self.get(name, []), *info.body.get(name, [])], None, info.module
        ).kind
        is Kind.LOCK
    }


def _under(method: Function, own: str, locks: set[str]) -> set[str]:
    return {
        inner.attr
        for node in method.nodes
        if isinstance(node, ast.With)
        and any(_is_own(item.context_expr, own) in locks for item in node.items)
        for inner in walk_inside(node.body)
        if isinstance(inner, ast.Attribute) and _is_own(inner, own)
        if _is_meant(inner, method)
    }


def _is_meant(node: ast.Attribute, method: Function) -> bool:
    """It is changed under the lock, or returned; one that is only asked may be one thread's own."""
    parents = method.module.parents
    top: ast.AST = node
    parent = parents.get(top)
    while isinstance(parent, (ast.Subscript, ast.Attribute)) and parent.value is top:
        top, parent = parent, parents.get(parent)
    if isinstance(top, (ast.Attribute, ast.Subscript)) and not isinstance(top.ctx, ast.Load):
        return True
    if isinstance(parent, ast.Call) and parent.func is top and top is not node:
        return True  # self.waiting.append(x)
    while parent is not None and not isinstance(parent, ast.stmt):
        parent = parents.get(parent)
    return isinstance(parent, ast.Return)


def _is_own(node: ast.AST, own: str) -> str:
    """The name of an attribute of ``self``, or an empty string."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.attr if node.value.id == own else ""
    return ""
