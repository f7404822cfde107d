"""What an audit means for each task: where it may run, and what keeps it from threads."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.findings import LEVELS, Level, at_least
from lanewise.readiness.modules import Function, Module
from lanewise.readiness.project import External
from lanewise.readiness.syntax import last_name

_LANES = ("event_loop", "thread", "process", "interpreter")
_SHARING_MEMORY = ("event_loop", "thread")


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What is not safe between threads and lies on a task's way.

    Attributes:
        rule: And ``level``, of the finding; ``object`` is what it is about.
        place: ``file:line`` of its worst place on this task's way.
    """

    rule: str
    level: Level
    object: str
    place: str


@dataclass(frozen=True, slots=True)
class TaskVerdict:
    """One task.

    Attributes:
        task: Its dotted name; ``place`` is where it is defined.
        target: What ``lanewise measure`` calls it, ``module:function``; None where nothing can import it.
        has_inputs: Whether it declares how to make its arguments, and can thus be measured.
        lanes: For each lane why the task may not use it; empty where it may.
        obstacles: What is in the way of threads that really run at once, the worst first.
        imports: Packages from elsewhere that the modules on its way import. Whether they run without the
            lock, or in isolated interpreters, is for the audit of dependencies to say.
    """

    task: str
    place: str
    target: str | None
    has_inputs: bool
    lanes: dict[str, str]
    obstacles: tuple[Obstacle, ...]
    imports: tuple[str, ...]

    @property
    def without_the_lock(self) -> str:
        """Where a free-threaded build should run it: ``threads`` or ``processes``."""
        return "processes" if self.obstacles or self.lanes["thread"] else "threads"

    def to_document(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {
            "task": self.task,
            "place": self.place,
            "target": self.target,
            "lanes": {lane: {"allowed": not why, "why": why} for lane, why in self.lanes.items()},
            "without_the_lock": self.without_the_lock,
            "obstacles": [
                {"rule": one.rule, "level": one.level, "object": one.object, "place": one.place}
                for one in self.obstacles
            ],
            "imports": list(self.imports),
        }


def task_verdicts(context: Context, sightings: Iterable[Sighting]) -> tuple[TaskVerdict, ...]:
    """Judge every function that the project declares to lanewise.

    Args:
        context: The project.
        sightings: What rules have seen and no comment keeps back.
    """
    harmful = [one for one in sightings if at_least(one.level, "warning")]
    found = []
    for function in context.project.functions:
        declared = _declaration(function, context)
        if declared is not None:
            found.append(_verdict(function, declared, harmful, context))
    return tuple(sorted(found, key=lambda verdict: verdict.task))


def order_of_work(verdicts: Iterable[TaskVerdict]) -> list[tuple[Obstacle, int]]:
    """What to mend first: the worst, and of those what is in the way of most tasks; with their number."""
    all_obstacles = [one for verdict in verdicts for one in verdict.obstacles]
    tasks = Counter((one.rule, one.object) for one in all_obstacles)
    first = {(one.rule, one.object): one for one in reversed(all_obstacles)}
    return sorted(
        ((one, tasks[key]) for key, one in first.items()),
        key=lambda row: (LEVELS.index(row[0].level), -row[1], row[0].object),
    )


def _declaration(function: Function, context: Context) -> ast.expr | None:
    """The decorator that makes it a task of lanewise, or None."""
    for decorator in function.decorators:
        if last_name(decorator) != "task":
            continue
        name = decorator.func if isinstance(decorator, ast.Call) else decorator
        entity = context.project.entity(name, function.parent, function.module)
        if isinstance(entity, External) and entity.dotted.split(".")[0] == "lanewise":
            return decorator
    return None


def _verdict(
    function: Function, declared: ast.expr, harmful: list[Sighting], context: Context
) -> TaskVerdict:
    way = context.reach.closure(function)
    modules = _import_closure({one.module for one in way}, context)
    return TaskVerdict(
        task=function.full_name,
        place=f"{function.module.relative}:{function.node.lineno}",
        target=_target(function),
        has_inputs=isinstance(declared, ast.Call)
        and any(one.arg == "inputs" for one in declared.keywords),
        lanes=_lanes(function, declared),
        obstacles=_obstacles(way, harmful),
        imports=_packages(modules, way, context),
    )


def _target(function: Function) -> str | None:
    if function.parent is not None:
        return None
    return f"{function.module.name}:{function.qualname}"


def _lanes(function: Function, declared: ast.expr) -> dict[str, str]:
    options = _options(declared)
    pinned = options.get("lane")
    why = dict.fromkeys(_LANES, "")
    for lane in _LANES:
        if pinned is not None and lane != pinned:
            why[lane] = f"it is pinned to {pinned}"
        elif options.get("isolation") == "required" and lane in _SHARING_MEMORY:
            why[lane] = 'it declares isolation="required"'
        elif function.parent is not None and lane not in _SHARING_MEMORY:
            why[lane] = "it is defined inside a function, where nothing can import it from"
    return why


def _options(declared: ast.expr) -> dict[str, object]:
    if not isinstance(declared, ast.Call):
        return {}
    return {
        one.arg: one.value.value
        for one in declared.keywords
        if one.arg is not None and isinstance(one.value, ast.Constant)
    }


def _obstacles(way: set[Function], harmful: list[Sighting]) -> tuple[Obstacle, ...]:
    worst: dict[tuple[str, str], Obstacle] = {}
    for one in harmful:
        if not _is_on(one.function, way):
            continue
        place = f"{one.function.module.relative}:{one.line}"
        known = worst.get((one.rule, one.object))
        if known is None or LEVELS.index(one.level) < LEVELS.index(known.level):
            worst[one.rule, one.object] = Obstacle(one.rule, one.level, one.object, place)
    return tuple(
        sorted(worst.values(), key=lambda one: (LEVELS.index(one.level), one.rule, one.object))
    )


def _is_on(function: Function, way: set[Function]) -> bool:
    current: Function | None = function
    while current is not None:
        if current in way:
            return True
        current = current.parent
    return False


def _import_closure(modules: set[Module], context: Context) -> set[Module]:
    """The project's modules that these import, and those import."""
    found, waiting = set(modules), list(modules)
    while waiting:
        for dotted in waiting.pop().imports.values():
            for name in (dotted, dotted.rpartition(".")[0]):
                module = context.project.module(name) if name else None
                if module is not None and module not in found:
                    found.add(module)
                    waiting.append(module)
    return found


def _packages(modules: set[Module], way: set[Function], context: Context) -> tuple[str, ...]:
    """What is imported when its modules are, and on its way."""
    importing: list[Module | Function] = [*modules, *way]
    tops = {dotted.split(".")[0] for one in importing for dotted in one.imports.values()}
    own = {module.name.split(".")[0] for module in modules}
    outside = tops - own - sys.stdlib_module_names - {"", "lanewise"}
    return tuple(sorted(top for top in outside if context.project.module(top) is None))
