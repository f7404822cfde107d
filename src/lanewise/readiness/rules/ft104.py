"""FT104: one iterator for several threads."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.findings import Level, Place
from lanewise.readiness.hand_overs import loop_around
from lanewise.readiness.kinds import Kind
from lanewise.readiness.modules import Function
from lanewise.readiness.project import External
from lanewise.readiness.syntax import last_name, method_call

RULE = "FT104"
_FIX = (
    "take items under one lock, hand out work through queue.Queue, or give each thread an iterator of "
    "its own; Python 3.15 has threading.serialize_iterator()"
)
_CONSUMERS = frozenset(
    {
        "next", "list", "tuple", "set", "frozenset", "sorted", "sum", "min", "max", "any", "all",
        "enumerate", "zip", "map", "filter", "dict", "islice", "chain", "takewhile", "dropwhile",
        "batched", "pairwise", "reduce", "deque",
    }
)  # fmt: skip
_METHODS = ("send", "throw", "__next__")
_HAND_OVERS = frozenset(
    {"submit", "Thread", "Timer", "apply_async", "to_thread", "run_in_executor", "start_new_thread"}
)


def find(context: Context) -> Iterator[Sighting]:
    """Yield every use of an iterator that other threads use as well."""
    for function in context.running:
        for node in function.nodes:
            for used in _consumed(node, function, context):
                yield from _judge(used, node, function, context)
    for function in context.project.functions:
        yield from _handed_over(function, context)


def _consumed(node: ast.AST, function: Function, context: Context) -> Iterator[ast.expr]:
    if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
        yield node.iter
    elif isinstance(node, (ast.YieldFrom, ast.Starred)):
        yield node.value
    elif isinstance(node, ast.Call):
        receiver = method_call(node, *_METHODS)
        if receiver is not None:
            yield receiver
        elif last_name(node.func) in _CONSUMERS:
            entity = context.project.entity(node.func, function, function.module)
            if isinstance(entity, External):
                yield from node.args


def _judge(
    used: ast.expr, node: ast.AST, function: Function, context: Context
) -> Iterator[Sighting]:
    if not isinstance(used, (ast.Name, ast.Attribute)):
        return
    shared = context.resolver.resolve(used, function)
    if shared is None or shared.is_item or shared.kind not in (Kind.GENERATOR, Kind.ITERATOR):
        return
    if not context.counts(shared, function) or context.regions(used, function, shared):
        return
    level, harm = _harm(shared.kind)
    if isinstance(node, ast.comprehension):
        node = used
    yield Sighting(
        RULE,
        level,
        function,
        node,
        shared.key,
        f"{ast.unparse(used)} is one {shared.kind.value} for all threads: {harm}",
        _FIX,
        shared.defined,
    )


def _harm(kind: Kind) -> tuple[Level, str]:
    if kind is Kind.GENERATOR:
        return "critical", (
            "two that advance it at once crash free-threaded Python 3.13 and 3.14, and raise "
            "ValueError (generator already executing) under the lock"
        )
    return "error", "items come twice, and it can end early"


def _handed_over(function: Function, context: Context) -> Iterator[Sighting]:
    """A local iterator that is given to several threads."""
    given: dict[str, list[ast.expr]] = {}
    for node in function.nodes:
        if isinstance(node, ast.Call) and last_name(node.func) in _HAND_OVERS:
            for inner in _arguments(node):
                if isinstance(inner, ast.Name) and inner.id in function.bound:
                    times = 2 if _repeats(node, inner.id, function) else 1
                    given.setdefault(inner.id, []).extend([inner] * times)
    for name, uses in given.items():
        bounds = function.bound[name]
        made = context.resolver.made(bounds[0].value, function, function.module)
        if len(uses) < 2 or len(bounds) != 1:  # noqa: PLR2004 - because: one thread may have it
            continue
        if made.kind not in (Kind.GENERATOR, Kind.ITERATOR):
            continue
        level, harm = _harm(made.kind)
        yield Sighting(
            RULE,
            level,
            function,
            uses[0],
            f"{function.full_name}.{name}",
            f"{name} is one {made.kind.value}, given to several threads: {harm}",
            _FIX,
            Place(function.module.relative, bounds[0].node.lineno),
        )


def _arguments(node: ast.Call) -> Iterator[ast.expr]:
    for argument in [*node.args, *(k.value for k in node.keywords)]:
        yield argument
        if isinstance(argument, (ast.Tuple, ast.List)):
            yield from argument.elts
        elif isinstance(argument, ast.Dict):
            yield from argument.values


def _repeats(node: ast.AST, name: str, function: Function) -> bool:
    """In a loop whose body does not make the iterator anew."""
    loop = loop_around(node, function.module, function)
    made_at = function.bound[name][0].node
    return loop is not None and not any(inner is made_at for inner in ast.walk(loop))
