"""Where work begins on a thread of its own: tasks, requests, threads and executors."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from lanewise.readiness.modules import ClassInfo, Function, Module
from lanewise.readiness.project import Project
from lanewise.readiness.syntax import last_name

_TASK_DECORATORS = frozenset({"task", "shared_task", "actor", "job", "periodic_task", "db_task"})
_ROUTE_DECORATORS = frozenset(
    {
        "route", "api_route", "websocket", "websocket_route", "view_config", "api_view", "errorhandler",
        "before_request", "after_request", "teardown_request", "before_app_request", "middleware",
        "exception_handler", "receiver", "context_processor", "app_errorhandler", "view",
    }
)  # fmt: skip
_HTTP_METHODS = frozenset({"get", "post", "put", "delete", "patch", "head", "options", "trace"})
_VIEW_BASES = ("View", "Resource", "HTTPEndpoint", "RequestHandler", "ViewSet", "Controller", "Endpoint")
_VIEW_METHODS = _HTTP_METHODS | {
    "dispatch", "list", "create", "retrieve", "update", "destroy", "form_valid", "get_queryset",
    "get_context_data", "on_get", "on_post", "on_put", "on_delete", "handle", "websocket_connect",
}  # fmt: skip
_FIRST_ARGUMENT = frozenset(
    {
        "submit", "to_thread", "run_in_threadpool", "run_sync", "start_new_thread", "apply_async",
        "add_task", "add_done_callback", "run_in_thread", "spawn", "defer_to_thread", "deferToThread",
        "sync_to_async", "add_job", "call_soon_threadsafe",
    }
)  # fmt: skip
_MAPPERS = frozenset({"map", "imap", "imap_unordered", "starmap", "map_async", "starmap_async"})
_THREADS = frozenset({"Thread", "Timer"})
_URL_CALLS = frozenset({"path", "re_path", "url", "Route", "WebSocketRoute", "APIRoute", "add_route",
                        "add_api_route", "add_get", "add_post", "add_put", "add_delete", "add_url_rule",
                        "add_view"})  # fmt: skip
_PROCESSES = ("ProcessPoolExecutor", "Process", "multiprocessing", "Popen", "mp", "ProcessPool")


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A function that some thread begins with.

    Attributes:
        function: The function.
        what: ``route handler`` and so on, for messages.
        crowd: Several threads may run it at once on the same variables: one of many submits.
    """

    function: Function
    what: str
    crowd: bool = False


class EntryPoints:
    """Finds them all."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self.found: dict[Function, EntryPoint] = {}
        self._hand_overs: dict[Function, int] = {}
        for function in project.functions:
            self._by_declaration(function)
        for module in project.modules:
            self._by_calls(module, None, module.nodes)
            for function in module.all_functions:
                self._by_calls(module, function, function.nodes)
        self._note_crowds()

    # --- declared ---------------------------------------------------------------------------------

    def _by_declaration(self, function: Function) -> None:
        for decorator in function.decorators:
            what = _what_decorator(decorator)
            if what is not None:
                self._note(function, what)
        if function.owner is not None:
            what = self._what_method(function, function.owner)
            if what is not None:
                self._note(function, what)

    def _what_method(self, function: Function, owner: ClassInfo) -> str | None:
        bases = self._project.base_names(owner)
        lasts = {base.rpartition(".")[2] for base in bases}
        if function.name == "run" and lasts & {"Thread", "Timer"}:
            return "thread"
        if function.name == "run" and "Task" in lasts:
            return "task"
        if function.name in _VIEW_METHODS and any(b.endswith(_VIEW_BASES) for b in lasts):
            return "request handler"
        if function.name in ("__call__", "process_request", "process_response", "dispatch"):
            made = owner.methods.get("__init__")
            params = [] if made is None else made.params[1:2]
            if params in (["get_response"], ["app"]) or "BaseHTTPMiddleware" in lasts:
                return "middleware"
        return None

    # --- handed over ------------------------------------------------------------------------------

    def _by_calls(self, module: Module, function: Function | None, nodes: list[ast.AST]) -> None:
        for node in nodes:
            if isinstance(node, ast.Call):
                what, given = self._given(node, function)
                if what is None:
                    continue
                repeated = what == "map" or _repeats(node, module, function)
                for argument in given:
                    for target in self._functions(argument, function, module):
                        self._note(target, _WORDS.get(what, what), crowd=repeated)
                        if what != "route":
                            count = self._hand_overs.get(target, 0) + 1
                            self._hand_overs[target] = count

    def _given(
        self, node: ast.Call, function: Function | None
    ) -> tuple[str | None, list[ast.expr]]:
        name = last_name(node.func)
        args = node.args
        keywords = {k.arg: k.value for k in node.keywords}
        if name in _THREADS:
            target = keywords.get("target") or keywords.get("function")
            if name == "Timer" and target is None and len(args) > 1:
                target = args[1]
            if name == "Thread" and target is None and len(args) > 1:
                target = args[1]
            return "thread", [] if target is None else [target]
        if name in _URL_CALLS:
            view = [keywords[k] for k in ("view_func", "endpoint", "handler", "view") if k in keywords]
            return "route", [*args[1:2], *args[2:3], *view]
        if not isinstance(node.func, ast.Attribute):
            return ("call", args[:1]) if name in ("to_thread", "run_in_threadpool") else (None, [])
        if self._is_for_processes(node.func.value, function):
            return None, []
        if name == "run_in_executor":
            if args and self._is_for_processes(args[0], function):
                return None, []
            return "call", args[1:2]
        if name in _MAPPERS:
            return "map", args[:1]
        if name in _FIRST_ARGUMENT:
            return "call", args[:1]
        if name in ("run", "stream") and _is_runtime(node.func.value):
            return "call", args[:1]
        return None, []

    @staticmethod
    def _is_for_processes(node: ast.expr, function: Function | None) -> bool:
        text = ast.unparse(node)
        if any(word in text for word in _PROCESSES) or "process" in last_name(node).lower():
            return True
        if isinstance(node, ast.Name) and function is not None:
            values = [b.value for b in function.bound.get(node.id, []) if b.value is not None]
            return any(
                any(word in ast.unparse(v) for word in _PROCESSES) or "'process'" in ast.unparse(v)
                for v in values
            )
        return False

    def _functions(
        self, node: ast.expr, function: Function | None, module: Module
    ) -> list[Function]:
        """Which functions an argument stands for: through partial, lambda and bound methods."""
        if isinstance(node, ast.Lambda):
            return [module.function_at[node]]
        if isinstance(node, ast.Call):
            if last_name(node) in ("partial", "wraps", "run", "copy_context") and node.args:
                return self._functions(node.args[0], function, module)
            if last_name(node) == "as_view":
                return []  # views are known by their bases
            return []
        if isinstance(node, ast.Attribute):
            found = self._method(node, function)
            if found is not None:
                return [found]
        if isinstance(node, (ast.Name, ast.Attribute)):
            entity = self._project.entity(node, function, module)
            if isinstance(entity, Function):
                return [entity]
        return []

    def _method(self, node: ast.Attribute, function: Function | None) -> Function | None:
        current = function
        while current is not None and current.owner is None:
            current = current.parent
        if (
            current is None
            or current.owner is None
            or not isinstance(node.value, ast.Name)
            or current.params[:1] != [node.value.id]
        ):
            return None
        return self._project.method(current.owner, node.attr)

    def _note(self, function: Function, what: str, *, crowd: bool = False) -> None:
        known = self.found.get(function)
        if known is None or (crowd and not known.crowd):
            self.found[function] = EntryPoint(function, what, crowd)

    def _note_crowds(self) -> None:
        for function, count in self._hand_overs.items():
            if count > 1:
                self.found[function] = EntryPoint(function, self.found[function].what, crowd=True)


_WORDS = {"map": "call on an executor", "call": "call on an executor", "route": "route handler"}


def _what_decorator(decorator: ast.expr) -> str | None:
    name = last_name(decorator)
    if name in _TASK_DECORATORS:
        return None if _is_isolated(decorator) else "task"
    if name in _ROUTE_DECORATORS:
        return "route handler"
    if (
        name in _HTTP_METHODS
        and isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and (not decorator.args or isinstance(decorator.args[0], (ast.Constant, ast.JoinedStr)))
    ):
        return "route handler"
    if name == "sync_to_async":
        return "call on an executor"
    return None


def _is_isolated(decorator: ast.expr) -> bool:
    """A task that never runs in its caller's memory: what it changes is a worker's own."""
    if not isinstance(decorator, ast.Call):
        return False
    wanted = {("isolation", "required"), ("lane", "process"), ("lane", "interpreter"),
              ("lane", "cluster")}  # fmt: skip
    return any(
        isinstance(k.value, ast.Constant) and (k.arg, k.value.value) in wanted
        for k in decorator.keywords
    )


def _is_runtime(node: ast.expr) -> bool:
    """``rt.run(f, ...)``, not ``subprocess.run`` or ``asyncio.run``."""
    name = last_name(node).lower()
    return name in ("rt", "runtime", "lanewise") or name.endswith(("_rt", "_runtime"))


def _repeats(node: ast.AST, module: Module, function: Function | None) -> bool:
    """Tell whether a call stands in a loop or a comprehension of its function."""
    end = None if function is None else function.node
    current: ast.AST | None = module.parents.get(node)
    loops = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp,
             ast.GeneratorExp)  # fmt: skip
    while current is not None and current is not end:
        if isinstance(current, loops):
            return True
        current = module.parents.get(current)
    return False
