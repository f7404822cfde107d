"""FT101: read, change, write back, without a lock: updates get lost."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeGuard

from lanewise.readiness.changes import is_own_key
from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.findings import Level
from lanewise.readiness.kinds import Kind
from lanewise.readiness.modules import Bound, Function
from lanewise.readiness.rules.decided import decided_twice, moved_items
from lanewise.readiness.rules.taken import taken_in_two_steps
from lanewise.readiness.shared import Shared
from lanewise.readiness.syntax import attribute_meant, last_name, method_call, same

RULE = "FT101"
_FIX = (
    "hold one threading.Lock around reading and writing, use itertools.count() for a plain counter, "
    "or let each thread count for itself and add up at the end"
)
_LAZY = (ast.BoolOp, ast.IfExp)  # X = X or make(): FT103's business
# ``{**old, "until": until}``, ``[*old, new]``: a new one that holds what the old one held.
_DISPLAYS = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
# Steps from one local name to another.
_MOST_LOCALS = 4
_COUNTER_METHODS = ("update", "subtract")


def find(context: Context) -> Iterator[Sighting]:
    """Yield every update of something shared that is not one step."""
    for function in context.running:
        for node in function.nodes:
            if isinstance(node, ast.AugAssign):
                yield from _augmented(node, function, context)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    yield from _assigned(target, node.value, function, context)
                    yield from _swapped(target, node.value, function, context)
            elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
                yield from _assigned(node.target, node.value, function, context)
            elif isinstance(node, ast.Call):
                yield from _counted(node, function, context)
                yield from _set(node, function, context)
            elif isinstance(node, ast.If):
                yield from _outdone(node, function, context)
    yield from _under_different_locks(context)
    yield from moved_items(context)
    yield from taken_in_two_steps(context)
    yield from decided_twice(context)


def _under_different_locks(context: Context) -> Iterator[Sighting]:
    """Each update holds a lock, but not the same: they keep nobody from each other."""
    held: dict[str, list[tuple[ast.AugAssign, Function, Shared, frozenset[str]]]] = {}
    for function in context.running:
        for node in function.nodes:
            if not isinstance(node, ast.AugAssign) or isinstance(node.target, ast.Subscript):
                continue
            shared = context.resolver.target(node.target, function)
            if shared is None or shared.is_item or not context.counts(shared, function):
                continue
            if shared.kind in (Kind.CONTAINER, Kind.INSTANCE, Kind.ITERATOR, Kind.GENERATOR):
                continue
            if context.regions(node, function, shared):
                names = context.locks.names(node, function)
                if names:
                    held.setdefault(shared.key, []).append((node, function, shared, names))
    for updates in held.values():
        first = updates[0]
        other = next((one for one in updates if not one[3] & first[3]), None)
        if other is not None:
            node, function, shared, names = other
            level, remark = _level(function)
            yield Sighting(
                RULE,
                level,
                function,
                node,
                shared.key,
                f"{ast.unparse(node.target)} is changed under {_listed(names)} here and under "
                f"{_listed(first[3])} in {first[1].qualname}: two different locks keep nobody from each "
                f"other. {_whose(shared)}{remark}",
                "hold the same lock at every place that changes it",
                shared.defined,
            )


def _listed(names: frozenset[str]) -> str:
    return " and ".join(sorted(name.rpartition(".")[2] for name in names))


def _augmented(node: ast.AugAssign, function: Function, context: Context) -> Iterator[Sighting]:
    shared = context.resolver.target(node.target, function)
    if shared is None or not context.counts(shared, function):
        return
    if shared.kind is Kind.CONTAINER and not shared.is_item:
        return  # changed in place; the name goes on meaning the same container
    if shared.kind in (Kind.INSTANCE, Kind.ITERATOR, Kind.GENERATOR):
        return  # what += means is its class's own affair
    yield from _sighting(node.target, node, shared, function, context)


def _assigned(
    target: ast.expr, value: ast.expr, function: Function, context: Context
) -> Iterator[Sighting]:
    if not isinstance(target, (ast.Name, ast.Attribute, ast.Subscript)):
        return
    if isinstance(value, ast.IfExp):
        # A count that starts again: its branch that computes is the update.
        value = next((v for v in (value.body, value.orelse) if isinstance(v, ast.BinOp)), value)
    cut = isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Slice)  # X = X[-100:]
    if isinstance(value, (*_LAZY, ast.Attribute, ast.Subscript, ast.Constant)) and not cut:
        return
    if any("cached_property" in last_name(d) for d in function.decorators):
        return  # made once for good, and twice with the same result: FT110 looks at what is made
    shared = context.resolver.target(target, function)
    if shared is None or not context.counts(shared, function):
        return
    read = _read_of(target, value, shared, function, context)
    if read is None:
        return
    if context.regions(target, function, shared) & context.regions(read, function, shared):
        return
    yield from _sighting(target, target, shared, function, context, read)


def _swapped(
    target: ast.expr, value: ast.expr, function: Function, context: Context
) -> Iterator[Sighting]:
    """``order[i], order[j] = order[j], order[i]``."""
    if not isinstance(target, ast.Tuple) or not isinstance(value, ast.Tuple):
        return
    for place in target.elts:
        if not isinstance(place, ast.Subscript):
            continue
        shared = context.resolver.target(place, function)
        if shared is None or not context.counts(shared, function):
            continue
        read = next((v for v in value.elts if _is_item_of(v, place, function, context)), None)
        if read is not None:
            yield from _sighting(place, place, shared, function, context)
            return


def _is_item_of(node: ast.expr, place: ast.Subscript, function: Function, context: Context) -> bool:
    return isinstance(node, ast.Subscript) and _is_same(node.value, place.value, function, context)


def _outdone(node: ast.If, function: Function, context: Context) -> Iterator[Sighting]:
    """``if seconds > slowest: slowest = seconds``: the highest of all, unless two come at once."""
    tests = node.test.values if isinstance(node.test, ast.BoolOp) else [node.test]
    for test in tests:
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            yield from _compared(test, node, function, context)


def _compared(
    test: ast.Compare, node: ast.If, function: Function, context: Context
) -> Iterator[Sighting]:
    if not isinstance(test.ops[0], (ast.Lt, ast.Gt, ast.LtE, ast.GtE)):
        return
    sides = (test.left, test.comparators[0])
    yield from _due(node, sides, function, context)
    for statement in node.body:
        if not isinstance(statement, ast.Assign):
            continue
        for target in statement.targets:
            for old, new in (sides, sides[::-1]):
                if same(new, statement.value):
                    yield from _replaced(target, old, function, context)


def _due(
    node: ast.If, sides: tuple[ast.expr, ast.expr], function: Function, context: Context
) -> Iterator[Sighting]:
    """``if now - last > 60: last = now; flush()``: due for everybody who asks before it is set."""
    stores = [
        (statement, target)
        for statement in node.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, (ast.Name, ast.Attribute))
        and not any(same(side, statement.value) for side in sides)
    ]
    works = any(isinstance(inner, ast.Call) for s in node.body for inner in ast.walk(s))
    for _, target in stores if works else []:
        shared = context.resolver.target(target, function)
        if shared is None or shared.kind is not Kind.NUMBER or shared.is_item:
            continue
        if not context.counts(shared, function):
            continue
        read = next(
            (n for side in sides for n in ast.walk(side) if _names(n, shared, function, context)),
            None,
        )
        if read is None:
            continue
        if context.regions(read, function, shared) & context.regions(target, function, shared):
            continue
        yield Sighting(
            RULE,
            "warning",
            function,
            target,
            shared.key,
            f"{ast.unparse(target)} is compared, then replaced in separate steps: two threads can both "
            f"find that it is due, and both do what follows. {_whose(shared)}",
            "hold one threading.Lock around comparing and replacing",
            shared.defined,
        )


def _names(node: ast.AST, shared: Shared, function: Function, context: Context) -> bool:
    if not isinstance(node, (ast.Name, ast.Attribute)):
        return False
    found = context.resolver.resolve(node, function)
    return found is not None and found.key == shared.key and not found.is_item


def _replaced(
    target: ast.expr, old: ast.expr, function: Function, context: Context
) -> Iterator[Sighting]:
    shared = context.resolver.target(target, function)
    if shared is None or not context.counts(shared, function):
        return
    if not _reads(old, target, shared, function, context):
        return
    if context.regions(old, function, shared) & context.regions(target, function, shared):
        return
    yield from _sighting(target, target, shared, function, context, old)


def _read_of(
    target: ast.expr, value: ast.expr, shared: Shared, function: Function, context: Context
) -> ast.expr | None:
    """Return where the new value reads the old one, or what is taken out of it by unpacking."""
    found = _read_plainly(target, value, shared, function, context)
    if found is not None or isinstance(value, ast.Name):
        return found
    # What is put back as it was taken is no update: ``f, data = cache[k]``, ``cache[k] = f, data``.
    kept = value.elts if isinstance(value, ast.Tuple) else []
    names = (n for n in ast.walk(value) if isinstance(n, ast.Name) and n not in kept)
    taken = (_unpacked(function.bound.get(n.id, []), target.lineno, function) for n in names)
    return next((t for t in taken if t and _reads(t, target, shared, function, context)), None)


def _read_plainly(
    target: ast.expr, value: ast.expr, shared: Shared, function: Function, context: Context
) -> ast.expr | None:
    """Return where the new value reads the old one: at once, or in a local a line before."""
    if not isinstance(value, ast.Name):
        for node in ast.walk(value):
            if isinstance(node, ast.expr) and _reads(node, target, shared, function, context):
                return None if _is_fallback(node, function) else node
    for node in ast.walk(value):
        if isinstance(node, ast.Name):
            bounds = function.bound.get(node.id, [])
            if len(bounds) == 1:
                earlier = _earlier(node, function, target.lineno)
                if earlier and _computed(value, earlier, target, shared, function, context):
                    return earlier
            elif isinstance(value, (ast.Name, ast.BinOp)):
                origin = _origin(node, target.lineno, function, _MOST_LOCALS)
                computed = isinstance(value, ast.BinOp) or (origin is not None and origin[1])
                if origin and computed and _reads(origin[0], target, shared, function, context):
                    return origin[0]
    return None


def _unpacked(bounds: list[Bound], line: int, function: Function) -> ast.expr | None:
    """``start, used = window``: what a local name was taken out of, before a line."""
    for bound in bounds:
        parent = function.module.parents.get(bound.node)
        above = None if parent is None else function.module.parents.get(parent)
        if not isinstance(parent, ast.Tuple) or not isinstance(above, ast.Assign):
            continue
        plain = isinstance(above.value, (ast.Name, ast.Attribute, ast.Subscript))
        if plain and above.lineno < line:
            return above.value
    return None


def _earlier(node: ast.Name, function: Function, line: int) -> ast.expr | None:
    """What a local name was bound to last before a line, by the text."""
    if node.id not in function.locals or node.id in function.globals:
        return None
    earlier = [b for b in function.bound.get(node.id, []) if b.node.lineno < line]
    last = max(earlier, key=lambda bound: bound.node.lineno, default=None)
    return None if last is None or last.entered else last.value


def _origin(
    node: ast.Name, line: int, function: Function, steps: int
) -> tuple[ast.expr, bool] | None:
    """Follow ``n = total; n = n + 1`` back to ``total``; and whether anything is computed on the way."""
    value = _earlier(node, function, line)
    if value is None or steps == 0:
        return None
    if isinstance(value, (ast.Attribute, ast.Subscript, ast.Call)):
        return value, False
    if isinstance(value, ast.Name):
        return _origin(value, value.lineno, function, steps - 1) or (value, False)
    if isinstance(value, ast.BinOp):
        for side in (value.left, value.right):
            if isinstance(side, ast.Name):
                found = _origin(side, value.lineno, function, steps - 1)
                return (found[0], True) if found else (side, True)
    return None


def _is_fallback(node: ast.expr, function: Function) -> bool:
    """``x = given.pop("x", x)`` keeps the old value where no new one is given."""
    parent = function.module.parents.get(node)
    if not isinstance(parent, ast.Call) or node not in parent.args[1:]:
        return False
    return last_name(parent.func) in ("get", "pop", "getattr", "setdefault", "cast")


def _computed(  # noqa: PLR0913 - because: both statements of one update
    value: ast.expr,
    earlier: ast.expr,
    target: ast.expr,
    shared: Shared,
    function: Function,
    context: Context,
) -> bool:
    """``n = total`` and ``total = n + 1``; not ``old = total`` and ``total = old``."""
    taken = method_call(earlier, "pop") is not None
    if isinstance(value, ast.Name) and not taken:
        if not isinstance(earlier, (ast.BinOp, *_DISPLAYS)):
            return False
        return any(
            isinstance(n, ast.expr) and _reads(n, target, shared, function, context)
            for n in ast.walk(earlier)
        )
    if not taken and not isinstance(value, (ast.BinOp, *_DISPLAYS)):
        return False
    return _reads(earlier, target, shared, function, context)


def _reads(
    node: ast.expr, target: ast.expr, shared: Shared, function: Function, context: Context
) -> bool:
    if isinstance(target, ast.Subscript):
        receiver = method_call(node, "get", "pop")
        if receiver is not None and isinstance(node, ast.Call) and node.args:
            alike = same(node.args[0], target.slice)
            return alike and _is_same(receiver, target.value, function, context)
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            alike = same(node.slice, target.slice)
            return alike and _is_same(node.value, target.value, function, context)
        return False
    if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(node.ctx, ast.Load):
        return False
    found = context.resolver.resolve(node, function)
    return (
        found is not None
        and found.key == shared.key
        and found.is_item == shared.is_item
        and (not shared.is_item or same(node, target))
    )


def _is_same(left: ast.expr, right: ast.expr, function: Function, context: Context) -> bool:
    one = context.resolver.resolve(left, function)
    other = context.resolver.resolve(right, function)
    return one is not None and other is not None and one.key == other.key


def _counted(node: ast.Call, function: Function, context: Context) -> Iterator[Sighting]:
    """``Counter.update`` reads and writes every count by itself."""
    receiver = method_call(node, *_COUNTER_METHODS)
    if receiver is None or not node.args:
        return
    shared = context.resolver.resolve(receiver, function)
    if shared is None or shared.type_name != "Counter" or shared.is_item:
        return
    if context.counts(shared, function):
        yield from _sighting(receiver, node, shared, function, context)


def _set(node: ast.Call, function: Function, context: Context) -> Iterator[Sighting]:
    """``setattr(cls, name, getattr(cls, name) + 1)``."""
    if not isinstance(node.func, ast.Name) or node.func.id != "setattr" or len(node.args) != 3:  # noqa: PLR2004 - because: object, name, value
        return
    target = attribute_meant(node, "setattr")
    if target is not None:
        yield from _assigned(target, node.args[2], function, context)
        return
    read = next((n for n in ast.walk(node.args[2]) if _gets(n, node.args)), None)
    # Which attribute it is, the text does not say; all of them have the same owner.
    any_of = ast.copy_location(ast.Attribute(node.args[0], "*", ast.Load()), node)
    shared = None if read is None else context.resolver.resolve(any_of, function)
    if read is None or shared is None or context.regions(node, function, shared):
        return
    yield from _sighting(read, node, shared, function, context, read)


def _gets(node: ast.AST, given: list[ast.expr]) -> TypeGuard[ast.Call]:
    return (
        isinstance(node, ast.Call)
        and last_name(node) == "getattr"
        and len(node.args) > 1
        and same(node.args[0], given[0])
        and same(node.args[1], given[1])
    )


def _sighting(  # noqa: PLR0913 - because: the two ends of one update
    target: ast.expr,
    node: ast.AST,
    shared: Shared,
    function: Function,
    context: Context,
    read: ast.AST | None = None,
) -> Iterator[Sighting]:
    if read is None and context.regions(node, function, shared):
        return
    if isinstance(target, ast.Subscript) and is_own_key(target.slice, function):
        return
    level, remark = _level(function)
    between = "" if read is None else " (the old value is read first, then written)"
    yield Sighting(
        RULE,
        level,
        function,
        node,
        shared.key,
        f"{ast.unparse(target)} is read, changed and written back in separate steps{between}; what "
        f"another thread writes in between is lost. {_whose(shared)}{remark}",
        _FIX,
        shared.defined,
    )


def _level(function: Function) -> tuple[Level, str]:
    if function.is_async:
        return "warning", (
            ". Coroutines of one loop take turns, so it needs a second thread or loop to go wrong"
        )
    return "error", ""


def _whose(shared: Shared) -> str:
    where = {
        "global": "is a module's global",
        "class": "belongs to the class, so every instance shares it",
        "instance": "belongs to an instance that several threads hold",
        "closure": "is seen by all threads that run the inner function",
    }[shared.scope]
    return f"{shared.short} {where}"
