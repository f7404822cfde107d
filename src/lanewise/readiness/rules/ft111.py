"""FT111: one object that is not made for threads, used by several."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.modules import Bound, Function, Module, enclosing_method
from lanewise.readiness.project import External, Variable
from lanewise.readiness.syntax import last_name

RULE = "FT111"
_FIX = "give each thread one of its own (threading.local), or hold one lock around what belongs together"
_FIX_ASYNC = (
    "hand it to the loop's own thread: loop.call_soon_threadsafe(...), "
    "asyncio.run_coroutine_threadsafe(...)"
)


@dataclass(frozen=True, slots=True)
class _Made:
    what: str
    methods: frozenset[str]


_CURSOR = _Made(
    "cursor", frozenset({"execute", "executemany", "fetchone", "fetchall", "fetchmany"})
)
_PACKER = _Made("stream", frozenset({"compress", "decompress", "flush"}))
_DIGEST = _Made("digest", frozenset({"update"}))
_WRITER = _Made("writer", frozenset({"writerow", "writerows"}))
_ARCHIVE = _Made("archive", frozenset({"write", "writestr", "add", "addfile", "extract"}))
_SINGLE: dict[str, _Made] = {
    "sqlite3.connect": _Made(
        "connection", frozenset({"execute", "executemany", "executescript", "commit", "rollback"})
    ),
    "zlib.compressobj": _PACKER, "zlib.decompressobj": _PACKER, "bz2.BZ2Compressor": _PACKER,
    "bz2.BZ2Decompressor": _PACKER, "lzma.LZMACompressor": _PACKER, "hmac.new": _DIGEST,
    "lzma.LZMADecompressor": _PACKER, "hashlib.new": _DIGEST, "hashlib.md5": _DIGEST,
    "hashlib.sha1": _DIGEST, "hashlib.sha256": _DIGEST, "hashlib.sha512": _DIGEST,
    "hashlib.blake2b": _DIGEST, "hashlib.blake2s": _DIGEST, "csv.writer": _WRITER,
    "csv.DictWriter": _WRITER, "zipfile.ZipFile": _ARCHIVE, "tarfile.open": _ARCHIVE,
    "xml.parsers.expat.ParserCreate": _Made("parser", frozenset({"Parse", "ParseFile"})),
}  # fmt: skip
_FILES = frozenset({"builtins.open", "io.open", "io.BytesIO", "io.StringIO", "mmap.mmap"})
_READS = frozenset({"read", "write", "readline", "readinto", "truncate"})
# Of a loop; its methods for other threads are call_soon_threadsafe() and those that use it.
_LOOPS = frozenset(
    {"asyncio.new_event_loop", "asyncio.get_event_loop", "asyncio.get_running_loop",
     "asyncio.AbstractEventLoop"}
)  # fmt: skip
_OF_LOOP = frozenset(
    {"call_soon", "call_later", "call_at", "create_task", "stop", "add_reader", "add_writer"}
)
_ASYNC: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        ("asyncio.Queue", "asyncio.LifoQueue", "asyncio.PriorityQueue"),
        frozenset({"put_nowait", "get_nowait", "task_done"}),
    ),
    "asyncio.Event": frozenset({"set", "clear"}),
    "asyncio.Future": frozenset({"set_result", "set_exception", "cancel"}),
    **dict.fromkeys(_LOOPS, _OF_LOOP),
}
_METHODS = _READS.union(*(made.methods for made in (*_SINGLE.values(), _CURSOR)))
_ON_THREADS = ("thread", "call on an executor")
# The loop runs what these are given, too.
_BY_LOOP = frozenset({"add_done_callback", "add_task", "add_job", "spawn"})
_THREADSAFE = frozenset({"call_soon_threadsafe", "run_coroutine_threadsafe"})


def find(context: Context) -> Iterator[Sighting]:
    """Yield every use of such an object by a function that others run too."""
    for function in context.running:
        for node in function.nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield from _shared(node, node.func, function, context)
                yield from _of_loop(node, node.func, function, context)


def _shared(
    call: ast.Call, func: ast.Attribute, function: Function, context: Context
) -> Iterator[Sighting]:
    """A connection, a stream or a file whose steps belong together."""
    if func.attr not in _METHODS:
        return
    what = next(
        (
            w
            for w in (
                _what(v, func, f, m, context) for v, f, m in _sources(func.value, function, context)
            )
            if w
        ),
        None,
    )
    if what is None or (what == "file" and not _seeks(func, function)):
        return
    shared = context.resolver.resolve(func.value, function)
    if shared is None or shared.is_item or not context.counts(shared, function):
        return
    if context.regions(call, function, shared):
        return
    yield Sighting(
        RULE,
        "error",
        function,
        call,
        shared.key,
        f"{ast.unparse(func.value)} is one {what} for all threads, and it has one state: what two "
        "threads do to it at once gets mixed",
        _FIX,
        shared.defined,
    )


def _what(
    value: ast.expr,
    func: ast.Attribute,
    function: Function | None,
    module: Module,
    context: Context,
) -> str | None:
    """What a value is, where the method is one that changes its state."""
    if not isinstance(value, ast.Call):
        return None
    if isinstance(value.func, ast.Attribute) and value.func.attr == "cursor":
        return _CURSOR.what if func.attr in _CURSOR.methods else None
    dotted = _dotted(value.func, function, module, context)
    if dotted in _FILES and func.attr in _READS:
        return "file"
    made = _SINGLE.get(dotted)
    if made is None or func.attr not in made.methods:
        return None
    # Without check_same_thread=False it refuses to be used by a second thread.
    if dotted == "sqlite3.connect" and not any(
        k.arg == "check_same_thread" for k in value.keywords
    ):
        return None
    return made.what


def _seeks(func: ast.Attribute, function: Function) -> bool:
    """The place is set, then read from or written to: another thread sets its own in between."""
    holder = ast.unparse(func.value)
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "seek"
        and ast.unparse(node.func.value) == holder
        for node in function.nodes
    )


def _of_loop(
    call: ast.Call, func: ast.Attribute, function: Function, context: Context
) -> Iterator[Sighting]:
    """What belongs to a loop of asyncio, used on a thread that is not the loop's."""
    if function.is_async or not any(func.attr in methods for methods in _ASYNC.values()):
        return
    if not _begins_on_thread(function, context) or _is_for_loop(function):
        return
    names = [_made_by(v, f, m, context) for v, f, m in _sources(func.value, function, context)]
    name = next((n for n in names if func.attr in _ASYNC.get(n, ())), None)
    if name is None or any(
        _made_here(v, function) for v, _, _ in _sources(func.value, function, context)
    ):
        return
    shared = context.resolver.resolve(func.value, function)
    text = ast.unparse(func.value)
    yield Sighting(
        RULE,
        "warning",
        function,
        call,
        shared.key if shared is not None else f"{function.full_name}: {text}",
        f"{text} belongs to the thread of its event loop; {func.attr}() on another thread wakes nobody "
        "up, and changes what the loop is reading",
        _FIX_ASYNC,
        None if shared is None else shared.defined,
    )


def _begins_on_thread(function: Function, context: Context) -> bool:
    """A thread starts with it, or with all who call it; further away a loop's thread may come to it."""
    given = {
        h.target for h in context.entries.hand_overs
        if h.what in _ON_THREADS and not (h.in_turn and last_name(h.node.func) in _BY_LOOP)
    }  # fmt: skip
    declared = {f for f, entry in context.entries.found.items() if entry.what == "thread"}
    begun = given | declared
    callers = [use.function for use in context.references.of(function) if use.how == "call"]
    return function in begun or (bool(callers) and all(caller in begun for caller in callers))


def _made_here(value: ast.expr, function: Function) -> bool:
    """``loop = asyncio.new_event_loop()`` on the thread that runs it."""
    return any(node is value for node in function.nodes)


def _is_for_loop(function: Function) -> bool:
    """``loop.call_soon_threadsafe(lambda: queue.put_nowait(x))`` runs on the loop's thread."""
    parent = function.module.parents.get(function.node)
    return isinstance(parent, ast.Call) and last_name(parent.func) in _THREADSAFE


def _made_by(value: ast.expr, function: Function | None, module: Module, context: Context) -> str:
    """The dotted name of what made a value, or of the class that an annotation names."""
    node = value.func if isinstance(value, ast.Call) else value
    node = node.value if isinstance(node, ast.Subscript) else node
    return _dotted(node, function, module, context)


def _dotted(node: ast.expr, function: Function | None, module: Module, context: Context) -> str:
    entity = context.project.entity(node, function, module)
    return entity.dotted if isinstance(entity, External) else ""


def _sources(
    node: ast.expr, function: Function, context: Context
) -> list[tuple[ast.expr, Function | None, Module]]:
    """What an expression may be bound to, with where that is written."""
    module = function.module
    if isinstance(node, ast.Name):
        scope: Function | None = function
        while scope is not None and (node.id not in scope.locals or node.id in scope.globals):
            scope = scope.parent
        if scope is not None:
            given = _annotation(scope, node.id)
            return _values(scope.bound.get(node.id, []), module) + (
                [(given, scope.parent, module)] if given is not None else []
            )
        entity = context.project.name(node.id, function, module)
        return _of_global(entity, context) if isinstance(entity, Variable) else []
    if not isinstance(node, ast.Attribute):
        return []
    method = enclosing_method(function)
    info = context.resolver.self_meant(node.value, function)
    if info is None:
        info = context.resolver.class_meant(node.value, function)
    if info is not None and method is not None:
        family = context.project.bases(info)
        bounds = [
            (b, c)
            for c in family
            for b in (*c.on_self.get(node.attr, []), *c.body.get(node.attr, []))
        ]
        return [found for b, c in bounds for found in _values([b], c.module)]
    entity = context.project.entity(node, function, module)
    return _of_global(entity, context) if isinstance(entity, Variable) else []


def _of_global(
    variable: Variable, context: Context
) -> list[tuple[ast.expr, Function | None, Module]]:
    later = context.project.rebound.get((variable.module.name, variable.name), [])
    return _values([*variable.bounds, *later], variable.module)


def _values(bounds: list[Bound], module: Module) -> list[tuple[ast.expr, Function | None, Module]]:
    found: list[tuple[ast.expr, Function | None, Module]] = []
    for bound in bounds:
        value: ast.expr | None = bound.value
        given = (
            _annotation(bound.function, value.id)
            if isinstance(value, ast.Name) and bound.function
            else None
        )
        value = given or value
        if value is not None and not bound.entered:
            found.append((value, bound.function, module))
    return found


def _annotation(function: Function, name: str) -> ast.expr | None:
    if isinstance(function.node, ast.Lambda):
        return None
    arguments = function.node.args
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return next((a.annotation for a in every if a.arg == name), None)
