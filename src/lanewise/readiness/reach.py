"""How threads, tasks and requests get to a function."""

from __future__ import annotations

import ast
from collections import defaultdict, deque

from lanewise.readiness.entry_points import EntryPoint, EntryPoints
from lanewise.readiness.kinds import Kind
from lanewise.readiness.modules import ClassInfo, Function
from lanewise.readiness.project import Project
from lanewise.readiness.shared import Resolver
from lanewise.readiness.syntax import COMMON_NAMES

_MOST_NAMESAKES = 3  # a method name that more classes define says too little


class Reach:
    """A call graph by names, searched from the entry points."""

    def __init__(self, project: Project, resolver: Resolver, entries: EntryPoints) -> None:
        self._project = project
        self._resolver = resolver
        self._methods: dict[str, list[Function]] = defaultdict(list)
        for function in project.functions:
            if function.owner is not None:
                self._methods[function.name].append(function)
        self._from: dict[Function, EntryPoint] = {}
        waiting: deque[Function] = deque()
        for function, entry in entries.found.items():
            self._from[function] = entry
            waiting.append(function)
        while waiting:
            function = waiting.popleft()
            for called in self._calls_of(function):
                if called not in self._from:
                    self._from[called] = self._from[function]
                    waiting.append(called)

    def entry(self, function: Function) -> EntryPoint | None:
        """Return an entry point that leads to a function, or None."""
        current: Function | None = function
        while current is not None:
            if current in self._from:
                return self._from[current]
            current = current.parent
        return None

    def closure(self, function: Function) -> set[Function]:
        """Return a function and everything that it may come to."""
        found, waiting = {function}, [function]
        while waiting:
            for called in self._calls_of(waiting.pop()):
                if called not in found:
                    found.add(called)
                    waiting.append(called)
        return found

    def words(self, function: Function) -> str | None:
        """Say how a function is reached, or None."""
        entry = self.entry(function)
        if entry is None:
            return None
        start = entry.function
        return f"{entry.what} {start.qualname} ({start.module.relative}:{start.node.lineno})"

    def _calls_of(self, function: Function) -> set[Function]:
        found: set[Function] = set()
        for node in function.nodes:
            if isinstance(node, ast.Call):
                found.update(self._called(node.func, function))
            elif isinstance(node, ast.Lambda):
                found.add(function.module.function_at[node])
            elif isinstance(node, ast.Attribute):
                found.update(self._property(node, function))
        return found

    def _called(self, node: ast.expr, function: Function) -> list[Function]:
        entity = self._project.entity(node, function, function.module)
        if isinstance(entity, Function):
            return [entity]
        if isinstance(entity, ClassInfo):
            made = self._project.method(entity, "__init__")
            return [] if made is None else [made]
        if not isinstance(node, ast.Attribute) or entity is not None:
            return []
        info = self._class_of(node.value, function)
        if info is not None:
            return self._overridden(info, node.attr)
        namesakes = self._methods.get(node.attr, [])
        if node.attr in COMMON_NAMES or len(namesakes) > _MOST_NAMESAKES:
            return []
        return namesakes

    def _class_of(self, node: ast.expr, function: Function) -> ClassInfo | None:
        info = self._resolver.self_meant(node, function) or self._resolver.class_meant(
            node, function
        )
        if info is not None:
            return info
        shared = self._resolver.resolve(node, function)
        if shared is not None and shared.kind is Kind.INSTANCE:
            return shared.info
        if isinstance(node, ast.Name):
            for bound in function.bound.get(node.id, []):
                made = self._resolver.made(bound.value, function, function.module)
                if made.info is not None:
                    return made.info
        return None

    def _overridden(self, info: ClassInfo, name: str) -> list[Function]:
        found = self._project.method(info, name)
        below = [
            c.methods[name] for c in self._project.subclasses.get(info, []) if name in c.methods
        ]
        return below if found is None else [found, *below]

    def _property(self, node: ast.Attribute, function: Function) -> list[Function]:
        info = self._resolver.self_meant(node.value, function)
        if info is None:
            return []
        found = self._project.method(info, node.attr)
        if found is None or not any("property" in ast.unparse(d) for d in found.decorators):
            return []
        return [found]
