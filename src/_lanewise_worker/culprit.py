"""Which part of a value cannot be pickled, where it is, and what to do about it."""

from __future__ import annotations

import pickle
import time
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

_MAX_STEPS = 5_000
_MAX_S = 1.0
_MAX_DEPTH = 40


class Culprit(NamedTuple):
    """The deepest part that cannot be pickled.

    Attributes:
        path: How it is reached, as an expression: ``args[0].client._lock``.
        kind: What it is, in words.
        reason: What pickle said.
        hint: How to mend it.
    """

    path: str
    kind: str
    reason: str
    hint: str


def find_culprit(value: Any, name: str) -> Culprit | None:
    """Return the deepest part of a value that cannot be pickled, None where all can. Never raises.

    Bounded in time: where a value is too large to be searched, what was found until then is returned.
    """
    reason = _trouble(value)
    if reason is None:
        return None
    stop_at = time.monotonic() + _MAX_S
    path, steps, seen = name, 0, {id(value)}
    for _ in range(_MAX_DEPTH):
        found = None
        for part_path, part in _parts(value, path):
            steps += 1
            if steps > _MAX_STEPS or time.monotonic() > stop_at:
                break
            if id(part) not in seen:
                why = _trouble(part)
                if why is not None:
                    found = part_path, part, why
                    break
        if found is None:
            break
        path, value, reason = found
        seen.add(id(value))
    kind, hint = _told(value)
    return Culprit(path, kind, reason, hint)


def describe_culprit(found: Culprit) -> str:
    """Say it in a sentence or two."""
    return f"{found.path} is {found.kind}, which cannot leave its process ({found.reason}). {found.hint}"


class _Nowhere:
    """Takes a pickle and forgets it."""

    def write(self, data: Any) -> int:
        return len(data)


def _trouble(value: Any) -> str | None:
    """What pickle says against a value, or None. Buffers are not copied for it."""
    try:
        pickle.Pickler(_Nowhere(), 5, buffer_callback=_leave_out).dump(value)
    except BaseException as error:  # noqa: BLE001 - because: __reduce__ may raise anything
        return f"{type(error).__name__}: {_text(error)}"
    return None


def _leave_out(_buffer: Any) -> bool:
    return False


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - because: it is the user's
        return "(no message)"


def _parts(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield what pickle would look into, each with its path."""
    try:
        yield from _parts_of_kind(value, path)
    except Exception:  # noqa: BLE001 - because: the user's __reduce__, properties and iterators
        return


def _parts_of_kind(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and type(value).__reduce_ex__ is object.__reduce_ex__:
        for key in list(value):
            yield f"{path}[{_short(key)}]", value[key]
            yield f"the key {_short(key)} of {path}", key
    if type(value) in (list, tuple):
        for index, one in enumerate(value):
            yield f"{path}[{index}]", one
    elif type(value) in (set, frozenset):
        for one in value:
            yield f"an element of {path}", one
    elif isinstance(value, types.MethodType):
        yield f"{path}.__self__", value.__self__
        yield f"{path}.__func__", value.__func__
    elif type(value) is not dict and not isinstance(value, (type, types.FunctionType)):
        yield from _parts_of_object(value, path)


def _parts_of_object(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """What an object's own reduction names: state first, for that is where attributes are."""
    reduced = value.__reduce_ex__(5)
    if not isinstance(reduced, tuple):
        return
    _, args, state, items, pairs = (*reduced, None, None, None)[:5]
    own = getattr(value, "__dict__", {})
    if isinstance(state, tuple) and len(state) == 2:  # noqa: PLR2004 - because: (__dict__, __slots__) by the protocol
        states = [one for one in state if isinstance(one, dict)]
    else:
        states = [state] if isinstance(state, dict) else []
    for attributes in states:
        for name, one in attributes.items():
            yield f"{path}.{name}", one
    if state is not None and not states:
        yield f"{path}.__getstate__()", state
    for index, one in enumerate(items or ()):
        yield f"{path}[{index}]", one
    for key, one in pairs or ():
        yield f"{path}[{_short(key)}]", one
    for index, one in enumerate(args or ()):
        known = [name for name, attribute in own.items() if attribute is one]
        yield f"{path}.{known[0]}" if known else f"{path}.__reduce_ex__(5)[1][{index}]", one


def _short(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - because: fits into a message


_HINTS = {
    "lock": "Leave locks out of what crosses (a __getstate__ without it), and make a new one there",
    "generator": "Make a list of it, or send what it is made from",
    "file": "Send the path and open the file where it is used",
    "socket": "Open the connection where it is used; workers keep module globals between calls",
    "module": "Import the module inside the function",
    "coroutine": "Await it here and send the result",
    "textiowrapper": "Send the path and open the file where it is used",
    "buffered": "Send the path and open the file where it is used",
    "connection": "Open the connection where it is used; workers keep module globals between calls",
}


def _told(value: Any) -> tuple[str, str]:
    """What a value is, and what to do about it."""
    if isinstance(value, types.FunctionType):
        return _function_told(value)
    if isinstance(value, type):
        return f"the class {value.__qualname__}", "Define it at the top of an importable module"
    kind = type(value)
    if "<locals>" in kind.__qualname__:
        return f"an instance of {kind.__qualname__}", "Define its class at the top of a module"
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    lowered = name.lower()
    hint = "Send plain values instead, or give it a __reduce__; or pin the task to threads"
    for word, special in _HINTS.items():
        if word in lowered:
            hint = special
            break
    return f"a {name}", hint


def _function_told(value: types.FunctionType) -> tuple[str, str]:
    if value.__name__ == "<lambda>":
        return "a lambda", "Define it with def at the top of a module"
    if "<locals>" in value.__qualname__:
        outer = value.__qualname__.partition(".<locals>")[0]
        return f"a function defined inside {outer}()", "Move it to the top of its module"
    return (
        f"the function {value.__module__}.{value.__qualname__}, which that name does not stand for",
        "A decorator may have replaced it: give the decorated name, or use functools.wraps in it",
    )
