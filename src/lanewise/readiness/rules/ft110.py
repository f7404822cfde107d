"""FT110: something costly or unique, cached per attribute without a lock."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.findings import Place
from lanewise.readiness.kinds import words_of
from lanewise.readiness.modules import Function
from lanewise.readiness.project import External
from lanewise.readiness.syntax import last_name

RULE = "FT110"
_FIX = (
    "make it in __init__, or behind a lock that asks again (functools.cached_property has held none "
    "since Python 3.12)"
)
_RESOURCES = frozenset(
    {
        "connect", "connection", "pool", "client", "thread", "session", "socket", "popen", "engine",
        "executor", "process", "server", "channel", "producer", "lock", "file", "open", "mmap",
    }
)  # fmt: skip
_CACHES = frozenset({"functools.cache", "functools.lru_cache"})


def find(context: Context) -> Iterator[Sighting]:
    """Yield attributes whose first use makes a resource, and two first uses two."""
    for function in context.running:
        if _is_cached_property(function, context):
            yield from _returned(function, context, "cached_property holds no lock")
        elif _is_cached_function(function, context):
            yield from _returned(
                function, context, "the cache runs the function again for who comes meanwhile"
            )
        elif function.name == "__getattr__":
            yield from _getattr(function, context)


def _is_cached_property(function: Function, context: Context) -> bool:
    if function.owner is None:
        return False
    for decorator in function.decorators:
        if last_name(decorator) != "cached_property":
            continue
        entity = context.project.entity(decorator, None, function.module)
        # The project's own cached_property may hold a lock; only the standard one is known.
        return not isinstance(entity, Function) and (
            not isinstance(entity, External)
            or entity.dotted
            in ("functools.cached_property", "django.utils.functional.cached_property")
        )
    return False


def _is_cached_function(function: Function, context: Context) -> bool:
    for decorator in function.decorators:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        entity = context.project.entity(called, function.parent, function.module)
        if isinstance(entity, External) and entity.dotted in _CACHES:
            return True
    return False


def _returned(function: Function, context: Context, why: str) -> Iterator[Sighting]:
    for node in function.nodes:
        if not isinstance(node, ast.Return) or node.value is None:
            continue
        if context.regions(node, function):
            continue
        resource = _resource(node.value, function, context)
        if resource is not None:
            yield _sighting(node, function, resource, why)
            return


def _getattr(function: Function, context: Context) -> Iterator[Sighting]:
    for node in function.nodes:
        value = _cached(node)
        if value is None or context.regions(node, function):
            continue
        resource = _resource(value, function, context)
        if resource is not None:
            yield _sighting(node, function, resource, "__getattr__ keeps it without a lock")
            return


def _cached(node: ast.AST) -> ast.expr | None:
    """``self.__dict__[name] = value``, ``globals()[name] = value``, ``setattr(self, name, value)``."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                text = ast.unparse(target.value)
                if text.endswith("__dict__") or text in ("globals()", "vars(self)"):
                    return node.value
    if isinstance(node, ast.Call) and last_name(node) in ("setattr", "__setattr__"):
        return node.args[-1] if node.args else None
    return None


def _resource(node: ast.expr, function: Function, context: Context) -> str | None:
    """Only what others can notice: connections, pools, threads, files, locks."""
    identity = context.values.identity(node, function)
    if identity is None:
        return None
    return identity if set(words_of(identity.replace("()", ""))) & _RESOURCES else None


def _sighting(node: ast.AST, function: Function, resource: str, why: str) -> Sighting:
    return Sighting(
        RULE,
        "warning",
        function,
        node,
        function.full_name,
        f"two threads that use {function.qualname} first at the same time each make {resource}, and "
        f"one of them is lost while it is in use: {why}",
        _FIX,
        Place(function.module.relative, function.node.lineno),
    )
