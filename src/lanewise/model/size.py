"""How large the arguments of a call are, at a cost that does not grow with them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

# Items looked at in one container, and how deep. The estimate is made on every routed call, so it
# must cost microseconds; records of one kind are of similar size, so a few stand for all.
_SAMPLED_ITEMS = 8
_MAX_DEPTH = 3
# What pickle spends on a number or on an object's frame, roughly; only the order matters.
_SCALAR_BYTES = 8
# Of these nothing else needs to be asked, which takes microseconds.
_SCALARS = frozenset((int, float, bool, type(None), complex))


def arguments_bytes(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """Return the approximate bytes of a call's arguments.

    Exact for bytes-like objects, strings of ASCII and buffers with ``nbytes``; containers are
    estimated from their first items.
    """
    if len(args) == 1 and not kwargs:  # most calls; the rest of this costs as much as a short one
        kind = type(args[0])
        if kind is bytes or kind is str:
            return len(args[0])
        return _SCALAR_BYTES if kind in _SCALARS else round(_value_bytes(args[0]))
    return round(sum(map(_value_bytes, args)) + sum(map(_value_bytes, kwargs.values())))


def _value_bytes(value: Any, depth: int = 0) -> float:
    if type(value) in _SCALARS or isinstance(value, (bytes, bytearray, str)):
        return _SCALAR_BYTES if type(value) in _SCALARS else len(value)
    nbytes = _buffer_bytes(value)
    if nbytes is not None:
        return nbytes
    if depth >= _MAX_DEPTH:
        return _SCALAR_BYTES
    if isinstance(value, Mapping):
        return _sampled(value.items(), len(value), depth)
    if isinstance(value, (list, tuple, set, frozenset)):
        return _sampled(value, len(value), depth)
    fields = _fields(value)
    return _sampled(fields, len(fields), depth) if fields else _SCALAR_BYTES


def _buffer_bytes(value: Any) -> int | None:
    """The bytes of an array or another buffer, None for what is neither."""
    nbytes = getattr(value, "nbytes", None)
    if isinstance(nbytes, int):
        return nbytes
    try:
        with memoryview(value) as view:
            return view.nbytes
    except TypeError:
        return None


def _fields(value: Any) -> list[Any]:
    """The attributes that pickle would send along with an object."""
    if isinstance(value, type) or callable(value):
        return []
    fields = list(getattr(value, "__dict__", {}).values())
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        own = (name for name in names if name not in ("__dict__", "__weakref__"))
        fields += [getattr(value, name) for name in own if hasattr(value, name)]
    return fields


def _sampled(items: Iterable[Any], count: int, depth: int) -> float:
    if count == 0:
        return 0
    seen = list(itertools.islice(items, _SAMPLED_ITEMS))
    return count * sum(_value_bytes(item, depth + 1) for item in seen) / len(seen)
