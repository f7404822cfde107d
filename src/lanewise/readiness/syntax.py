"""Small questions about syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
DefNode = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = ("body", "orelse", "finalbody")
# Names of the standard types' own methods: ``x.get()`` is hardly ever the project's.
COMMON_NAMES = frozenset(
    name for kind in (dict, list, set, str, bytes, tuple, int) for name in dir(kind)
) | {"run", "close", "open", "read", "write", "send", "start", "stop", "put", "set", "main", "name"}


def dotted_text(node: ast.expr) -> str | None:
    """Return ``a.b.c`` for names and attributes of names, else None."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    parts.append(node.id)
    return ".".join(reversed(parts))


def last_name(node: ast.expr) -> str:
    """Return the last part of a name, of a call's function, or of a subscripted name."""
    while True:
        if isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Attribute):
            return node.attr
        elif isinstance(node, ast.Name):
            return node.id
        else:
            return ""


def method_call(node: ast.AST, *names: str) -> ast.expr | None:
    """Return the receiver of ``receiver.name(...)`` where the name is one of those, else None."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in names
    ):
        return node.func.value
    return None


def attribute_meant(node: ast.AST, name: str) -> ast.Attribute | None:
    """Return ``x.count`` for ``getattr(x, "count")`` and, as a target, ``setattr(x, "count", ...)``."""
    if not (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ):
        return None
    if len(node.args) < 2 or not isinstance(node.args[1], ast.Constant):  # noqa: PLR2004 - because: object, name
        return None
    attribute = node.args[1].value
    if not isinstance(attribute, str) or not attribute.isidentifier():
        return None
    context = ast.Store() if name == "setattr" else ast.Load()
    return ast.copy_location(ast.Attribute(node.args[0], attribute, context), node)


def is_none(node: ast.expr) -> bool:
    """Tell whether an expression is the constant None."""
    return isinstance(node, ast.Constant) and node.value is None


def walk_inside(nodes: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Walk statements in source order without entering functions that they define."""
    stack: list[ast.AST] = list(reversed(nodes))
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, FunctionNode):
            continue
        stack.extend(reversed(list(ast.iter_child_nodes(node))))


def leaves(statements: list[ast.stmt]) -> bool:
    """Tell whether a block ends by leaving: return, raise, continue or break."""
    if not statements:
        return False
    last = statements[-1]
    if isinstance(last, ast.If):
        return leaves(last.body) and leaves(last.orelse)
    if isinstance(last, (ast.With, ast.AsyncWith)):
        return leaves(last.body)
    return isinstance(last, (ast.Return, ast.Raise, ast.Continue, ast.Break))


def blocks_of(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """Yield the statement lists of a node."""
    for name in BLOCKS:
        block = getattr(node, name, None)
        if isinstance(block, list):
            yield block


def same(left: ast.AST, right: ast.AST) -> bool:
    """Tell whether two expressions are written alike, whatever they are used for."""
    return ast.unparse(left) == ast.unparse(right)


def defaults_of(node: FunctionNode) -> Iterator[tuple[str, ast.expr]]:
    """Yield each parameter that has a default, with the default."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    given = positional[len(positional) - len(arguments.defaults) :]
    for argument, default in zip(given, arguments.defaults, strict=True):
        yield argument.arg, default
    for argument, keyword in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if keyword is not None:
            yield argument.arg, keyword


def default_of(node: FunctionNode, name: str) -> ast.expr | None:
    """Return a parameter's default, or None."""
    return next((default for known, default in defaults_of(node) if known == name), None)
