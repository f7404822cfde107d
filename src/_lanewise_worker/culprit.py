"""Which part of a value cannot be pickled, where it is, and what to do about it.

Only asked after pickling has failed, so it may take its time, within bounds.
"""

from __future__ import annotations

import copyreg
import functools
import pickle
import time
import types
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

_MAX_S = 1.0
# How many parts of one object are looked at together.
_BATCH = 10_000
# A path that is longer helps nobody; also what ends the search in a structure without an end.
_MAX_DEPTH = 40
# How deep an endless recursion of the user's own __reduce__ is looked for.
_MAX_DEPTH_OF_ERROR = 10
_MAX_KEY_LETTERS = 60

# They pickle whatever they hold, and are most of what large values consist of.
_PLAIN = frozenset({int, float, bool, str, bytes, type(None)})
_EVALUABLE = frozenset({int, bool, str, bytes, type(None)})

# How a part is reached: a function of the whole's path and a key, and that key.
_Part = tuple[Callable[[str, Any], str], Any, Any]


class Culprit(NamedTuple):
    """The deepest part that cannot be pickled.

    Attributes:
        path: How it is reached, as an expression: ``args[0].client._lock``.
        kind: What it is, in words: ``a _thread.lock``, ``a lambda``.
        reason: What pickle said.
        hint: How to mend it, in one sentence.
    """

    path: str
    kind: str
    reason: str
    hint: str


def find_culprit(value: Any, name: str) -> Culprit | None:
    """Return the deepest part of a value that cannot be pickled.

    Bounded in time: where a value is too large to be searched in a second, what was found until then
    is returned.

    Args:
        value: What could not be pickled.
        name: What the paths begin with.

    Returns:
        The part; None where the whole value pickles, or where that could not be seen in time. Whatever
        objects do when they are pickled, nothing is raised, but for KeyboardInterrupt.
    """
    search = _Search()
    reason = search.trouble(value)
    if reason is None:
        return None
    deep = reason.startswith("RecursionError")
    path, part, why = name, value, reason
    for _ in range(_MAX_DEPTH_OF_ERROR if deep else _MAX_DEPTH):
        found = search.first_bad_part(part)
        if found is None:
            deep = deep and search.is_over
            break
        (suffix, key, part), why = found
        path = suffix(path, key)
    if deep:  # no end in sight, so it is the depth and nothing that lies there
        return Culprit(name, *nested_too_deeply(value, reason))
    kind, hint = kind_and_hint(part)
    return Culprit(path, kind, why, hint)


def describe_culprit(found: Culprit) -> str:
    """Say it in two sentences."""
    return f"{found.path} is {found.kind}, which cannot leave its process: {found.reason}. {found.hint}"


class _OutOfTimeError(Exception):
    """The search took too long."""


class _Nowhere:
    """Takes a pickle and forgets it; ends one that takes too long."""

    def __init__(self, stop_at: float) -> None:
        self._stop_at = stop_at

    def write(self, data: Any) -> int:
        if time.monotonic() > self._stop_at:
            raise _OutOfTimeError
        return len(data)


class _Probe(pickle.Pickler):
    """Pickles to nowhere and takes what is on the path already for granted.

    So that a part which merely refers back to its owner, as children do to parents, is not blamed for
    what the owner has elsewhere.
    """

    def __init__(self, nowhere: _Nowhere, owners: dict[int, Any]) -> None:
        super().__init__(nowhere, 5, buffer_callback=_leave_out)
        self._owners = owners

    def persistent_id(self, obj: Any) -> Any:
        return True if id(obj) in self._owners else None


def _leave_out(_buffer: Any) -> bool:
    """Say that a buffer goes beside the pickle, so that it is not copied."""
    return False


class _Search:
    """One search. Owner: the thread that makes it."""

    def __init__(self) -> None:
        self._stop_at = time.monotonic() + _MAX_S
        # Objects by identity, which holds only while they are referred to.
        self._owners: dict[int, Any] = {}

    @property
    def is_over(self) -> bool:
        """Whether the time is."""
        return time.monotonic() > self._stop_at

    def trouble(self, value: Any) -> str | None:
        """What pickle says against a value, or None.

        Raises:
            KeyboardInterrupt: The user wants to stop.
        """
        nowhere = _Nowhere(self._stop_at)
        try:
            if self._owners:
                _Probe(nowhere, self._owners).dump(value)
            else:  # much faster without a question for each object
                pickle.Pickler(nowhere, 5, buffer_callback=_leave_out).dump(value)
        except (KeyboardInterrupt, _OutOfTimeError) as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return None
        except BaseException as error:  # noqa: BLE001 - because: __reduce__ may raise anything
            return _reason(error)
        return None

    def first_bad_part(self, value: Any) -> tuple[_Part, str] | None:
        """Return the part of a value that pickle fails at, with what it says."""
        self._owners[id(value)] = value
        for parts in self._batches(value):
            if self.trouble([part for _, _, part in parts]) is not None:
                return self._first_bad(parts)
        return None

    def _first_bad(self, parts: list[_Part]) -> tuple[_Part, str] | None:
        # By halves, so that one part among n costs as much as to pickle all of them twice.
        first, end = 0, len(parts)
        while end - first > 1:
            middle = (first + end) // 2
            if self.trouble([part for _, _, part in parts[first:middle]]) is None:
                first = middle
            else:
                end = middle
        reason = self.trouble(parts[first][2])
        return None if reason is None else (parts[first], reason)

    def _batches(self, value: Any) -> Iterator[list[_Part]]:
        """The parts that may be to blame; those that were reached before something failed."""
        parts = _Guarded(_parts(value, self.trouble))
        while not self.is_over:
            batch = list(islice(parts, _BATCH))
            if not batch:
                return
            yield [
                part
                for part in batch
                if type(part[2]) not in _PLAIN and id(part[2]) not in self._owners
            ]


class _Guarded:
    """An iterator over parts that ends where the user's code raises, which may be anything."""

    def __init__(self, parts: Iterator[_Part]) -> None:
        self._parts = parts

    def __iter__(self) -> _Guarded:
        return self

    def __next__(self) -> _Part:
        try:
            return next(self._parts)
        except (StopIteration, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise StopIteration from error


def _reason(error: BaseException) -> str:
    kind = type(error)
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - because: it is the user's
        text = "(no message)"
    plain = kind in (TypeError, pickle.PicklingError) or text.startswith(("Can't ", "cannot "))
    return text if plain and text else f"{kind.__qualname__}: {text}".removesuffix(": ")


# --- what pickle would look into ------------------------------------------------------------------


def _parts(value: Any, trouble: Callable[[Any], str | None]) -> Iterator[_Part]:
    """Yield the parts. Kinds are told by type(), since ``__class__`` may be the user's code."""
    kind = type(value)
    if kind is dict:
        yield from _pairs(value.items())
    elif kind in (list, tuple):
        yield from ((_at, index, one) for index, one in enumerate(value))
    elif kind in (set, frozenset):
        yield from _elements(value)
    elif kind in (types.MethodType, types.BuiltinMethodType):
        yield _attribute, "__self__", value.__self__
    elif issubclass(kind, functools.partial):
        yield _attribute, "func", value.func
        yield from ((_in("args"), index, one) for index, one in enumerate(value.args))
        yield from ((_in("keywords"), name, one) for name, one in value.keywords.items())
        yield from _attributes(value)
    elif not issubclass(kind, (type, types.FunctionType, types.ModuleType)):
        yield from _parts_of_object(value, trouble)


def _parts_of_object(value: Any, trouble: Callable[[Any], str | None]) -> Iterator[_Part]:
    """What an object's reduction names."""
    kind = type(value)
    special = copyreg.dispatch_table.get(kind)
    reduced = value.__reduce_ex__(5) if special is None else special(value)
    if not isinstance(reduced, tuple):
        return
    make, args, state, items, pairs, setter = (*reduced, None, None, None, None)[:6]
    built_from: tuple[Any, ...] = (make, *(args or ()))
    if any(part is kind for part in built_from) and trouble(kind) is not None:
        return  # its class is to blame, so it is itself: naming an argument of __reduce_ex__ helps nobody
    yield from _inherited(value)
    own = {id(one): name for _, name, one in _attributes(value)}
    for index, one in enumerate(args or ()):
        yield _named(own, one, _in("__reduce_ex__(5)[1]"), index)
    yield _named(own, make, _in("__reduce_ex__(5)"), 0)
    yield from _state(value, state, own)
    yield from ((_at, index, one) for index, one in enumerate(items or ()))
    yield from _pairs(pairs or ())
    yield _in("__reduce_ex__(5)"), 5, setter


def _inherited(value: Any) -> Iterator[_Part]:
    """What an object has as a tuple, a set or an exception."""
    kind = type(value)
    if issubclass(kind, tuple):
        names = getattr(kind, "_fields", ())
        for index, one in enumerate(tuple.__iter__(value)):
            yield (_attribute, names[index], one) if index < len(names) else (_at, index, one)
    elif issubclass(kind, (set, frozenset)):
        yield from _elements(value)
    elif issubclass(kind, BaseException):
        yield from ((_in("args"), index, one) for index, one in enumerate(value.args))


def _state(value: Any, state: Any, own: dict[int, str]) -> Iterator[_Part]:
    """What ``__getstate__`` gave, under the names of attributes as far as it has attributes."""
    kind: Any = type(value)
    usual = kind.__reduce_ex__ is object.__reduce_ex__ and kind.__reduce__ is object.__reduce__
    where = "__getstate__()" if usual else "__reduce_ex__(5)[2]"
    if type(state) is tuple and len(state) == 2 and type(state[1]) is dict:  # noqa: PLR2004 - because: (__dict__, __slots__) by pickle's protocol
        for place, one in enumerate(state):
            yield from _members(one, own, f"{where}[{place}]")
    else:
        yield from _members(state, own, where)


def _members(state: Any, own: dict[int, str], where: str) -> Iterator[_Part]:
    if type(state) is dict:
        for key, one in state.items():
            yield _named(own, one, _in(where), key)
    elif type(state) in (tuple, list):
        for index, one in enumerate(state):
            yield _named(own, one, _in(where), index)
    else:
        yield _attribute, where, state


def _attributes(value: Any) -> Iterator[_Part]:
    """What stands in ``__dict__`` and ``__slots__``, without asking properties or ``__getattr__``."""
    try:
        names = object.__getattribute__(value, "__dict__")
    except AttributeError:
        names = {}
    if type(names) is dict:
        yield from ((_attribute, name, one) for name, one in names.items())
    for kind in type(value).__mro__:
        for name, member in vars(kind).items():
            if type(member) is types.MemberDescriptorType:
                try:
                    yield _attribute, name, member.__get__(value)
                except AttributeError:
                    continue  # a slot that is not set


def _elements(value: Iterable[Any]) -> Iterator[_Part]:
    return ((_in_list, index, one) for index, one in enumerate(value))


def _pairs(pairs: Iterable[tuple[Any, Any]]) -> Iterator[_Part]:
    for index, (key, one) in enumerate(pairs):
        yield _in_list, index, key
        yield _value_at, (index, key), one


# --- paths ----------------------------------------------------------------------------------------


def _named(own: dict[int, str], one: Any, otherwise: Callable[[str, Any], str], key: Any) -> _Part:
    """Name a part after the attribute that it is, so that a path reads like what the user wrote."""
    name = own.get(id(one), "")
    return (_attribute, name, one) if name.isidentifier() else (otherwise, key, one)


def _at(path: str, key: Any) -> str:
    return f"{path}[{_short(key)}]"


def _attribute(path: str, name: Any) -> str:
    return f"{path}.{name}"


def _in(attribute: str) -> Callable[[str, Any], str]:
    return lambda path, key: f"{path}.{attribute}[{_short(key)}]"


def _in_list(path: str, index: Any) -> str:
    return f"list({path})[{index}]"


def _value_at(path: str, key: Any) -> str:
    """By its key if that can be written down, else by its place."""
    index, key = key
    letters = _short(key) if type(key) in _EVALUABLE else "..."
    return f"list({path}.values())[{index}]" if letters.endswith("...") else f"{path}[{letters}]"


def _short(key: Any) -> str:
    try:
        text = repr(key)
    except Exception:  # noqa: BLE001 - because: it is the user's
        return "..."
    return text if len(text) <= _MAX_KEY_LETTERS else f"{text[: _MAX_KEY_LETTERS - 3]}..."


# --- words --------------------------------------------------------------------------------------

_LOCK = (
    "Keep locks out of what crosses, e.g. with a __getstate__ without them, and make new ones there"
)
_FILE = "Send the path and open the file where it is used"
_CONNECTION = (
    "Open the connection where it is used: workers keep the globals of modules between calls"
)
_LIST = "Make a list of it, or send what it is made from"
_PLACE = "Move it to the top of an importable module"

# By words in the name of a type, the first that fits.
_HINTS = {
    "textiowrapper": _FILE,
    "fileio": _FILE,
    "bufferedreader": _FILE,
    "bufferedwriter": _FILE,
    "bufferedrandom": _FILE,
    "lock": _LOCK,
    "condition": _LOCK,
    "semaphore": _LOCK,
    "thread": "Start threads where they are needed; a thread belongs to its process",
    "async_generator": _LIST,
    "generator": _LIST,
    "coroutine": "Await it here and send the result",
    "future": "Await it here and send the result",
    "asyncio": "Keep what belongs to an event loop on this side",
    "dict_": _LIST,
    "mappingproxy": "Send dict(...) of it",
    "memoryview": "Send bytes(...) of it, or the object that it is a view of",
    "weakref": "Send the object itself, or leave the reference out with a __getstate__",
    "weakkey": "Send a plain dict of it",
    "weakvalue": "Send a plain dict of it",
    "contextvar": "Send the value: workers find context variables by their module and name",
    "socket": _CONNECTION,
    "connection": _CONNECTION,
    "cursor": _CONNECTION,
    "session": _CONNECTION,
    "re.match": "Send what is needed of it, e.g. .groups()",
    "frame": "Send what is needed of it as text",
    "traceback": "Send what is needed of it as text",
    "code": "Send the source, or the function by its name",
}


def kind_and_hint(value: Any) -> tuple[str, str]:
    """Say in words what a value is, and in a sentence what to do about it. Never raises."""
    try:
        return _told(value)
    except Exception:  # noqa: BLE001 - because: names of types may be the user's code
        return "an object", "Send plain values instead"


def nested_too_deeply(value: Any, reason: str) -> tuple[str, str, str]:
    """Return kind, reason and hint for a value that has too many levels."""
    kind, _ = kind_and_hint(value)
    return (
        f"{kind} with too many levels",
        reason,
        "Send a flatter structure, e.g. a list of nodes that name each other by their place",
    )


def _told(value: Any) -> tuple[str, str]:
    kind = type(value)
    if issubclass(kind, types.FunctionType):
        return _function_told(value)
    if issubclass(kind, types.MethodType):
        return f"the method {value.__qualname__}", "Make it a function at the top of a module"
    if issubclass(kind, types.ModuleType):
        return "a module", "Import the module inside the function"
    if issubclass(kind, type):
        return _class_told(value)
    return _instance_told(kind)


def _instance_told(kind: type) -> tuple[str, str]:
    if "<locals>" in kind.__qualname__:
        return f"an instance of {_class_told(kind)[0]}", _PLACE.replace("it", "its class", 1)
    name = f"{kind.__module__}.{kind.__qualname__}"
    lowered = name.lower()
    hint = next((hint for word, hint in _HINTS.items() if word in lowered), "")
    if hint is _FILE:
        return "an open file", hint
    if kind in (list, tuple, dict, set, frozenset):
        hint = "Something in it cannot be pickled; it is too large to say what"
    words = name.removeprefix("builtins.")
    article = "an" if words[:1].lower() in "aeiou" else "a"
    return f"{article} {words}", hint or (
        "Send plain values instead, or give its class a __reduce__; or run the task on threads"
    )


def _class_told(kind: type) -> tuple[str, str]:
    outer, local, _ = kind.__qualname__.rpartition(".<locals>")
    if local:
        return f"a class defined inside {outer.replace('.<locals>', '')}()", _PLACE
    return (
        f"the class {kind.__module__}.{kind.__qualname__}, which that name does not stand for",
        "Bind the class to the name that it says it has",
    )


def _function_told(value: types.FunctionType) -> tuple[str, str]:
    if value.__name__ == "<lambda>":
        return "a lambda", "Define it with def at the top of an importable module"
    outer, local, _ = value.__qualname__.rpartition(".<locals>")
    if local:
        return f"a function defined inside {outer.replace('.<locals>', '')}()", _PLACE
    return (
        f"the function {value.__module__}.{value.__qualname__}, which that name does not stand for",
        "A decorator may have replaced it: send the decorated one, or use functools.wraps in it",
    )
