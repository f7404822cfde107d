"""What a name is bound to, as far as threads are concerned."""

from __future__ import annotations

import re
from enum import Enum

from lanewise.readiness.modules import ClassInfo


class Kind(Enum):
    """What is shared, or is not."""

    CONTAINER = "container"
    NUMBER = "number"
    NONE = "None"
    CONSTANT = "constant"
    LOCK = "lock"
    LOCAL = "thread-local"
    CONTEXT_VAR = "context variable"
    EXACT_COUNTER = "counter"
    ITERATOR = "iterator"
    GENERATOR = "generator"
    INSTANCE = "instance"
    QUEUE = "queue"
    OTHER = "other"


NEVER_SHARED = frozenset({Kind.LOCK, Kind.LOCAL, Kind.CONTEXT_VAR, Kind.QUEUE, Kind.EXACT_COUNTER})
"""Made for threads: what is done with them is no hazard of ours."""

_THREADING_LOCKS = ("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore")
_LOCK_MODULES = (
    "threading",
    "multiprocessing",
    "asyncio",
    "anyio",
    "trio",
    "filelock",
    "fasteners",
)
_ITERATORS = (
    "iter", "map", "filter", "zip", "enumerate", "reversed",
)  # fmt: skip
_OUTSIDE_ITERATORS = (
    "csv.reader", "csv.DictReader", "re.finditer", "os.scandir", "glob.iglob", "builtins.open",
    "io.open", "gzip.open", "bz2.open", "lzma.open", "codecs.open", "fileinput.input",
)  # fmt: skip
_CONTAINERS = (
    "builtins.dict", "builtins.list", "builtins.set", "builtins.bytearray",
    "collections.defaultdict", "collections.OrderedDict", "collections.Counter",
    "collections.deque", "collections.UserDict", "collections.UserList", "collections.ChainMap",
    "weakref.WeakKeyDictionary", "weakref.WeakValueDictionary", "weakref.WeakSet", "array.array",
    "types.SimpleNamespace", "builtins.dict.fromkeys", "json.load", "json.loads",
    "tomllib.load", "tomllib.loads", "yaml.safe_load", "pickle.load", "pickle.loads",
    "shelve.open", "numpy.zeros", "numpy.ones", "numpy.empty", "numpy.full", "numpy.array",
)  # fmt: skip
_LOCALS = (
    "threading.local", "_threading_local.local", "asgiref.local.Local", "werkzeug.local.Local",
    "werkzeug.local.LocalStack", "werkzeug.local.LocalProxy", "gevent.local.local",
    "eventlet.corolocal.local",
)  # fmt: skip
_QUEUES = (
    "queue.Queue", "queue.SimpleQueue", "queue.LifoQueue", "queue.PriorityQueue",
    "asyncio.Queue", "asyncio.PriorityQueue", "asyncio.LifoQueue", "multiprocessing.Queue",
    "multiprocessing.SimpleQueue", "multiprocessing.JoinableQueue", "threading.Event",
    "threading.Barrier", "asyncio.Event", "multiprocessing.Event",
)  # fmt: skip
_SAFE_ITERATORS = ("serialize_iterator", "synchronized_iterator", "concurrent_tee")


def _table() -> dict[str, Kind]:
    table = {f"{m}.{name}": Kind.LOCK for m in _LOCK_MODULES for name in _THREADING_LOCKS}
    table["_thread.allocate_lock"] = Kind.LOCK
    table["filelock.FileLock"] = Kind.LOCK
    table.update({f"builtins.{name}": Kind.ITERATOR for name in _ITERATORS})
    table.update(dict.fromkeys(_OUTSIDE_ITERATORS, Kind.ITERATOR))
    table.update(dict.fromkeys(_CONTAINERS, Kind.CONTAINER))
    table.update(dict.fromkeys(_LOCALS, Kind.LOCAL))
    table.update(dict.fromkeys(_QUEUES, Kind.QUEUE))
    table["contextvars.ContextVar"] = Kind.CONTEXT_VAR
    table["itertools.count"] = Kind.EXACT_COUNTER
    return table


_BY_NAME = _table()


def kind_of_call(dotted: str) -> Kind:
    """Say what a call of something outside the project gives."""
    found = _BY_NAME.get(dotted)
    if found is not None:
        return found
    module, _, name = dotted.rpartition(".")
    if name in _SAFE_ITERATORS:
        return Kind.OTHER
    if module.partition(".")[0] == "itertools" and name != "tee":  # chain.from_iterable as well
        return Kind.ITERATOR
    return Kind.OTHER


# "block", "clock" and "second" are no locks: a word must be the lock's own.
_LOCK_WORD = re.compile(
    r"^(r|rw|w|read|write|file|thread|async|cache|db)?"
    r"(lock|locks|locked|mutex|mutexes|guard|cond|condition|sem|semaphore|cv|monitor)\d*$"
)
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")


def words_of(name: str) -> list[str]:
    """Split a name into its words, in lower case."""
    return [word.lower() for word in _WORDS.findall(name)]


def is_lock_name(name: str) -> bool:
    """Tell whether a name says that it is a lock."""
    return any(_LOCK_WORD.match(word) for word in words_of(name))


def is_lock_class(info: ClassInfo) -> bool:
    """Tell whether a class of the project behaves as a lock: acquire and release."""
    return "acquire" in info.methods and "release" in info.methods
