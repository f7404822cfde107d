"""FT105: a list, dict or set in a class body, changed through ``self``."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.changes import Change, change_of
from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.findings import Level
from lanewise.readiness.held import is_class_var
from lanewise.readiness.kinds import Kind
from lanewise.readiness.modules import Function
from lanewise.readiness.shared import Shared

RULE = "FT105"
_FIX = (
    "give each instance its own in __init__ (self.{name} = {empty}); where sharing is meant, change it "
    "through the class and under a lock"
)


def find(context: Context) -> Iterator[Sighting]:
    """Yield every change through ``self`` of what the class holds."""
    for function in context.running:
        if function in context.references.only_while_made:
            yield from _changes(function, context, while_made=True)
        else:
            yield from _changes(function, context, while_made=False)


def _changes(function: Function, context: Context, *, while_made: bool) -> Iterator[Sighting]:
    for node in function.nodes:
        change = change_of(node, function) or _extended(node)
        if change is None:
            continue
        everybodys = _of_local(change, function, context)
        if everybodys is not None and not context.regions(change.node, function, everybodys):
            yield Sighting(
                RULE,
                "warning",
                function,
                change.node,
                everybodys.key,
                f"{everybodys.short} is one {everybodys.type_name} for all threads, although its class "
                "is a thread-local: only what __init__ binds is each thread's own",
                "bind it in __init__, which runs for each thread: "
                f"self.{everybodys.key.rpartition('.')[2]} = {_empty(everybodys.type_name)}",
                everybodys.defined,
            )
            continue
        found = _class_container(change, function, context)
        if found is None or context.regions(change.node, function, found[0]):
            continue
        shared, name = found
        made_on_look_up = isinstance(change.holder, ast.Subscript) and (
            shared.type_name == "defaultdict"
        )
        one_step = change.is_atomic and not made_on_look_up
        level: Level = "info" if one_step else "warning"
        harm = (
            "one such call is one step, but what is in it is everybody's"
            if one_step
            else "changes of several threads meet in it"
        )
        when = ", by every instance that is made" if while_made else ""
        yield Sighting(
            RULE,
            level,
            function,
            change.node,
            shared.key,
            f"{shared.short} is one {shared.type_name or 'container'} for all instances and is "
            f"changed through self{when}: {harm}",
            _FIX.format(name=name, empty=_empty(shared.type_name)),
            shared.defined,
        )


def _of_local(change: Change, function: Function, context: Context) -> Shared | None:
    """``scope.stack.append(x)``, where the thread-local's class has one stack for all threads."""
    holder: ast.expr = change.holder
    while isinstance(holder, ast.Subscript):
        holder = holder.value
    if not isinstance(holder, ast.Attribute):
        return None
    local = context.resolver.resolve(holder.value, function)
    if local is None or local.kind is not Kind.LOCAL or local.info is None:
        return None
    if context.is_rebound_on_self(local.info, holder.attr):
        return None
    if not any(holder.attr in c.body for c in context.project.bases(local.info)):
        return None
    shared = context.resolver.class_attribute(local.info, holder.attr)
    return shared if shared.kind is Kind.CONTAINER else None


def _extended(node: ast.AST) -> Change | None:
    """``self.items += [x]`` extends the class's own list before it binds it to the instance."""
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute):
        return Change(node.target, node.target, "store", "+=", node.value)
    return None


def _empty(type_name: str) -> str:
    return {"list": "[]", "dict": "{}"}.get(type_name, f"{type_name or 'list'}()")


def _class_container(
    change: Change, function: Function, context: Context
) -> tuple[Shared, str] | None:
    holder: ast.expr = change.holder
    while isinstance(holder, ast.Subscript):  # self.tags[key].append(x)
        holder = holder.value
    if not isinstance(holder, ast.Attribute):
        return None
    info = context.resolver.self_meant(holder.value, function)
    if info is None:
        return None
    if context.resolver.copies_defaults(info) and not is_class_var(
        context.project, info, holder.attr
    ):
        return None
    if context.is_rebound_on_self(info, holder.attr):
        return None
    if not any(holder.attr in c.body for c in context.project.bases(info)):
        return None
    shared = context.resolver.class_attribute(info, holder.attr)
    return (shared, holder.attr) if shared.kind is Kind.CONTAINER else None
