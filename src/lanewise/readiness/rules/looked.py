"""Part of FT102: ``oldest = next(iter(cache))``, then ``del cache[oldest]``; items of a defaultdict."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.changes import Change, change_of, changed, is_own_key
from lanewise.readiness.checks import following
from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.modules import Function
from lanewise.readiness.project import External
from lanewise.readiness.shared import Shared
from lanewise.readiness.syntax import last_name, method_call, same, walk_inside

_FIX = (
    "hold one lock around looking and removing, or let one call do both: pop(), popleft(), "
    "pop(key, None) and see what it returns"
)
_PLACES = frozenset({"len", "bisect", "bisect_left", "bisect_right"})
_CHOOSERS = frozenset({"builtins.next", "builtins.min", "builtins.max", "random.choice"})


def looked_then_removed(context: Context) -> Iterator[Sighting]:
    """Yield every removal of what was looked up before, by its key, its place or itself."""
    for function in context.running:
        for node in function.nodes:
            change = change_of(node, function)
            if change is None or change.key is None or change.effect != "remove":
                continue
            if not change.raises_when_gone or change.method not in ("[]", "pop", "remove"):
                continue
            shared = changed(change, function, context.resolver)
            if shared is None or not context.counts(shared, function):
                continue
            look = _look(change, shared, function, context)
            if look is not None:
                yield _sighting(change, look, shared, function)


def made_on_look_up(context: Context) -> Iterator[Sighting]:
    """Yield every change of an item that a defaultdict makes when it is first asked for."""
    for function in context.running:
        for node in function.nodes:
            change = change_of(node, function)
            if change is None or change.effect not in ("insert", "store"):
                continue
            item = change.holder
            if not isinstance(item, ast.Subscript) or is_own_key(item.slice, function):
                continue
            shared = context.resolver.resolve(item.value, function)
            if shared is None or shared.type_name != "defaultdict" or shared.is_item:
                continue
            if shared.scope == "class" or not context.counts(shared, function):
                continue  # FT105 has those of classes
            if not context.regions(node, function, shared):
                yield _made_twice(change, item, shared, function)


def searched_then_put(context: Context) -> Iterator[Sighting]:
    """Yield every insertion that follows a search of the same container without an answer."""
    for function in context.running:
        for node in function.nodes:
            if not isinstance(node, ast.For) or not _ends_when_found(node):
                continue
            looked = method_call(node.iter, "items", "values", "keys") or node.iter
            shared = context.resolver.resolve(looked, function)
            if shared is None or shared.is_item or not context.counts(shared, function):
                continue
            put = _put_after(node, shared, function, context)
            if put is not None:
                yield Sighting(
                    "FT102", "warning", function, put.node, shared.key,
                    f"{shared.short} is searched first, and what is not found is put in "
                    f"({ast.unparse(put.node)[:60]}): two threads can both search in vain",
                    "hold one lock around the search and the change",
                    shared.defined,
                )  # fmt: skip


def _ends_when_found(loop: ast.For) -> bool:
    return any(
        isinstance(inner, ast.If)
        and inner.body
        and isinstance(inner.body[-1], (ast.Return, ast.Raise))
        for inner in loop.body
    )


def _put_after(
    loop: ast.For, shared: Shared, function: Function, context: Context
) -> Change | None:
    held = context.regions(loop, function, shared)
    for node in walk_inside(list(following(loop, function))):
        change = change_of(node, function)
        if change is None or change.effect not in ("insert", "store"):
            continue
        if not _is(change.holder, shared, function, context):
            continue
        if not held & context.regions(change.node, function, shared):
            return change
    return None


def counted_then_put(context: Context) -> Iterator[Sighting]:
    """Yield every insertion of what is numbered by the container itself: ``id = len(rows) + 1``."""
    for function in context.running:
        for node in function.nodes:
            change = change_of(node, function)
            if change is None or change.effect not in ("insert", "store"):
                continue
            shared = changed(change, function, context.resolver)
            if shared is None or not context.counts(shared, function):
                continue
            held = context.regions(change.node, function, shared)
            for length in _lengths(change, function):
                if not _is(length.args[0], shared, function, context):
                    continue
                if not held & context.regions(length, function, shared):
                    yield Sighting(
                        "FT102", "warning", function, change.node, shared.key,
                        f"between {ast.unparse(length)} and the change ({ast.unparse(change.node)[:60]}) "
                        "another thread can put something in: the number is another's by then",
                        "hold one lock around both, or number with itertools.count()",
                        shared.defined,
                    )  # fmt: skip
                    break


def _lengths(change: Change, function: Function) -> Iterator[ast.Call]:
    """The calls of ``len`` and ``bisect`` in what is put in, at once or by a local name."""
    given = [part for part in (change.key, change.value) if part is not None]
    names = [n for part in given for n in ast.walk(part) if isinstance(n, ast.Name)]
    for name in names:
        if name.id in function.locals and name.id not in function.globals:
            given += [b.value for b in function.bound.get(name.id, []) if b.value is not None]
    for part in given:
        for node in ast.walk(part):
            if isinstance(node, ast.Call) and last_name(node) in _PLACES and node.args:
                yield node


def _made_twice(
    change: Change, item: ast.Subscript, shared: Shared, function: Function
) -> Sighting:
    return Sighting(
        "FT102",
        "warning",
        function,
        change.node,
        shared.key,
        f"two threads that ask {shared.short} for a new key at once ({ast.unparse(item)}) each get an "
        "item of their own; only one is kept, and what was put into the other is lost",
        "hold one lock around it, or use a dict and setdefault(), which keeps the first",
        shared.defined,
    )


def _look(change: Change, shared: Shared, function: Function, context: Context) -> ast.expr | None:
    held = context.regions(change.node, function, shared)
    for name, bounds in function.bound.items():
        for bound in bounds:
            value = bound.value
            if value is None or bound.entered or bound.node.lineno > change.node.lineno:
                continue
            by_name = isinstance(change.key, ast.Name) and change.key.id == name
            if not (by_name or _is_place(change, value)):
                continue
            if held & context.regions(value, function, shared):
                continue
            if _looks_into(value, shared, function, context):
                return value
    return None


def _is_place(change: Change, value: ast.expr) -> bool:
    """``first = ids[0]`` and ``del ids[0]``: the same place, where another item may be by then."""
    return (
        isinstance(value, ast.Subscript)
        and isinstance(change.key, ast.Constant)
        and change.method != "remove"
        and same(value.slice, change.key)
    )


def _looks_into(value: ast.expr, shared: Shared, function: Function, context: Context) -> bool:
    if isinstance(value, ast.Subscript) and isinstance(value.slice, (ast.Constant, ast.UnaryOp)):
        return _is(value.value, shared, function, context)
    if not isinstance(value, ast.Call) or not value.args:
        return False
    entity = context.project.entity(value.func, function, function.module)
    if not isinstance(entity, External) or entity.dotted not in _CHOOSERS:
        return False
    looked = value.args[0]
    if isinstance(looked, ast.Call) and isinstance(looked.func, ast.Name) and looked.args:
        looked = looked.args[0]  # next(iter(cache))
    looked = method_call(looked, "keys", "values", "items") or looked
    return _is(looked, shared, function, context)


def _is(node: ast.expr, shared: Shared, function: Function, context: Context) -> bool:
    found = context.resolver.resolve(node, function)
    return found is not None and found.key == shared.key and not found.is_item


def _sighting(change: Change, look: ast.expr, shared: Shared, function: Function) -> Sighting:
    return Sighting(
        "FT102",
        "warning",
        function,
        change.node,
        shared.key,
        f"between looking into {shared.short} ({ast.unparse(look)}) and removing "
        f"({ast.unparse(change.node)}) another thread can take the same: the removal raises, or takes "
        "away what nobody has looked at",
        _FIX,
        shared.defined,
    )
