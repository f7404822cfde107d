"""What frameworks share without a word: the application's state, seen from its handlers."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.modules import Bound, ClassInfo, Function, Module
from lanewise.readiness.project import External, Project, Variable
from lanewise.readiness.syntax import last_name

# Classes whose instance is the application, and the attributes of it that are there for users to fill.
_APPLICATIONS = frozenset(
    {"FastAPI", "Starlette", "Litestar", "Flask", "Quart", "Sanic", "Application", "Robyn"}
)
_MAPPINGS = frozenset({"config", "extensions", "ctx", "state"})
_CURRENT = frozenset({"flask.current_app", "quart.current_app"})
_STATES = frozenset({"state", "ctx", "extensions"})
# What handlers are given, and what leads from there to the application.
_REQUESTS = frozenset({"Request", "WebSocket", "HTTPConnection", "HttpRequest", "ASGIConnection"})
_REQUEST_NAMES = frozenset({"request", "req", "websocket", "connection"})
_THREADING_SERVERS = frozenset(
    {"ThreadingHTTPServer", "ThreadingTCPServer", "ThreadingUDPServer", "ThreadingMixIn",
     "ThreadingUnixStreamServer", "ThreadingWSGIServer"}
)  # fmt: skip
_TO_APPLICATION = frozenset({"app", "application"})


def application(
    node: ast.expr, function: Function | None, module: Module, project: Project
) -> bool:
    """Tell whether an expression is the application: its name, or the way there from a request."""
    if isinstance(node, ast.Attribute) and node.attr in _TO_APPLICATION:
        return _is_request(node.value, function)
    if isinstance(node, ast.Name) and function is not None and node.id in function.params:
        return node.id in _TO_APPLICATION  # def lifespan(app)
    if isinstance(node, ast.Name) and _made_around(node.id, function, project):
        return True
    entity = project.entity(node, function, module)
    if isinstance(entity, External):
        return entity.dotted in _CURRENT
    return isinstance(entity, Variable) and any(
        isinstance(bound.value, ast.Call)
        and _makes_application(bound.value, entity.module, project)
        for bound in entity.bounds
    )


def _made_around(name: str, function: Function | None, project: Project) -> bool:
    """``app = Flask(__name__)`` in a factory, seen from the handlers that it defines."""
    scope = None if function is None else function.parent
    while scope is not None and name not in scope.locals:
        scope = scope.parent
    if scope is None or function is None or name in function.locals:
        return False
    return any(
        isinstance(bound.value, ast.Call) and _makes_application(bound.value, scope.module, project)
        for bound in scope.bound.get(name, [])
    )


def is_state(node: ast.expr, function: Function | None, module: Module, project: Project) -> bool:
    """Tell whether an expression is the application's own namespace: ``app.state``."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr in _STATES
        and application(node.value, function, module, project)
    )


def keeps_items(
    node: ast.expr, function: Function | None, module: Module, project: Project
) -> bool:
    """Tell whether an expression is a mapping of the application's: ``app`` itself, ``app.config``."""
    if isinstance(node, ast.Attribute) and node.attr in _MAPPINGS:
        node = node.value
    return application(node, function, module, project)


def bounds_of(name: str, project: Project) -> Iterator[tuple[Bound, Module]]:
    """Yield what the project binds an attribute of that namespace to."""
    for module in project.modules:
        for function, nodes in (
            (None, module.nodes),
            *((f, f.nodes) for f in module.all_functions),
        ):
            for node in nodes:
                if (
                    isinstance(node, ast.Attribute)
                    and node.attr == name
                    and isinstance(node.ctx, ast.Store)
                    and isinstance(parent := module.parents.get(node), ast.Assign)
                    and is_state(node.value, function, module, project)
                ):
                    yield Bound(parent.value, node, function), module


def server_of(handler: ClassInfo, attribute: str, project: Project) -> ClassInfo | None:
    """Return the class of the ``self.server`` of a handler that runs on a thread for each request.

    Args:
        handler: The class that asks for ``self.server``.
        attribute: What it uses of the server; a class that does not bind it is not meant.
        project: Where to look for the server's class.
    """
    if not any(base.endswith("RequestHandler") for base in project.base_names(handler)):
        return None
    for info in project.classes:
        lasts = {base.rpartition(".")[2] for base in project.base_names(info)}
        if lasts & _THREADING_SERVERS and any(
            attribute in one.on_self or attribute in one.body for one in project.bases(info)
        ):
            return info
    return None


def _makes_application(call: ast.Call, module: Module, project: Project) -> bool:
    if last_name(call) not in _APPLICATIONS:
        return False
    return isinstance(project.entity(call.func, None, module), External)


def _is_request(node: ast.expr, function: Function | None) -> bool:
    if not isinstance(node, ast.Name) or function is None or node.id not in function.params:
        return False
    if isinstance(function.node, ast.Lambda):
        return False
    arguments = function.node.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.arg == node.id and argument.annotation is not None:
            return last_name(argument.annotation) in _REQUESTS
    return node.id in _REQUEST_NAMES
