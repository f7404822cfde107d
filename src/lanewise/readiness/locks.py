"""Which locks are held where.

Each way to hold a lock is a region, named by the id of the node that takes it. Two nodes that have a
region in common run under one acquisition; two nodes in different regions do not, even of the same
lock, for it is given back in between.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.kinds import Kind, is_lock_name, words_of
from lanewise.readiness.modules import Function
from lanewise.readiness.project import Variable
from lanewise.readiness.shared import Resolver, Shared
from lanewise.readiness.syntax import blocks_of, last_name, method_call, walk_inside

Regions = frozenset[int]

NONE_HELD: Regions = frozenset()
_DECORATOR_WORDS = frozenset({"synchronized", "synchronised", "locked", "serialized", "exclusive"})
# How authors name helpers whose caller holds the lock.
_HELD_SUFFIXES = ("_locked", "_unlocked", "_unsafe", "_nolock", "_no_lock", "_lock_held")
_HELD_WORDS = ("lock held", "lock is held", "holding the lock", "hold the lock", "holds the lock")
_TAKE = ("acquire", "acquire_lock", "acquire_read", "acquire_write")
_GIVE = ("release", "release_lock", "release_read", "release_write")


class Locks:
    """Answers which regions a node lies in."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self.held_by_callers: set[Function] = set()
        """Private helpers that are only called under a lock, set once call sites are known."""

    def regions(self, node: ast.AST, function: Function, of: Shared | None = None) -> Regions:
        """Return every region that a node lies in.

        A nested function runs later, so what its definition lies in says nothing.

        Args:
            node: What is looked at.
            function: Where it stands.
            of: What is to be protected; locks that cannot do it are left out.
        """
        found = self.written(node, function, of)
        if function in self.held_by_callers:
            found |= {id(function)}
        return found

    def written(self, node: ast.AST, function: Function, of: Shared | None = None) -> Regions:
        """Return the regions that the function's own text shows."""
        found = {
            id(region)
            for region in self._around(node, function)
            if not self._is_too_small(region, function, of)
        }
        if any(self._is_synchronizing(decorator, function) for decorator in function.decorators):
            found.add(id(function.node))
        if _says_held(function) or self._is_emit(function, of):
            found.add(id(function))
        return frozenset(found)

    def _is_emit(self, function: Function, of: Shared | None) -> bool:
        """logging.Handler.handle() holds the handler's own lock around emit()."""
        if function.name != "emit" or function.owner is None:
            return False
        if of is not None and of.scope != "instance":
            return False
        names = self._resolver.project.base_names(function.owner)
        return any(n.startswith("logging.") and n.endswith("Handler") for n in names)

    def names(self, node: ast.AST, function: Function) -> frozenset[str] | None:
        """Return the names of the locks that a node lies under; None where one of them has none.

        A condition has none: which lock it is made on, the text of one place does not say.
        """
        if self.regions(node, function) - self.written(node, function) or _says_held(function):
            return None
        if any(self._is_synchronizing(decorator, function) for decorator in function.decorators):
            return None
        found: set[str] = set()
        for region in self._around(node, function):
            if not isinstance(region, (ast.With, ast.AsyncWith)):
                return None
            for item in region.items:
                if self.is_lock(item.context_expr, function):
                    name = self._name(item.context_expr, function)
                    if name is None:
                        return None
                    found.add(name)
        return frozenset(found)

    def _around(self, node: ast.AST, function: Function) -> Iterator[ast.AST]:
        """Yield the regions of the function's own text that a node lies in, from the inside."""
        parents = function.module.parents
        child = node
        while child is not function.node:
            parent = parents.get(child)
            if parent is None:
                return
            region = self._region(parent, child, function)
            if region is not None:
                yield region
            child = parent

    def _name(self, node: ast.expr, function: Function) -> str | None:
        shared = self._resolver.resolve(node, function)
        if shared is None or shared.is_item or shared.kind is not Kind.LOCK:
            return None
        return shared.key if shared.type_name in ("Lock", "RLock") else None

    def _region(self, parent: ast.AST, child: ast.AST, function: Function) -> ast.AST | None:
        if not isinstance(child, ast.stmt):
            return None
        if (
            isinstance(parent, (ast.With, ast.AsyncWith))
            and child in parent.body
            and any(self.is_lock(item.context_expr, function) for item in parent.items)
        ):
            return parent
        if (
            isinstance(parent, (ast.Try, ast.TryStar))
            and child not in parent.finalbody
            and self._calls(parent.finalbody, _GIVE, function)
        ):
            return parent
        if (
            isinstance(parent, (ast.If, ast.While))
            and child in parent.body
            and self._takes(parent.test, function)
        ):
            return parent
        return self._taken_before(parent, child, function)

    def _taken_before(self, parent: ast.AST, child: ast.stmt, function: Function) -> ast.AST | None:
        for block in blocks_of(parent):
            if child not in block:
                continue
            for statement in reversed(block[: block.index(child)]):
                if self._gives(statement, function):
                    return None
                if self._takes_in_statement(statement, function):
                    return statement
        return None

    def _gives(self, statement: ast.stmt, function: Function) -> bool:
        if isinstance(statement, ast.Expr):
            return self._calls([statement], _GIVE, function)
        if isinstance(statement, (ast.Try, ast.TryStar)):
            return self._calls(statement.finalbody, _GIVE, function)
        return False

    def _calls(self, block: list[ast.stmt], names: tuple[str, ...], function: Function) -> bool:
        for statement in block:
            for node in walk_inside([statement]):
                receiver = method_call(node, *names)
                if receiver is not None and self.is_lock(receiver, function):
                    return True
        return False

    def _takes_in_statement(self, statement: ast.stmt, function: Function) -> bool:
        if isinstance(statement, (ast.Expr, ast.Assign)):
            return self._takes(statement.value, function)
        # ``if not lock.acquire(timeout=1): return``
        return isinstance(statement, ast.If) and self._takes(statement.test, function)

    def _takes(self, node: ast.expr, function: Function) -> bool:
        for inner in walk_inside([node]):
            receiver = method_call(inner, *_TAKE)
            if receiver is not None and self.is_lock(receiver, function):
                return True
            if method_call(inner, "enter_context", "enter_async_context") is not None:
                assert isinstance(inner, ast.Call)
                if inner.args and self.is_lock(inner.args[0], function):
                    return True
        return False

    def is_lock(self, node: ast.expr, function: Function) -> bool:
        """Tell whether an expression is a lock that others hold too."""
        if isinstance(node, ast.Name) and self._is_own(node.id, function):
            return False
        if isinstance(node, ast.Call) and self._makes_lock(node, function):
            return False  # ``with Lock():`` locks nobody out
        if isinstance(node, ast.Call) and self._holds_while_open(node, function):
            return True
        known = self._known_kinds(node, function)
        if Kind.LOCK in known:
            return True
        if known & {Kind.QUEUE, Kind.LOCAL}:
            return False  # an event, or a semaphore that lets several in, whatever its name
        return self._enters_lock(node, function) or _named_as_lock(node)

    def _known_kinds(self, node: ast.expr, function: Function) -> set[Kind]:
        """What the project binds a name or an attribute to."""
        shared = self._resolver.resolve(node, function)
        found = {shared.kind} if shared is not None and not shared.is_item else set()
        if isinstance(node, ast.Attribute):
            info = self._resolver.self_meant(node.value, function)
            for holder in [] if info is None else self._resolver.project.bases(info):
                for bound in [*holder.on_self.get(node.attr, []), *holder.body.get(node.attr, [])]:
                    made = self._resolver.made(bound.value, bound.function, holder.module)
                    found.add(made.kind)
        return found

    def _holds_while_open(self, node: ast.Call, function: Function) -> bool:
        """A context manager of the project that yields under a lock."""
        entity = self._resolver.project.entity(node.func, function, function.module)
        if isinstance(node.func, ast.Attribute) and not isinstance(entity, Function):
            info = self._resolver.self_meant(node.func.value, function)
            entity = None if info is None else self._resolver.project.method(info, node.func.attr)
        if not isinstance(entity, Function) or not entity.is_generator or entity is function:
            return False
        if not any("contextmanager" in last_name(d) for d in entity.decorators):
            return False
        return any(
            bool(self.written(inner, entity))
            for inner in entity.nodes
            if isinstance(inner, ast.Yield)
        )

    def _enters_lock(self, node: ast.expr, function: Function) -> bool:
        """``with self:`` where the class takes a lock in ``__enter__``."""
        info = self._resolver.self_meant(node, function)
        if info is None:
            shared = self._resolver.resolve(node, function)
            info = shared.info if shared is not None and not shared.is_item else None
        enter = None if info is None else self._resolver.project.method(info, "__enter__")
        if enter is None or enter is function:
            return False
        return any(
            (receiver := method_call(inner, *_TAKE, "__enter__")) is not None
            and self.is_lock(receiver, enter)
            for inner in enter.nodes
        )

    def _is_too_small(self, region: ast.AST, function: Function, of: Shared | None) -> bool:
        """A lock that each instance has for itself does not protect what the class shares."""
        if of is None or of.scope != "class" or not isinstance(region, (ast.With, ast.AsyncWith)):
            return False
        locks = [i.context_expr for i in region.items if self.is_lock(i.context_expr, function)]
        return bool(locks) and all(self._is_of_instance(lock, function) for lock in locks)

    def _is_of_instance(self, node: ast.expr, function: Function) -> bool:
        if not isinstance(node, ast.Attribute):
            return False
        info = self._resolver.self_meant(node.value, function)
        if info is None or self._resolver.is_held(info):
            return False
        bounds = [
            b for c in self._resolver.project.bases(info) for b in c.on_self.get(node.attr, [])
        ]
        return bool(bounds) and all(
            isinstance(b.value, ast.Call)
            and self._resolver.made(b.value, b.function, info.module).kind is Kind.LOCK
            for b in bounds
        )

    def _is_own(self, name: str, function: Function) -> bool:
        """A lock that the call itself has made: no other thread knows it."""
        if name not in function.locals or name in function.globals or name in function.params:
            return False
        bounds = function.bound.get(name, [])
        return (
            bool(bounds)
            and all(
                b.value is not None
                and isinstance(b.value, ast.Call)
                and self._makes_lock(b.value, function)
                for b in bounds
            )
            and not self._escapes(name, function)
        )

    @staticmethod
    def _escapes(name: str, function: Function) -> bool:
        """``LOCKS[key] = lock = Lock()`` gives it to others."""
        for node in function.nodes:
            if not isinstance(node, ast.Assign):
                continue
            names = {t.id for t in node.targets if isinstance(t, ast.Name)}
            if len(node.targets) > 1 and name in names:
                return True
            if isinstance(node.value, ast.Name) and node.value.id == name:
                return True
        return False

    def _makes_lock(self, node: ast.Call, function: Function) -> bool:
        return self._resolver.made(node, function, function.module).kind is Kind.LOCK

    def _is_synchronizing(self, decorator: ast.expr, function: Function) -> bool:
        words = set(words_of(last_name(decorator)))
        if words & _DECORATOR_WORDS or is_lock_name(last_name(decorator)):
            return True
        if isinstance(decorator, ast.Call):
            return any(
                isinstance(a, (ast.Name, ast.Attribute)) and is_lock_name(last_name(a))
                for a in decorator.args
            )
        entity = self._resolver.project.entity(decorator, function.parent, function.module)
        if isinstance(entity, Function):
            return self._wraps_in_lock(entity)
        return isinstance(entity, Variable) and (self._resolver.variable(entity).kind is Kind.LOCK)

    def _wraps_in_lock(self, decorator: Function) -> bool:
        """A decorator of the project whose wrapper calls the function under a lock."""
        wrapped = decorator.params[:1]
        for inner in decorator.functions.values():
            for node in inner.nodes:
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and [node.func.id] == wrapped
                    and self.written(node, inner)
                ):
                    return True
        return False


def _named_as_lock(node: ast.expr) -> bool:
    """``lock``, ``self._lock``, ``LOCKS[key]``, ``lock_for(key)``, ``rw_lock.read()``."""
    while True:
        if isinstance(node, (ast.Name, ast.Attribute)) and is_lock_name(last_name(node)):
            return True
        if isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, (ast.Attribute, ast.Subscript, ast.Await)):
            node = node.value
        else:
            return False


def _says_held(function: Function) -> bool:
    if function.name.endswith(_HELD_SUFFIXES):
        return True
    if isinstance(function.node, ast.Lambda):
        return False
    text = " ".join((ast.get_docstring(function.node, clean=False) or "").lower().split())
    return any(words in text for words in _HELD_WORDS)
