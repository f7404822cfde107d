"""What it means when a value is made twice: nothing, work done twice, or two things instead of one."""

from __future__ import annotations

import ast
import re

from lanewise.readiness.kinds import words_of
from lanewise.readiness.modules import ClassInfo, Function
from lanewise.readiness.project import External, Project
from lanewise.readiness.syntax import last_name

_RESOURCE_WORDS = frozenset(
    {
        "open", "connect", "connection", "pool", "client", "thread", "session", "socket", "popen",
        "engine", "executor", "server", "channel", "producer", "consumer", "lock", "mkdtemp",
        "mkstemp", "mmap", "tempfile", "uuid1", "uuid4", "urandom",
    }
)  # fmt: skip
_MAKERS = frozenset(
    {"create", "make", "new", "start", "build", "spawn", "launch", "open", "connect"}
)
# Methods of classes that stand for their constructor.
_ALTERNATIVES = frozenset({"load", "create", "new", "build", "open", "connect", "start", "init"})
_LOOKS = frozenset({"get", "is", "has", "find", "close", "check"})
# Values, not identities: two of them are as good as one.
_VALUE_CLASSES = frozenset(
    {
        "Path", "PurePath", "PosixPath", "Decimal", "Fraction", "UUID", "Version", "SpecifierSet",
        "ZoneInfo", "URL", "Template", "Struct", "Flag", "IntEnum", "TypeVar", "NewType", "Signature",
        "ForwardRef", "Q", "F", "Literal", "Union", "Optional", "Namespace", "Exception",
    }
)  # fmt: skip
_PURE_CALLS = frozenset(
    {
        "abs", "bool", "bytes", "chr", "complex", "divmod", "float", "format", "frozenset", "getattr",
        "hash", "hex", "id", "int", "isinstance", "issubclass", "len", "max", "min", "oct", "ord",
        "pow", "range", "repr", "round", "sorted", "str", "sum", "tuple", "type", "all", "any",
        "compile", "intern", "join", "split", "lower", "upper", "strip", "replace", "encode", "decode",
        "format_map", "startswith", "endswith", "partition", "rpartition", "signature", "get",
        "getmro", "get_type_hints", "import_module", "dirname", "abspath", "realpath", "sub",
    }
)  # fmt: skip
# What a second time can be told from the first.
_EFFECTS = frozenset(
    {
        "execute", "executemany", "commit", "send", "sendall", "post", "put", "publish", "write",
        "insert", "save", "delete", "unlink", "mkdir", "makedirs", "remove", "Popen", "check_call",
        "charge", "enqueue", "submit", "start",
    }
)  # fmt: skip
# What comes from outside may differ from one time to the next.
_ASKS = frozenset(
    {
        "fetch", "download", "query", "urlopen", "request", "load", "read", "fetchone", "fetchall",
        "getaddrinfo", "gethostbyname", "check_output", "recv",
    }
)  # fmt: skip
_FAR = ("requests.", "httpx.", "urllib.request.")
_REFERENCES = frozenset({"weakref.ref", "weakref.proxy", "weakref.ReferenceType"})
_CLASS_NAME = re.compile(r"^_*[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*$")
_EMPTY = frozenset({"dict", "list", "set", "defaultdict", "OrderedDict", "deque", "Counter", "bytearray",
                    "WeakKeyDictionary", "WeakValueDictionary", "WeakSet"})  # fmt: skip
_MOST_STEPS = 4


class Values:
    """Judges what is stored."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def identity(self, node: ast.expr | None, function: Function, steps: int = 0) -> str | None:
        """Say what of its own a value has (``a new Client``), or None where two are as good as one."""
        if node is None or steps > _MOST_STEPS:
            return None
        if isinstance(node, (ast.Await, ast.NamedExpr, ast.Starred)):
            return self.identity(node.value, function, steps + 1)
        if isinstance(node, ast.Name):
            return self._of_local(node.id, function, steps)
        if isinstance(node, ast.Call):
            return self._of_call(node, function, steps)
        parts = _parts(node)
        if parts:
            found = (self.identity(part, function, steps + 1) for part in parts)
            return next((identity for identity in found if identity), None)
        empty = isinstance(node, ast.List) and not node.elts
        empty = empty or (isinstance(node, ast.Dict) and not node.keys)
        return f"a new empty {type(node).__name__.lower()}" if empty else None

    def _of_local(self, name: str, function: Function, steps: int) -> str | None:
        if name in function.globals:
            return None
        for bound in function.bound.get(name, []):
            found = self.identity(bound.value, function, steps + 1)
            if found is not None:
                return found
        return None

    def _of_call(self, node: ast.Call, function: Function, steps: int) -> str | None:
        name = last_name(node.func)
        entity = self._project.entity(node.func, function, function.module)
        if isinstance(entity, ClassInfo):
            return None if self._is_value_class(entity) else f"a new {entity.name}"
        if isinstance(entity, Function):
            return self._of_function(entity, steps)
        if name in ("__new__", "__call__") or self._is_own_class(node.func):
            return "a new instance"
        if name in _EMPTY and not node.args and not node.keywords:
            return f"a new empty {name}"
        if isinstance(entity, External):
            return self._of_external(entity.dotted, node, function, steps)
        return self._by_name(node, name)

    def _of_external(
        self, dotted: str, node: ast.Call, function: Function, steps: int
    ) -> str | None:
        name = dotted.rpartition(".")[2]
        if dotted in _REFERENCES and node.args:
            return self.identity(node.args[0], function, steps + 1)
        if dotted.startswith("builtins."):
            return {"open": "an open file", "object": "a new object"}.get(name)
        return self._by_name(node, last_name(node.func))

    def _by_name(self, node: ast.Call, name: str) -> str | None:
        if isinstance(node.func, ast.Attribute) and (
            name.startswith("from_") or name in _ALTERNATIVES
        ):
            maker = last_name(node.func.value)  # Redis.from_url() and Model.load() make one
            name = maker if _CLASS_NAME.match(maker) else name
        return self._of_name(name)

    def _of_name(self, name: str) -> str | None:
        """What is outside the project is judged by its name."""
        if _CLASS_NAME.match(name):
            return None if self._is_value_name(name) else f"a new {name}"
        words = words_of(name)
        makes = (
            bool(words)
            and words[0] not in _LOOKS
            and (words[0] in _MAKERS or words[-1] in _RESOURCE_WORDS)
        )
        return f"what {name}() makes" if makes else None

    def _of_function(self, called: Function, steps: int) -> str | None:
        """A function of the project makes what it returns."""
        if steps > _MOST_STEPS or isinstance(called.node, ast.Lambda):
            return None
        if called.is_generator:
            return None
        for node in called.nodes:
            if isinstance(node, ast.Return) and node.value is not None:
                found = self.identity(node.value, called, steps + 2)
                if found is not None:
                    return found
        words = words_of(called.name)
        makes = bool(words) and words[0] in _MAKERS and words[-1] in _RESOURCE_WORDS
        return f"what {called.name}() makes" if makes else None

    def effect(self, node: ast.expr | None, function: Function) -> str | None:
        """Name the function of the project that makes a value and does something else as well."""
        if isinstance(node, ast.Name) and node.id in function.bound:
            values = [bound.value for bound in function.bound[node.id]]
            return next(
                (e for v in values if v is not node and (e := self._effect_of(v, function))), None
            )
        return self._effect_of(node, function)

    def _effect_of(self, node: ast.expr | None, function: Function) -> str | None:
        if isinstance(node, ast.Await):
            node = node.value
        if not isinstance(node, ast.Call):
            return None
        called = self._project.entity(node.func, function, function.module)
        if not isinstance(called, Function):
            return None
        writes = any(name in called.bound for name in called.globals)
        calls = any(
            isinstance(inner, ast.Call) and last_name(inner.func) in _EFFECTS
            for inner in called.nodes
        )
        return called.name if writes or calls else None

    @staticmethod
    def _is_far(func: ast.expr, called: object) -> bool:
        """By its name, by the library, or as a query of a model of Django."""
        if isinstance(called, External) and called.dotted.startswith(_FAR):
            return True
        words = words_of(last_name(func))
        by_name = bool(words) and words[0] in _ASKS and not isinstance(called, Function)
        return by_name or ".objects." in ast.unparse(func)

    def asks(self, node: ast.expr | None, function: Function, steps: int = 0) -> str | None:
        """Name the call of a value that asks a file, a database or another machine."""
        if node is None or steps > 1:
            return None
        values = [node]
        if isinstance(node, ast.Name) and node.id not in function.globals:
            values = [b.value for b in function.bound.get(node.id, []) if b.value is not None]
        awaited = next((v for v in values if isinstance(v, ast.Await)), None)
        if awaited is not None:
            return last_name(awaited.value) or "await"
        for call in (n for value in values for n in ast.walk(value) if isinstance(n, ast.Call)):
            called = self._project.entity(call.func, function, function.module)
            if self._is_far(call.func, called):
                return last_name(call.func)
            if isinstance(called, Function):
                returned = [n.value for n in called.nodes if isinstance(n, ast.Return)]
                found = next((a for r in returned if (a := self.asks(r, called, steps + 1))), None)
                if found is not None:
                    return found
        return None

    @staticmethod
    def _is_own_class(node: ast.expr) -> bool:
        """``cls()``, in the class's own methods and in decorators that get the class."""
        return isinstance(node, ast.Name) and node.id in ("cls", "klass", "class_")

    @staticmethod
    def _is_value_name(name: str) -> bool:
        return name in _VALUE_CLASSES or name.endswith(("Error", "Exception", "Warning"))

    def _is_value_class(self, info: ClassInfo) -> bool:
        bases = {base.rpartition(".")[2] for base in self._project.base_names(info)}
        if bases & {"Enum", "IntEnum", "StrEnum", "NamedTuple", "tuple", "str", "int", "frozenset"}:
            return True
        if self._is_value_name(info.name) or any(self._is_value_name(base) for base in bases):
            return True
        return any("frozen=True" in ast.unparse(d) for d in info.node.decorator_list)

    def is_pure(self, node: ast.expr | None, function: Function, steps: int = 0) -> bool:
        """Tell whether a value is the same whoever computes it, as far as the text shows."""
        if node is None or steps > _MOST_STEPS:
            return False
        if isinstance(node, ast.Name):
            bounds = function.bound.get(node.id, [])
            return all(
                b.value is not None and self.is_pure(b.value, function, steps + 1) for b in bounds
            )
        return all(
            not isinstance(inner, (ast.Await, ast.Yield, ast.YieldFrom))
            and (not isinstance(inner, ast.Call) or last_name(inner.func) in _PURE_CALLS)
            for inner in ast.walk(node)
        )


def _parts(node: ast.expr) -> list[ast.expr]:
    """Return what a value may be, or consists of: ``a or b``, ``(expires, client)``."""
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    if isinstance(node, ast.BoolOp):
        return node.values
    return node.elts if isinstance(node, ast.Tuple) else []
