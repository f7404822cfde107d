"""FT108: what belongs to the whole process, changed by one request."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.modules import Function
from lanewise.readiness.project import External

RULE = "FT108"

_ENVIRONMENT = "pass the value as an argument, or in env= of the child process"
_WARNINGS = (
    "set filters once at start; Python 3.14 can keep them per context (-X context_aware_warnings)"
)
_STREAMS = "give the stream to what writes (print(..., file=stream)), or use a logger"
_COLLECTOR = "set it once at start"

# What is called -> what it changes, what to do instead.
_CALLS: dict[str, tuple[str, str]] = {
    "os.chdir": (
        "the working directory",
        "build absolute paths, or pass cwd= to the child process",
    ),
    "os.fchdir": (
        "the working directory",
        "build absolute paths, or pass cwd= to the child process",
    ),
    "contextlib.chdir": (
        "the working directory",
        "build absolute paths, or pass cwd= to the child",
    ),
    "os.umask": (
        "the file mode mask",
        "set the mode of the file itself: os.open(..., mode), chmod",
    ),
    "os.putenv": ("the environment", _ENVIRONMENT),
    "os.unsetenv": ("the environment", _ENVIRONMENT),
    "os.environ.update": ("the environment", _ENVIRONMENT),
    "os.environ.setdefault": ("the environment", _ENVIRONMENT),
    "os.environ.pop": ("the environment", _ENVIRONMENT),
    "os.environ.clear": ("the environment", _ENVIRONMENT),
    "time.tzset": ("the time zone", "use datetime with zoneinfo"),
    "locale.setlocale": (
        "the locale",
        "format with a library that takes the locale as an argument",
    ),
    "warnings.catch_warnings": ("the warning filters", _WARNINGS),
    "warnings.simplefilter": ("the warning filters", _WARNINGS),
    "warnings.filterwarnings": ("the warning filters", _WARNINGS),
    "warnings.resetwarnings": ("the warning filters", _WARNINGS),
    "contextlib.redirect_stdout": ("sys.stdout", _STREAMS),
    "contextlib.redirect_stderr": ("sys.stderr", _STREAMS),
    "random.seed": ("the shared random generator", "use a random.Random(seed) of your own"),
    "numpy.random.seed": ("NumPy's shared generator", "use numpy.random.default_rng(seed)"),
    "socket.setdefaulttimeout": ("the default of all sockets", "set the timeout of each socket"),
    "gc.disable": ("the garbage collector", _COLLECTOR),
    "gc.enable": ("the garbage collector", _COLLECTOR),
    "gc.freeze": ("the garbage collector", _COLLECTOR),
    "gc.set_threshold": ("the garbage collector", _COLLECTOR),
    "signal.signal": (
        "signal handlers",
        "set handlers once at start: outside the main thread it raises ValueError",
    ),
    "signal.setitimer": ("the process's timer", "use a timeout of the call itself"),
    "signal.alarm": ("the process's timer", "use a timeout of the call itself"),
    "sys.setrecursionlimit": ("the recursion limit", "set it once at start"),
    "sys.setswitchinterval": ("the switch interval", "set it once at start"),
    "sys.settrace": ("tracing", "set it once at start"),
    "os.setuid": ("the user of the process", "start a process with user= for it"),
    "os.setgid": ("the group of the process", "start a process with group= for it"),
}
_TARGETS: dict[str, tuple[str, str]] = {
    "sys.stdout": ("sys.stdout", _STREAMS),
    "sys.stderr": ("sys.stderr", _STREAMS),
    "sys.stdin": ("sys.stdin", _STREAMS),
    "sys.argv": ("sys.argv", "pass the arguments on"),
    "tempfile.tempdir": ("where temporary files go", "pass dir= to what makes them"),
    "os.environ": ("the environment", _ENVIRONMENT),
}


def find(context: Context) -> Iterator[Sighting]:
    """Yield every change of the process's state that a task, a request or a thread comes to."""
    for function in context.running:
        if context.reach.entry(function) is None:
            continue
        for node in function.nodes:
            found = _changed(node, function, context)
            if found is None or context.regions(node, function):
                continue
            what, fix = found
            yield Sighting(
                RULE,
                "warning",
                function,
                node,
                f"{function.full_name}: {what.removeprefix('the ')}",
                f"{ast.unparse(node)[:70]} changes {what} for every thread of the process",
                fix,
            )


def _changed(node: ast.AST, function: Function, context: Context) -> tuple[str, str] | None:
    """Return what a node changes and what to do instead."""
    if isinstance(node, ast.Call):
        name = _dotted(node.func, function, context)
        # With a category alone, or None, it only tells.
        if name == "locale.setlocale" and _only_asks(node):
            return None
        return _CALLS.get(name)
    if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        name = _dotted(node.value, function, context)
        return _TARGETS[name] if name == "os.environ" else None
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return _TARGETS.get(_dotted(node, function, context))
    return None


def _only_asks(call: ast.Call) -> bool:
    """Whether ``setlocale`` is given no locale to set."""
    given = [*call.args[1:], *(one.value for one in call.keywords if one.arg == "locale")]
    return all(isinstance(one, ast.Constant) and one.value is None for one in given)


def _dotted(node: ast.expr, function: Function, context: Context) -> str:
    entity = context.project.entity(node, function, function.module)
    name = entity.dotted if isinstance(entity, External) else ""
    return name.replace("np.random", "numpy.random") if name.startswith("np.") else name
