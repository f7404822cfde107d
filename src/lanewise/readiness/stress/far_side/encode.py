"""Values as text that can be compared between processes.

Objects are numbered as they are met, so "both got the same one" and "each got its own" read
differently, and addresses, which differ from run to run, do not matter.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

_PLAIN = (int, float, complex, str, bytes, bool, type(None), range)
_BY_NAME = (
    type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, types.MethodType,
)  # fmt: skip
_MOST_DEPTH = 6
_MOST_NODES = 2000
_LONGEST = 200


class Encoder:
    """Writes values; what it has met before is written as its number."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []  # so that no address is used twice
        self._nodes = 0

    def encode(self, value: Any, depth: int = 0) -> str:
        """Return what a value is, as text."""
        self._nodes += 1
        if type(value) in _PLAIN:
            text = repr(value)
            return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…{hash(text)}"
        if isinstance(value, _BY_NAME):
            return str(getattr(value, "__qualname__", None) or getattr(value, "__name__", "?"))
        known = self._numbers.get(id(value))
        if known is not None:
            return f"#{known}"
        number = self._numbers[id(value)] = len(self._numbers) + 1
        self._kept.append(value)
        if depth >= _MOST_DEPTH or self._nodes > _MOST_NODES:
            return f"#{number} {type(value).__name__}"
        return f"#{number} {self._inside(value, depth + 1)}"

    def _inside(self, value: Any, depth: int) -> str:
        name = type(value).__name__
        if isinstance(value, Mapping):
            pairs = (
                f"{self.encode(key, depth)}: {self.encode(item, depth)}"
                for key, item in list(value.items())
            )
            return f"{name} {{{', '.join(pairs)}}}"
        if isinstance(value, (set, frozenset)):
            return f"{name} {{{', '.join(sorted(self._each(value, depth)))}}}"
        if isinstance(value, (list, tuple, deque)):
            return f"{name} [{', '.join(self._each(value, depth))}]"
        if isinstance(value, (bytearray, memoryview)):
            return f"{name} {bytes(value)[:_LONGEST]!r}"
        return f"{name}{self._attributes(value, depth)}"

    def _attributes(self, value: Any, depth: int) -> str:
        if isinstance(value, BaseException):
            return f"({value})"
        found: dict[str, Any] = {}
        for kind in type(value).__mro__:
            slots = kind.__dict__.get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                if slot not in ("__dict__", "__weakref__") and hasattr(value, slot):
                    found[slot] = getattr(value, slot)
        attributes = getattr(value, "__dict__", None)
        if type(attributes) is dict:
            found.update(attributes)
        if not found:
            return "" if attributes is None else "()"
        return f"({', '.join(f'{name}={self.encode(one, depth)}' for name, one in found.items())})"

    def _each(self, values: Iterable[Any], depth: int) -> list[str]:
        return [self.encode(value, depth) for value in list(values)]
