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


def arguments_bytes(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """Return the approximate bytes of a call's arguments.

    Exact for bytes-like objects, strings of ASCII and buffers with ``nbytes``; containers are
    estimated from their first items.
    """
    return round(sum(map(_value_bytes, args)) + sum(map(_value_bytes, kwargs.values())))


def _value_bytes(value: Any, depth: int = 0) -> float:  # noqa: PLR0911 - because: one line a kind of value
    if isinstance(value, (bytes, bytearray, str)):
        return len(value)
    nbytes = getattr(value, "nbytes", None)
    if isinstance(nbytes, int):
        return nbytes
    if depth >= _MAX_DEPTH:
        return _SCALAR_BYTES
    if isinstance(value, Mapping):
        return _sampled(value.items(), len(value), depth)
    if isinstance(value, (list, tuple, set, frozenset)):
        return _sampled(value, len(value), depth)
    fields = getattr(value, "__dict__", None)
    if isinstance(fields, dict) and fields and not isinstance(value, type) and not callable(value):
        return _sampled(fields.values(), len(fields), depth)
    return _SCALAR_BYTES


def _sampled(items: Iterable[Any], count: int, depth: int) -> float:
    if count == 0:
        return 0
    seen = list(itertools.islice(items, _SAMPLED_ITEMS))
    return count * sum(_value_bytes(item, depth + 1) for item in seen) / len(seen)
