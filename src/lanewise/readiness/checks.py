"""Checks whose answer is acted on later: ``if key not in cache``, ``if client is None``.

A check has a region: the statements that run because of its answer. What they do to the object that
was asked about is an act; check and act are one step only under one lock.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lanewise.readiness.kinds import Kind
from lanewise.readiness.modules import Function
from lanewise.readiness.shared import Resolver, Shared
from lanewise.readiness.syntax import attribute_meant, is_none, last_name, leaves, method_call

Answer = Literal["absent", "present"]
About = Literal["key", "value", "size", "bound"]

_NO_KEY = frozenset({"KeyError", "LookupError", "IndexError"})
_MOST_LOCALS = 3  # steps from one local name to another
_NO_VALUE = frozenset({"AttributeError", "NameError"})


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        shared: What is asked about.
        about: A key of it, its own value, whether it holds anything, or whether it holds too much.
        answer: The answer on which the region runs.
        node: The test.
        region: The statements, or the parts of an expression, that run then.
    """

    shared: Shared
    about: About
    answer: Answer
    node: ast.expr
    region: tuple[ast.stmt | ast.expr, ...]


@dataclass(frozen=True, slots=True)
class _Fact:
    shared: Shared
    about: About
    answer: Answer
    node: ast.expr


_OTHER: dict[Answer, Answer] = {"absent": "present", "present": "absent"}


class Checks:
    """Finds the checks of a function."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def of(self, function: Function) -> list[Check]:
        """Return all checks in a function, in source order."""
        found: list[Check] = []
        for node in function.nodes:
            if isinstance(node, (ast.If, ast.While)):
                found += self._of_branch(node, function)
            elif isinstance(node, (ast.Try, ast.TryStar)):
                found += self._of_try(node, function)
            elif isinstance(node, ast.Match):
                found += self._of_match(node, function)
            elif isinstance(node, (ast.IfExp, ast.BoolOp)):
                found += self._of_expression(node, function)
        return found

    def _of_branch(self, node: ast.If | ast.While, function: Function) -> Iterator[Check]:
        after = following(node, function) if isinstance(node, ast.If) else []
        for fact in self._facts(node.test, function):
            waits = isinstance(node, ast.While) and fact.answer == "absent"
            if not waits:
                yield _check(fact, fact.answer, node.body)
            otherwise = [*node.orelse, *(after if leaves(node.body) else [])]
            if otherwise and isinstance(node, ast.If):
                yield _check(fact, _OTHER[fact.answer], otherwise)

    def _of_expression(self, node: ast.IfExp | ast.BoolOp, function: Function) -> Iterator[Check]:
        """``jobs.pop() if jobs else None``, ``X = X or make()``, ``k in seen or seen.append(k)``."""
        parent = function.module.parents.get(node)
        assigned = [parent] if isinstance(parent, (ast.Assign, ast.AnnAssign)) else []
        if isinstance(node, ast.IfExp):
            for fact in self._facts(node.test, function):
                yield _check(fact, fact.answer, [node.body])
                yield _check(fact, _OTHER[fact.answer], [node.orelse])
                yield _check(fact, "absent", assigned)
            return
        first, *others = node.values
        for fact in self._facts(first, function):
            holds = isinstance(node.op, ast.And)
            yield _check(fact, fact.answer if holds else _OTHER[fact.answer], others)
            if not holds:
                yield _check(fact, "absent", assigned)

    def _of_try(self, node: ast.Try | ast.TryStar, function: Function) -> Iterator[Check]:
        for handler in node.handlers:
            names = _exception_names(handler.type)
            region = [*handler.body]
            if not leaves(handler.body):
                region += following(node, function)
            went_well = [*node.body[1:], *node.orelse]
            if leaves(handler.body):
                went_well += following(node, function)
            for fact in self._tried(node.body, names, function):
                yield _check(fact, "absent", region)
                yield _check(fact, "present", went_well)

    def _tried(self, body: list[ast.stmt], names: set[str], function: Function) -> Iterator[_Fact]:
        if not body or isinstance(body[0], (ast.If, ast.For, ast.While, ast.With, ast.Try)):
            return
        for inner in ast.walk(body[0]):
            if (
                isinstance(inner, ast.Subscript)
                and isinstance(inner.ctx, ast.Load)
                and names & _NO_KEY
            ):
                shared = self._container(inner.value, function)
                if shared is not None:
                    yield _Fact(shared, "key", "absent", inner)
            elif (
                isinstance(inner, (ast.Attribute, ast.Name))
                and isinstance(inner.ctx, ast.Load)
                and names & _NO_VALUE
            ):
                shared = self._resolver.resolve(inner, function)
                if shared is not None and not shared.is_item:
                    yield _Fact(shared, "value", "absent", inner)

    def _of_match(self, node: ast.Match, function: Function) -> Iterator[Check]:
        fact = self._value(node.subject, function)
        if fact is None:
            return
        for case in node.cases:
            if isinstance(case.pattern, ast.MatchSingleton) and case.pattern.value is None:
                yield _check(fact, "absent", case.body)

    # --- tests ------------------------------------------------------------------------------------

    def _facts(self, test: ast.expr, function: Function) -> list[_Fact]:
        """Return what a test says when it holds."""
        if isinstance(test, ast.BoolOp):
            return [fact for value in test.values for fact in self._facts(value, function)]
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return [
                _Fact(f.shared, f.about, _OTHER[f.answer], f.node)
                for f in self._facts(test.operand, function)
            ]
        if isinstance(test, ast.Compare):
            fact = self._compared(test, function) if len(test.ops) == 1 else None
        elif isinstance(test, ast.Call) and last_name(test) == "hasattr":
            fact = self._has_attribute(test, function)
        else:
            fact = self._value(test, function)
        return [] if fact is None else [fact]

    def _compared(self, test: ast.Compare, function: Function) -> _Fact | None:
        operator, right = test.ops[0], test.comparators[0]
        if isinstance(operator, (ast.In, ast.NotIn)):
            return self._contained(test, function)
        size = self._size(test, function)
        if size is not None:
            return size
        if not isinstance(operator, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)):
            return None
        if not _is_missing(right):
            return None
        fact = self._value(test.left, function)
        if fact is None:
            return None
        equal = isinstance(operator, (ast.Is, ast.Eq))
        # Where it was looked up counts, not where the answer is compared later.
        return _Fact(fact.shared, fact.about, "absent" if equal else "present", fact.node)

    def _contained(self, test: ast.Compare, function: Function) -> _Fact | None:
        right = test.comparators[0]
        answer: Answer = "present" if isinstance(test.ops[0], ast.In) else "absent"
        if _is_namespace(right):  # "client" in globals()
            item = ast.copy_location(ast.Subscript(right, test.left, ast.Load()), right)
            found = self._resolver.resolve(item, function)
            return None if found is None else _Fact(found, "value", answer, test)
        shared = self._container(method_call(right, "keys") or right, function)
        return None if shared is None else _Fact(shared, "key", answer, test)

    def _size(self, test: ast.Compare, function: Function) -> _Fact | None:
        left = test.left
        if not (isinstance(left, ast.Call) and last_name(left) == "len" and len(left.args) == 1):
            return None
        shared = self._container(left.args[0], function)
        if shared is None:
            return None
        right = test.comparators[0]
        zero = isinstance(right, ast.Constant) and right.value in (0, 1)
        empty = isinstance(test.ops[0], (ast.Eq, ast.LtE) if zero else (ast.Lt, ast.LtE))
        about: About = "size" if zero else "bound"
        return _Fact(shared, about, "absent" if empty else "present", test)

    def _has_attribute(self, test: ast.Call, function: Function) -> _Fact | None:
        if len(test.args) != 2:  # noqa: PLR2004 - because: hasattr takes two
            return None
        name = test.args[1]
        if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
            return None
        if not name.value.isidentifier():
            return None
        attribute = ast.Attribute(test.args[0], name.value, ast.Load())
        shared = self._resolver.resolve(ast.copy_location(attribute, test), function)
        if shared is None or shared.is_item:
            return None
        return _Fact(shared, "value", "present", test)

    def _value(self, node: ast.expr, function: Function) -> _Fact | None:
        """What it says that a value is there."""
        if isinstance(node, ast.NamedExpr):
            node = node.value
        looked_up = self._looked_up(node, function)
        if looked_up is not None:
            return _Fact(looked_up, "key", "present", node)
        if isinstance(node, ast.Name) and node.id not in function.globals:
            fact = self._of_local(node, function)
            if fact is not None:
                return fact
        if isinstance(node, (ast.Name, ast.Attribute)) or attribute_meant(node, "getattr"):
            shared = self._resolver.resolve(node, function)
            if shared is not None and not shared.is_item:
                about: About = "size" if shared.kind is Kind.CONTAINER else "value"
                return _Fact(shared, about, "present", node)
        return None

    def _of_local(
        self, node: ast.Name, function: Function, steps: int = _MOST_LOCALS
    ) -> _Fact | None:
        """``value = cache.get(key)``, then a test of ``value``."""
        earlier = [b for b in function.bound.get(node.id, []) if b.node.lineno <= node.lineno]
        for bound in sorted(earlier, key=lambda b: b.node.lineno, reverse=True):
            if bound.value is None or bound.entered:
                continue
            value = bound.value.value if isinstance(bound.value, ast.Await) else bound.value
            within = _within(value)
            if within is not None and within.id != node.id and steps:
                return self._of_local(within, function, steps - 1)
            looked_up = self._looked_up(value, function)
            if looked_up is not None:
                return _Fact(looked_up, "key", "present", value)
            if not (
                isinstance(value, (ast.Name, ast.Attribute)) or attribute_meant(value, "getattr")
            ):
                continue
            shared = self._resolver.resolve(value, function)
            if shared is None or shared.is_item or shared.kind is Kind.CONTAINER:
                continue
            return _Fact(shared, "value", "present", value)
        return None

    def _looked_up(self, node: ast.expr, function: Function) -> Shared | None:
        receiver = method_call(node, "get")
        return None if receiver is None else self._container(receiver, function)

    def _container(self, node: ast.expr, function: Function) -> Shared | None:
        shared = self._resolver.resolve(node, function)
        if shared is None or shared.kind not in (Kind.CONTAINER, Kind.NONE):
            return None
        return shared


def _check(fact: _Fact, answer: Answer, region: Sequence[ast.stmt | ast.expr]) -> Check:
    return Check(fact.shared, fact.about, answer, fact.node, tuple(region))


def _within(value: ast.expr) -> ast.Name | None:
    """The local that a value is part of: ``entry.value``, ``ref()``, ``ref() if ref else None``."""
    if isinstance(value, ast.IfExp):
        value = value.body
    inner = value
    while isinstance(inner, (ast.Attribute, ast.Subscript, ast.Call)):
        if isinstance(inner, ast.Call):
            if inner.args or inner.keywords or not isinstance(inner.func, ast.Name):
                return None
            inner = inner.func
        else:
            inner = inner.value
    return inner if isinstance(inner, ast.Name) and inner is not value else None


def _is_namespace(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and last_name(node.func) == "globals" and not node.args


def _is_missing(node: ast.expr) -> bool:
    """None, or a sentinel: ``_MISSING``, ``UNSET``."""
    if is_none(node):
        return True
    name = last_name(node)
    return isinstance(node, (ast.Name, ast.Attribute)) and (
        name.isupper() or name.lower().strip("_") in ("missing", "unset", "sentinel", "empty")
    )


def _exception_names(node: ast.expr | None) -> set[str]:
    if node is None:
        return set()
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return {last_name(part) for part in parts}


def following(statement: ast.stmt, function: Function) -> list[ast.stmt]:
    """Return the statements that run after one, out of ``try`` and ``with`` blocks as well."""
    found: list[ast.stmt] = []
    parents = function.module.parents
    current: ast.AST = statement
    while True:
        parent = parents.get(current)
        if parent is None:
            return found
        for name in ("body", "orelse", "finalbody", "handlers"):
            block = getattr(parent, name, None)
            if isinstance(block, list) and current in block:
                found += [s for s in block[block.index(current) + 1 :] if isinstance(s, ast.stmt)]
        if not isinstance(parent, (ast.With, ast.AsyncWith, ast.Try)):
            return found
        current = parent
