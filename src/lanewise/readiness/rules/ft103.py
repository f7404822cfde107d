"""FT103: made when it is first needed, by everybody who needs it first."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.checks import Check
from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.findings import Level
from lanewise.readiness.kinds import Kind
from lanewise.readiness.modules import Function
from lanewise.readiness.rules.common import Act, returns_fresh, unguarded
from lanewise.readiness.syntax import attribute_meant, last_name, walk_inside

RULE = "FT103"
_FIX = (
    "make it at import, or hold one lock around the check and the assignment; to spare later callers "
    "the lock, ask once more under it (if X is None: with lock: if X is None: X = ...)"
)
_CHATTER = frozenset({"debug", "info", "warning", "warn", "error", "exception", "print", "log"})


def find(context: Context) -> Iterator[Sighting]:
    """Yield every lazy initialisation that two threads can go through."""
    for function, checks in context.checks_of.items():
        acts = [act for check in checks for act in _acts(check, function, context)]
        for act in unguarded(acts, function, context):
            shared = act.check.shared
            level, why = _judge(act, function, context)
            yield Sighting(
                RULE,
                level,
                function,
                act.node,
                shared.key,
                f"{shared.short} is made on first use, and two threads can both find it missing: "
                f"{why}{act.remark(function)}",
                _FIX,
                shared.defined,
            )


def _acts(check: Check, function: Function, context: Context) -> Iterator[Act]:
    shared = check.shared
    if check.about == "key" or check.shared.is_item or not context.counts(shared, function):
        return
    for node in walk_inside(list(check.region)):
        if isinstance(node, ast.Call) and check.answer == "absent":
            made = _made_by(node, check, function, context)
            if made is not None:
                yield Act(check, node, made=made)
        target = attribute_meant(node, "setattr") or node
        if not isinstance(target, (ast.Name, ast.Attribute, ast.Subscript)) or not isinstance(
            target.ctx, ast.Store
        ):
            continue
        found = context.resolver.target(target, function)
        if found is None or found.key != shared.key or found.is_item:
            continue
        assert isinstance(node, ast.expr)
        value = _value(node, function)
        if value is None or _is_falsy(value) or not _initialises(check, value):
            continue
        yield Act(check, node)


def _made_by(
    call: ast.Call, check: Check, function: Function, context: Context
) -> tuple[ast.expr, Function] | None:
    """``if X is None: _connect()``, where that binds X without asking again: what to, and where."""
    helper = context.project.entity(call.func, function, function.module)
    if isinstance(call.func, ast.Attribute) and not isinstance(helper, Function):
        info = context.resolver.self_meant(call.func.value, function)
        helper = None if info is None else context.project.method(info, call.func.attr)
    if not isinstance(helper, Function) or helper is function:
        return None
    if any(one.shared.key == check.shared.key for one in context.checks.of(helper)):
        return None  # it asks once more, and is looked at for itself
    for node in helper.nodes:
        if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(node.ctx, ast.Store):
            continue
        found = context.resolver.target(node, helper)
        value = _value(node, helper)
        if found is None or found.key != check.shared.key or found.is_item or value is None:
            continue
        if not _is_falsy(value):
            return value, helper
    return None


def _initialises(check: Check, value: ast.expr) -> bool:
    """A value replaces a missing one; ``if ready: ready = "done"`` is no first use."""
    return check.answer == "absent" or (
        isinstance(value, ast.Constant) and value.value is True and check.answer != "present"
    )


def _value(node: ast.expr, function: Function) -> ast.expr | None:
    if isinstance(node, ast.Call):  # setattr(cls, "current", value)
        return node.args[2] if len(node.args) == 3 else None  # noqa: PLR2004 - because: object, name, value
    parent = function.module.parents.get(node)
    if isinstance(parent, ast.Assign) and node in parent.targets:
        return parent.value
    if isinstance(parent, (ast.AnnAssign, ast.NamedExpr)) and parent.target is node:
        return parent.value
    if isinstance(parent, ast.withitem):
        return parent.context_expr
    return None


def _is_falsy(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and not value.value


def _judge(act: Act, function: Function, context: Context) -> tuple[Level, str]:
    value = _value(act.node, function)
    if act.made is not None:
        value, function = act.made
    identity = context.values.identity(value, function)
    if identity is not None:
        return "warning", f"each makes {identity}, and one of them is lost while it is in use"
    if isinstance(value, ast.Constant) and isinstance(value.value, bool):
        if _does_work(act):
            return "warning", "what it stands for is done twice, or taken for done too early"
        return "info", "it is set twice, to the same value"
    return _judge_value(act, value, function, context)


def _judge_value(
    act: Act, value: ast.expr | None, function: Function, context: Context
) -> tuple[Level, str]:
    if returns_fresh(value, act.node, function, context):
        return "warning", "each goes on with a value of its own, and only one is kept"
    if act.check.shared.kind is Kind.CONTAINER and _is_filled_later(act, function, context):
        return "warning", "others see it before it is complete"
    effect = context.values.effect(value, function)
    if effect is not None:
        return "warning", f"what {effect}() does besides is done twice"
    asked = context.values.asks(value, function)
    if asked is not None:
        return (
            "warning",
            f"each asks again with {asked}(), and an older answer can replace a newer one",
        )
    return "info", "the work is done twice, with the same result"


def _does_work(act: Act) -> bool:
    for node in walk_inside(list(act.check.region)):
        if isinstance(node, ast.Call) and last_name(node) not in _CHATTER:
            return True
    return False


def _is_filled_later(act: Act, function: Function, context: Context) -> bool:
    """``X = {}`` first and the entries one by one: the name is taken for ready too early."""
    for node in walk_inside(list(act.check.region)):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            found = context.resolver.resolve(node.value, function)
            if found is not None and found.key == act.check.shared.key:
                return True
    return False
