"""Where work begins on a thread of its own: tasks, requests, threads and executors."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass

from lanewise.readiness.hand_overs import HandOver, HandOvers
from lanewise.readiness.making import Maker
from lanewise.readiness.modules import ClassInfo, Function
from lanewise.readiness.project import External, Project
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
_VIEW_BASES = (
    "View",
    "Resource",
    "HTTPEndpoint",
    "RequestHandler",
    "ViewSet",
    "Controller",
    "Endpoint",
)
_VIEW_METHODS = _HTTP_METHODS | {
    "dispatch", "list", "create", "retrieve", "update", "destroy", "form_valid", "get_queryset",
    "get_context_data", "on_get", "on_post", "on_put", "on_delete", "handle", "websocket_connect",
}  # fmt: skip
_MIDDLEWARE_BASES = frozenset({"BaseHTTPMiddleware", "MiddlewareMixin"})
_MIDDLEWARE_METHODS = frozenset(
    {
        "__call__", "__acall__", "dispatch", "process_request", "process_response", "process_view",
        "process_exception", "process_template_response",
    }
)  # fmt: skip


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

    def __init__(self, project: Project, maker: Maker) -> None:
        self._project = project
        self.found: dict[Function, EntryPoint] = {}
        for function in project.functions:
            self._by_declaration(function)
        self.hand_overs: list[HandOver] = list(HandOvers(project, maker).find())
        times = Counter((h.target, h.function) for h in self.hand_overs if not h.in_turn)
        for hand_over in self.hand_overs:
            often = times[hand_over.target, hand_over.function] > 1
            crowd = not hand_over.in_turn and (hand_over.repeated or often)
            crowd = crowd or (
                hand_over.what == "route handler" and hand_over.target.parent is not None
            )
            self._note(hand_over.target, hand_over.what, crowd=crowd)

    def _by_declaration(self, function: Function) -> None:
        for decorator in function.decorators:
            what = self._what_decorator(decorator, function)
            if what is not None:
                # Made by create_app(): all requests see the variables of that one call.
                self._note(function, what, crowd=function.parent is not None)
        if function.owner is not None:
            what = self._what_method(function, function.owner)
            if what is not None:
                # One instance serves all requests. Others with an app= are made for one of them.
                shared = "Middleware" in function.owner.name or what == "service method"
                self._note(function, what, crowd=shared or self._is_middleware(function.owner))

    def _what_method(self, function: Function, owner: ClassInfo) -> str | None:
        bases = self._project.base_names(owner)
        lasts = {base.rpartition(".")[2] for base in bases}
        if function.name == "run" and lasts & {"Thread", "Timer"}:
            return "thread"
        if function.name == "run" and "Task" in lasts:
            return "task"
        if any(b.endswith("Servicer") for b in lasts) and not function.name.startswith("_"):
            return "service method"  # gRPC: one object, a pool of threads
        if _answers_requests(function.name, lasts):
            return "request handler"
        if function.name in _MIDDLEWARE_METHODS:
            made = owner.methods.get("__init__")
            params = [] if made is None else made.params[1:2]
            if params in (["get_response"], ["app"]) or lasts & _MIDDLEWARE_BASES:
                return "middleware"
        return None

    def _is_middleware(self, owner: ClassInfo) -> bool:
        bases = {base.rpartition(".")[2] for base in self._project.base_names(owner)}
        return bool(bases & _MIDDLEWARE_BASES)

    def _note(self, function: Function, what: str, *, crowd: bool = False) -> None:
        known = self.found.get(function)
        if known is None or (crowd and not known.crowd):
            self.found[function] = EntryPoint(function, what, crowd)

    def _what_decorator(self, decorator: ast.expr, function: Function) -> str | None:
        name = last_name(decorator)
        if name in _TASK_DECORATORS:
            return None if _is_isolated(decorator) else "task"
        if name in _ROUTE_DECORATORS:
            return "route handler"
        if name in _HTTP_METHODS and isinstance(decorator, ast.Call):
            return self._what_http(decorator, function)
        return "call on an executor" if name == "sync_to_async" else None

    def _what_http(self, decorator: ast.Call, function: Function) -> str | None:
        """``@app.get("/x")``, and ``@get("/x")`` of a framework; not ``@cache.get``."""
        if decorator.args and not isinstance(decorator.args[0], (ast.Constant, ast.JoinedStr)):
            return None
        if isinstance(decorator.func, ast.Attribute):
            return "route handler"
        entity = self._project.entity(decorator.func, function.parent, function.module)
        return "route handler" if isinstance(entity, External) else None


def _answers_requests(method: str, bases: set[str]) -> bool:
    if method.startswith("do_"):
        return any(base.endswith("HTTPRequestHandler") for base in bases)
    return method in _VIEW_METHODS and any(base.endswith(_VIEW_BASES) for base in bases)


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
