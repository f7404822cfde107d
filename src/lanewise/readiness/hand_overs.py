"""Functions that are handed to threads: ``Thread(target=f)``, ``pool.submit(f)``, ``rt.run(f)``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from lanewise.readiness.making import Maker
from lanewise.readiness.modules import Bound, ClassInfo, Function, Module, enclosing_method
from lanewise.readiness.project import External, Project
from lanewise.readiness.syntax import COMMON_NAMES, last_name

_FIRST_ARGUMENT = frozenset(
    {
        "submit", "to_thread", "run_in_threadpool", "run_sync", "start_new_thread", "apply_async",
        "add_task", "add_done_callback", "run_in_thread", "spawn", "defer_to_thread", "deferToThread",
        "sync_to_async", "add_job", "Depends", "Security",
    }
)  # fmt: skip
# These are functions that are imported by name, too.
_PLAIN_NAMES = frozenset(
    {"to_thread", "run_in_threadpool", "start_new_thread", "sync_to_async", "deferToThread",
     "Depends", "Security"}
)  # fmt: skip
_MOST_PARTIALS = 4
_THROUGH = frozenset({"run_sync", "to_thread", "run_in_threadpool"})
# They run one after the other, on one thread or behind one request.
_IN_TURN = frozenset({"add_done_callback", "add_task", "add_job", "spawn"})
_MAPPERS = frozenset({"map", "imap", "imap_unordered", "starmap", "map_async", "starmap_async"})
_URL_CALLS = frozenset(
    {"path", "re_path", "url", "Route", "WebSocketRoute", "APIRoute", "add_route", "add_api_route",
     "add_get", "add_post", "add_put", "add_delete", "add_url_rule", "add_view"}
)  # fmt: skip
_VIEW_KEYWORDS = ("view_func", "endpoint", "handler", "view")
_THREADS = frozenset({"Thread", "Timer"})
_LOOPS = (
    ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp,
)  # fmt: skip
_ON_EXECUTOR = "call on an executor"


@dataclass(frozen=True, slots=True)
class HandOver:
    """One call that gives a function to another thread.

    Attributes:
        target: The function.
        what: What the other side is, for messages.
        repeated: It stands in a loop, or gives the function to many threads by itself.
        arguments: What the function is called with, where the call says it.
        named: The same for arguments that are given by name.
        node: The call.
        function: Where the call stands; None for the module's own statements.
        in_turn: The giver waits for each before it gives the next, or gives it to a router, not to
            threads.
        bound: The function is a method of an object, so the arguments come behind ``self``.
    """

    target: Function
    what: str
    repeated: bool
    in_turn: bool
    arguments: tuple[ast.expr, ...]
    named: tuple[tuple[str, ast.expr], ...]
    node: ast.Call
    function: Function | None
    bound: bool = False


@dataclass(frozen=True, slots=True)
class _Given:
    functions: tuple[ast.expr, ...]
    what: str = _ON_EXECUTOR
    arguments: tuple[ast.expr, ...] = ()
    named: tuple[tuple[str, ast.expr], ...] = ()
    many: bool = False


class HandOvers:
    """Finds them all."""

    def __init__(self, project: Project, maker: Maker) -> None:
        self._project = project
        self._maker = maker

    def find(self) -> Iterator[HandOver]:
        """Yield every hand-over of the project."""
        for module in self._project.modules:
            yield from self._in(module, None, module.nodes)
            for function in module.all_functions:
                yield from self._in(module, function, function.nodes)

    def _in(
        self, module: Module, function: Function | None, nodes: list[ast.AST]
    ) -> Iterator[HandOver]:
        for node in nodes:
            if not isinstance(node, ast.Call):
                continue
            given = self._given(node, function, module)
            if given is None:
                continue
            repeated = given.many or loop_around(node, module, function) is not None
            awaited = isinstance(module.parents.get(node), ast.Await) and not given.many
            by_workers = self._is_called_by_workers(node, function, module)
            repeated = repeated or by_workers
            in_turn = not by_workers and (
                awaited
                or last_name(node.func) in _IN_TURN
                or given.what not in ("thread", _ON_EXECUTOR)
            )
            for argument in given.functions:
                before, named = self._given_before(argument, function, module)
                for target, bound in self._functions(argument, function, module):
                    yield HandOver(
                        target, given.what, repeated, in_turn, (*before, *given.arguments),
                        (*named, *given.named), node, function, bound,
                    )  # fmt: skip

    def _is_called_by_workers(
        self, node: ast.Call, function: Function | None, module: Module
    ) -> bool:
        """``pool.submit(f).add_done_callback(g)``: each worker calls it for what it has done."""
        if not isinstance(node.func, ast.Attribute) or node.func.attr != "add_done_callback":
            return False
        future = node.func.value
        values = (
            [future] if isinstance(future, ast.Call) else self._bound_to(future, function, module)
        )
        return any(last_name(v.func) == "submit" for v in values)

    def _given(self, node: ast.Call, function: Function | None, module: Module) -> _Given | None:
        name = last_name(node.func)
        if name in _THREADS:
            return _given_to_thread(node, name)
        through = _given_through(node)
        if through is not None:
            return through
        if name in _URL_CALLS:
            views = [k.value for k in node.keywords if k.arg in _VIEW_KEYWORDS]
            return _Given((*node.args[1:3], *views), "route handler")
        if not isinstance(node.func, ast.Attribute) and name not in _PLAIN_NAMES:
            return None
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
        if receiver is not None and self._is_for_processes(receiver, function, module):
            return None
        return self._given_to_executor(node, name, receiver, function, module)

    def _given_to_executor(
        self,
        node: ast.Call,
        name: str,
        receiver: ast.expr | None,
        function: Function | None,
        module: Module,
    ) -> _Given | None:
        args = tuple(node.args)
        if name == "run_in_executor":
            own = bool(args) and self._is_for_processes(args[0], function, module)
            return None if own else _Given(args[1:2], arguments=args[2:])
        if name in _MAPPERS:
            return _Given(args[:1], many=True)
        if name in ("Depends", "Security"):
            return _Given(args[:1], "dependency of a route")
        by_runtime = name in ("run", "stream") and receiver is not None and _is_runtime(receiver)
        if name in _FIRST_ARGUMENT or by_runtime:
            named = tuple((k.arg, k.value) for k in node.keywords if k.arg is not None)
            return _Given(args[:1], arguments=args[1:], named=named)
        return None

    def _is_for_processes(self, node: ast.expr, function: Function | None, module: Module) -> bool:
        """What runs in a process of its own changes memory of its own."""
        if isinstance(node, ast.Call):
            entity = self._project.entity(node.func, function, module)
            dotted = entity.dotted if isinstance(entity, External) else last_name(node.func)
            if "thread" in dotted.lower() or dotted.startswith("multiprocessing.dummy"):
                return False
            pinned = any(
                isinstance(k.value, ast.Constant) and (k.arg, k.value.value) == ("lane", "process")
                for k in node.keywords
            )
            default = dotted == "lanewise.Executor" and all(k.arg != "lane" for k in node.keywords)
            return pinned or default or "process" in dotted.lower()
        values = self._bound_to(node, function, module)
        if values:
            return any(self._is_for_processes(v, function, module) for v in values)
        return "process" in last_name(node).lower()

    @staticmethod
    def _bound_to(node: ast.expr, function: Function | None, module: Module) -> list[ast.Call]:
        bounds: list[Bound] = []
        if isinstance(node, ast.Name):
            scope = function
            while scope is not None and node.id not in scope.bound:
                scope = scope.parent
            bounds = (module.names if scope is None else scope.bound).get(node.id, [])
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            method = enclosing_method(function)
            own = method is not None and method.params[:1] == [node.value.id]
            if own and method is not None and method.owner is not None:
                bounds = method.owner.on_self.get(node.attr, [])
        return [b.value for b in bounds if isinstance(b.value, ast.Call)]

    def _functions(
        self,
        node: ast.expr,
        function: Function | None,
        module: Module,
        steps: int = _MOST_PARTIALS,
    ) -> list[tuple[Function, bool]]:
        """Which functions an argument stands for: through partial, lambda and bound methods."""
        if isinstance(node, ast.Lambda):
            return [(module.function_at[node], False)]
        partial = self._partial(node, function, module)
        if partial is not None:
            if not steps:  # work = partial(work, x)
                return []
            return self._functions(partial.args[0], function, module, steps - 1)
        if isinstance(node, ast.Attribute):
            info = self._class_of(node.value, function, module)
            method = None if info is None else self._project.method(info, node.attr)
            params = [] if function is None else function.params
            if info is None and isinstance(node.value, ast.Name) and node.value.id in params:
                method = self._only_one_called(node.attr)
            if method is not None:
                return [(method, True)]
        if isinstance(node, (ast.Name, ast.Attribute)):
            entity = self._project.entity(node, function, module)
            if isinstance(entity, Function):
                return [(entity, False)]
        return []

    @cached_property
    def _methods(self) -> dict[str, list[Function]]:
        found: dict[str, list[Function]] = {}
        for function in self._project.functions:
            if function.owner is not None:
                found.setdefault(function.name, []).append(function)
        return found

    def _only_one_called(self, name: str) -> Function | None:
        """The method of a parameter's, where one class alone has a method of that name."""
        methods = self._methods.get(name, [])
        return methods[0] if len(methods) == 1 and name not in COMMON_NAMES else None

    def _partial(
        self, node: ast.expr, function: Function | None, module: Module
    ) -> ast.Call | None:
        """``partial(crawl, seen)``, at once or by a name that was given to it before."""
        if isinstance(node, ast.Name):
            values = self._bound_to(node, function, module)
            node = values[0] if len(values) == 1 else node
        if isinstance(node, ast.Call) and last_name(node) == "partial" and node.args:
            return node
        return None

    def _given_before(
        self, node: ast.expr, function: Function | None, module: Module
    ) -> tuple[tuple[ast.expr, ...], tuple[tuple[str, ast.expr], ...]]:
        """The arguments that a partial brings along."""
        partial = self._partial(node, function, module)
        if partial is None:
            return (), ()
        named = tuple((k.arg, k.value) for k in partial.keywords if k.arg is not None)
        return tuple(partial.args[1:]), named

    def _class_of(
        self, node: ast.expr, function: Function | None, module: Module
    ) -> ClassInfo | None:
        if not isinstance(node, ast.Name):
            return self._maker.made(node, function, module).info
        method = enclosing_method(function)
        if method is not None and method.params[:1] == [node.id]:
            return method.owner
        scope = function
        while scope is not None:
            if node.id in scope.bound:
                return self._maker.merged(scope.bound[node.id], scope, module).info
            scope = scope.parent
        return self._maker.made(node, function, module).info


def thread_objects(project: Project) -> Iterator[HandOver]:
    """Yield what constructors of the project's own Thread classes are given."""
    for module in project.modules:
        for function in module.all_functions:
            for node in function.nodes:
                if not isinstance(node, ast.Call):
                    continue
                info = project.entity(node.func, function, module)
                if not isinstance(info, ClassInfo) or not is_thread_class(info, project):
                    continue
                made = project.method(info, "__init__")
                if made is not None:
                    named = tuple((k.arg, k.value) for k in node.keywords if k.arg is not None)
                    repeated = loop_around(node, module, function) is not None
                    yield HandOver(
                        made, "thread", repeated, False, tuple(node.args), named, node, function,
                        bound=True,
                    )  # fmt: skip


def is_thread_class(info: ClassInfo, project: Project) -> bool:
    """Tell whether its instances are threads."""
    return bool({base.rpartition(".")[2] for base in project.base_names(info)} & _THREADS)


def loop_around(node: ast.AST, module: Module, function: Function | None) -> ast.AST | None:
    """Return the innermost loop or comprehension around a node, within its function."""
    end = None if function is None else function.node
    current: ast.AST | None = module.parents.get(node)
    while current is not None and current is not end:
        if isinstance(current, _LOOPS):
            return current
        current = module.parents.get(current)
    return None


def _given_to_thread(node: ast.Call, name: str) -> _Given:
    keywords = {k.arg: k.value for k in node.keywords}
    target = keywords.get("target") or keywords.get("function")
    if target is None and len(node.args) > 1:
        target = node.args[1]
    values = keywords.get("args")
    if values is None:
        at = 2 if name == "Timer" else 3
        values = node.args[at] if len(node.args) > at else None
    arguments = tuple(values.elts) if isinstance(values, (ast.Tuple, ast.List)) else ()
    given = keywords.get("kwargs")
    pairs = zip(given.keys, given.values, strict=True) if isinstance(given, ast.Dict) else ()
    named = tuple(
        (key.value, value)
        for key, value in pairs
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    )
    return _Given(() if target is None else (target,), "thread", arguments, named)


def _given_through(node: ast.Call) -> _Given | None:
    """``group.start_soon(to_thread.run_sync, work, x)``: who starts it does not wait for it."""
    for at, argument in enumerate(node.args[:-1]):
        if isinstance(argument, (ast.Name, ast.Attribute)) and last_name(argument) in _THROUGH:
            return _Given(tuple(node.args[at + 1 : at + 2]), arguments=tuple(node.args[at + 2 :]))
    return None


def _is_runtime(node: ast.expr) -> bool:
    """``rt.run(f, ...)``, not ``subprocess.run`` or ``asyncio.run``."""
    name = last_name(node).lower()
    return name in ("rt", "runtime", "lanewise") or name.endswith(("_rt", "_runtime"))
