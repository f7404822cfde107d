"""All that a rule may ask about a project."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from lanewise.readiness.changes import Change, change_of, changed
from lanewise.readiness.checks import Check, Checks
from lanewise.readiness.entry_points import EntryPoints
from lanewise.readiness.findings import Level, Place
from lanewise.readiness.given import Given
from lanewise.readiness.kinds import NEVER_SHARED, Kind
from lanewise.readiness.locks import Locks, Regions
from lanewise.readiness.modules import ClassInfo, Function, enclosing_method
from lanewise.readiness.project import Project
from lanewise.readiness.reach import Reach
from lanewise.readiness.references import References
from lanewise.readiness.shared import Resolver, Shared
from lanewise.readiness.values import Values


@dataclass(frozen=True, slots=True)
class Sighting:
    """One place where a rule's hazard was seen; those of one object become one finding."""

    rule: str
    level: Level
    function: Function
    node: ast.AST
    object: str
    message: str
    fix: str
    defined: Place | None = None

    @property
    def line(self) -> int:
        """Counted from 1."""
        return int(getattr(self.node, "lineno", 1))

    @property
    def column(self) -> int:
        """Counted from 1."""
        return int(getattr(self.node, "col_offset", 0)) + 1


class Context:
    """A project with everything that follows from its text."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.resolver = Resolver(project)
        self.locks = Locks(self.resolver)
        self.references = References(project, self.resolver.maker)
        self.entries = EntryPoints(project, self.resolver.maker)
        self._given = Given(self.resolver, self.references)
        self._mark_crowds()
        self.locks.held_by_callers = self.references.held_by_callers(self.locks)
        self._given.by_calls(self.running, self.locks)
        self.reach = Reach(project, self.resolver, self.entries)
        self.values = Values(project)
        self.checks = Checks(self.resolver)

    def _mark_crowds(self) -> None:
        for function, entry in self.entries.found.items():
            if entry.crowd and function.parent is not None:
                self.resolver.crowded.add(function)
            method = enclosing_method(function)
            if entry.crowd and method is not None and _uses_own_object(function, method):
                assert method.owner is not None
                self.resolver.crowded_classes.update(self.project.bases(method.owner))

        for function in self.references.handed_out:
            self.resolver.crowded.add(function)
        self._spread_crowds()
        self._crowd_classes()
        self._given.by_hand_overs(self.entries.hand_overs)

    def _crowd_classes(self) -> None:
        """An object of the enclosing call, of which several threads call the methods."""
        for function in list(self.resolver.crowded):
            for node in function.nodes:
                if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
                    continue
                shared = self.resolver.resolve(node.value, function)
                if shared is not None and shared.scope == "closure" and shared.info is not None:
                    self.resolver.crowded_classes.update(self.project.bases(shared.info))

    def _spread_crowds(self) -> None:
        """Inner functions that such functions call run as often at once."""
        waiting = list(self.resolver.crowded)
        while waiting:
            function = waiting.pop()
            for node in function.nodes:
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                    continue
                called = self.project.name(node.func.id, function, function.module)
                if not isinstance(called, Function) or called.parent is None:
                    continue
                # One that the function defines itself has variables of each call's own.
                if called.parent is not function and called not in self.resolver.crowded:
                    self.resolver.crowded.add(called)
                    waiting.append(called)

    @cached_property
    def running(self) -> list[Function]:
        """Functions that may run while other threads do."""
        quiet = self.references.quiet
        return [f for f in self.project.functions if f not in quiet or self._is_entry(f)]

    def _is_entry(self, function: Function) -> bool:
        return function in self.entries.found

    def regions(self, node: ast.AST, function: Function, of: Shared | None = None) -> Regions:
        """Return the locks held at a node that protect an object."""
        return self.locks.regions(node, function, of)

    def counts(self, shared: Shared | None, function: Function) -> bool:
        """Tell whether a change of an object by a function is other threads' business."""
        if shared is None or shared.kind in NEVER_SHARED:
            return False
        if shared.scope == "instance" and self._while_made(function):
            return False
        return not (shared.info is not None and shared.kind is Kind.LOCAL)

    def _while_made(self, function: Function) -> bool:
        method = enclosing_method(function)
        return method is not None and method in self.references.only_while_made

    def changes(self, function: Function) -> Iterator[tuple[Change, Shared]]:
        """Yield every change of a shared container that a function makes in place."""
        for node in function.nodes:
            change = change_of(node, function)
            if change is None:
                continue
            shared = changed(change, function, self.resolver)
            if shared is not None and self.counts(shared, function):
                yield change, shared

    @cached_property
    def checks_of(self) -> dict[Function, list[Check]]:
        """The checks of every running function that has some."""
        found = {f: self.checks.of(f) for f in self.running}
        return {f: checks for f, checks in found.items() if checks}

    def is_rebound_on_self(self, info: ClassInfo, name: str) -> bool:
        """Tell whether an instance gets an attribute of its own in place of the class's."""
        family = [*self.project.bases(info), *self.project.subclasses.get(info, [])]
        for current in family:
            for bound in current.on_self.get(name, []):
                if not isinstance(bound.node, ast.Attribute) or not isinstance(
                    bound.node.ctx, ast.Store
                ):
                    continue
                parent = current.module.parents.get(bound.node)
                if not isinstance(parent, ast.AugAssign):
                    return True
        return False

    def statement(self, node: ast.AST, function: Function) -> ast.stmt | None:
        """Return the statement that an expression stands in."""
        current: ast.AST | None = node
        while current is not None and not isinstance(current, ast.stmt):
            current = function.module.parents.get(current)
        return current


def _uses_own_object(function: Function, method: Function) -> bool:
    """A method does; a function inside one where it names the method's ``self``."""
    if function is method:
        return True
    if method.kind_of_method != "instance" or not method.params:
        return False
    return any(isinstance(n, ast.Name) and n.id == method.params[0] for n in function.nodes)
