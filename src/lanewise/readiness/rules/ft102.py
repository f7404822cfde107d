"""FT102: a container is asked, then changed because of the answer."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from lanewise.readiness.changes import Change, change_of, changed, is_own_key
from lanewise.readiness.checks import Check
from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.findings import Level
from lanewise.readiness.modules import Function
from lanewise.readiness.rules.common import Act, returns_fresh, unguarded
from lanewise.readiness.rules.looked import (
    counted_then_put,
    looked_then_removed,
    made_on_look_up,
    searched_then_put,
)
from lanewise.readiness.syntax import walk_inside

RULE = "FT102"


@dataclass(frozen=True, slots=True)
class _Judged:
    level: Level
    why: str
    fix: str


_LOCK = "hold one lock around the check and the change"
_PUT_IN = frozenset({"append", "appendleft", "add", "heappush"})
_SETDEFAULT = (
    "hold one lock around the check and the store, or store with setdefault() and go on with what it "
    "returns"
)


def find(context: Context) -> Iterator[Sighting]:
    """Yield every check whose answer may be out of date when it is acted on."""
    for function, checks in context.checks_of.items():
        acts = [act for check in checks for act in _acts(check, function, context)]
        for act in unguarded(acts, function, context):
            judged = _judge(act, function, context)
            if judged is None:
                continue
            shared = act.check.shared
            asked = ast.unparse(act.check.node)
            done = ast.unparse(act.node)
            yield Sighting(
                RULE,
                judged.level,
                function,
                act.node,
                shared.key,
                f"between the check of {shared.short} ({_short(asked)}) and the change "
                f"({_short(done)}) another thread can change it: {judged.why}{act.remark(function)}",
                judged.fix,
                shared.defined,
            )
    yield from looked_then_removed(context)
    yield from made_on_look_up(context)
    yield from counted_then_put(context)
    yield from searched_then_put(context)


def _short(text: str, most: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _acts(check: Check, function: Function, context: Context) -> Iterator[Act]:
    if check.about == "value" or not context.counts(check.shared, function):
        return
    for node in walk_inside(list(check.region)):
        change = change_of(node, function)
        if change is None or not _matters(check, change) or is_own_key(change.key, function):
            continue
        shared = context.resolver.resolve(change.holder, function)
        if shared is None or shared.key != check.shared.key:
            continue
        if not shared.is_item and changed(change, function, context.resolver) is None:
            continue
        if shared.is_item and not check.shared.is_item:
            continue
        yield Act(check, change.node, change)


def _matters(check: Check, change: Change) -> bool:
    if change.method == "setdefault" or change.effect in ("clear", "other"):
        return False
    if check.answer == "absent":
        if check.about == "bound":
            # One more than the bound allows is nobody's loss in a cache; among seats it is.
            return change.method in _PUT_IN
        return change.effect in ("store", "insert")
    return change.effect == "remove" and change.raises_when_gone


def _judge(act: Act, function: Function, context: Context) -> _Judged | None:
    change = act.change
    assert change is not None
    if change.effect == "remove":
        return _judge_removal(act)
    if act.check.about == "bound":
        return _Judged("warning", "both find room, and more is put in than it may hold", _LOCK)
    if change.method == "add":
        return _judge_once_only(act)
    if change.method in ("append", "insert", "appendleft") and act.check.about == "key":
        return _Judged("warning", "it can be in there twice", _LOCK)
    return _judge_store(act, change, function, context)


def _judge_store(act: Act, change: Change, function: Function, context: Context) -> _Judged:
    identity = context.values.identity(change.value, function)
    if identity is not None and change.method != "update":
        return _Judged(
            "warning", f"each thread stores {identity}, and one of them is overwritten while it "
            "is in use", _SETDEFAULT,
        )  # fmt: skip
    if act.check.about == "size":
        return _judge_filling(act)
    why = _differs(act, change, function, context)
    if why is not None:
        return _Judged("warning", *why)
    return _Judged("info", "the work is done twice, with the same result", _SETDEFAULT)


def _differs(
    act: Act, change: Change, function: Function, context: Context
) -> tuple[str, str] | None:
    """Why it matters that a value is made twice, and what to do about it."""
    if returns_fresh(change.value, act.node, function, context):
        return "each thread goes on with a value of its own, and only one is kept", _SETDEFAULT
    effect = context.values.effect(change.value, function)
    if effect is not None:
        return f"what {effect}() does besides is done twice", _LOCK
    asked = context.values.asks(change.value, function)
    if asked is not None:
        return f"each asks again with {asked}(), and an older answer can replace a newer one", _LOCK
    if _refuses(act, function):
        return "both find the key free, and the second takes it from the first", _LOCK
    return None


def _refuses(act: Act, function: Function) -> bool:
    """``if name in taken: raise ...``: each key is promised to one caller only."""
    parent = function.module.parents.get(act.check.node)
    while isinstance(parent, (ast.BoolOp, ast.UnaryOp, ast.Compare)):
        parent = function.module.parents.get(parent)
    return isinstance(parent, ast.If) and any(
        isinstance(block[-1], ast.Raise) for block in (parent.body, parent.orelse) if block
    )


def _judge_removal(act: Act) -> _Judged:
    if act.check.about == "bound":
        return _Judged("info", "more is removed than was meant", _LOCK)
    return _Judged(
        "warning", "what was there can be gone, and the removal raises",
        "hold one lock around both, or remove without asking: pop(key, None), discard(), or "
        "try/except around pop()",
    )  # fmt: skip


def _judge_once_only(act: Act) -> _Judged | None:
    """Adding twice to a set is adding once; what else is done for the first time is not."""
    for statement in act.check.region:
        for node in walk_inside([statement]):
            if isinstance(node, ast.Call) and node is not act.node and not _inside(node, act.node):
                return _Judged("warning", "what is done the first time is done twice", _LOCK)
    return None


def _inside(node: ast.AST, outer: ast.AST) -> bool:
    return any(node is inner for inner in ast.walk(outer))


def _judge_filling(act: Act) -> _Judged:
    if len(act.check.region) == 1 and act.change is not None and act.change.method == "update":
        return _Judged("info", "it is filled twice, with the same content", _LOCK)
    return _Judged(
        "warning", "others see it partly filled and take it for complete",
        "fill a new container and bind it when it is complete, under one lock",
    )  # fmt: skip
