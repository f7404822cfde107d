"""Keeps the arguments of a few calls of named functions, as plain data without secrets.

Runs inside the program that is looked at, of any version from 3.11 on, and imports the standard
library alone. Where an interpreter can tell of single functions (``sys.monitoring``, 3.12) all others
cost nothing; in 3.11 every call is told of until enough was seen.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

# One call of each size is kept; sizes of one octave are one size.
_MOST_SIZES = 8
_MOST_CALLS = 200
_VARIADIC, _VARIADIC_BY_NAME = 0x04, 0x08
_ITEM_BYTES = 8
_TOOLS = (4, 3)
_DEEPEST = 50
_NAMES = re.compile(
    r"pass(word|wd|phrase)|secret|token|api_?key|auth|cookie|session|credential|private|signature"
    r"|iban|card_?n|cvc|ssn|(^|_)pin($|_)",
    re.IGNORECASE,
)
_VALUES = re.compile(
    r"\beyJ[\w-]{8,}\.|-----BEGIN|\bAKIA[0-9A-Z]{12,}|\b(bearer|basic)\s+\S{8,}|://[^/\s:@]+:[^/\s@]+@"
    r"|\b(?=[\w+/=-]*\d)(?=[\w+/=-]*[A-Za-z])[\w+/=-]{32,}",
    re.IGNORECASE,
)
_PLAIN = (type(None), bool, int, float, complex)


_Call = tuple[tuple[Any, ...], dict[str, Any]]


class Unfit(Exception):  # noqa: N818 - because: nothing failed, the call is not kept
    """Arguments that cannot be kept; the message says why."""


class Copier:
    """Copies plain data, leaves secrets out, and stops when it becomes too large.

    Args:
        limit_bytes: Of all arguments of a call.
        secrets: Keep them.
    """

    def __init__(self, limit_bytes: int, *, secrets: bool) -> None:
        self._limit, self._secrets = limit_bytes, secrets
        self.size_bytes = 0

    def copy(self, value: Any, *, hide: bool = False, depth: int = 0) -> Any:
        """Return a copy.

        Args:
            value: What is copied.
            hide: Keep its form and nothing of its content.
            depth: How far inside.

        Raises:
            Unfit: It is not plain data, or too large.
        """
        hide = hide and not self._secrets
        self._count(_ITEM_BYTES)
        if depth > _DEEPEST:
            raise Unfit(f"it is nested more than {_DEEPEST} deep")
        kind = type(value)
        if kind in _PLAIN:
            return kind() if hide and value is not None else value
        if kind in {str, bytes, bytearray}:
            return self._text(value, hide=hide)
        if kind is dict:
            return {
                self.copy(key, depth=depth + 1): self.copy(
                    one, hide=hide or _is_secret(key), depth=depth + 1
                )
                for key, one in value.items()
            }
        if kind in {list, tuple, set, frozenset}:
            return kind(self.copy(one, hide=hide, depth=depth + 1) for one in value)
        raise Unfit(f"it holds a {kind.__module__}.{kind.__qualname__}, which is not plain data")

    def _text(self, value: Any, *, hide: bool) -> Any:
        self._count(len(value))
        shown = value if isinstance(value, str) else bytes(value).decode("latin-1")
        if hide or (not self._secrets and _VALUES.search(shown)):
            return "x" * len(value) if isinstance(value, str) else type(value)(b"x" * len(value))
        return type(value)(value)

    def _count(self, size_bytes: int) -> None:
        self.size_bytes += size_bytes
        if self.size_bytes > self._limit:
            raise Unfit(f"its arguments are larger than {self._limit} bytes")


def _is_secret(name: Any) -> bool:
    return isinstance(name, str) and _NAMES.search(name) is not None


class Wanted:
    """One function whose calls are kept. Its program's threads share it; ``_lock`` guards the state."""

    def __init__(self, target: str, asked: dict[str, Any]) -> None:
        self.target = target
        self.module, _, self.qualname = target.partition(":")
        self._asked = asked
        self._lock = threading.Lock()
        self._kept: dict[int, tuple[int, tuple[Any, ...], dict[str, Any]]] = {}
        self._seen = 0
        self._unfit: dict[str, int] = {}

    @property
    def over(self) -> bool:
        """Whether enough was seen."""
        return self._seen >= _MOST_CALLS or len(self._kept) >= _MOST_SIZES

    def is_called_by(self, frame: FrameType) -> bool:
        """Whether a frame is this function's; the program's own script goes by its file's name too."""
        name = frame.f_globals.get("__name__")
        file = Path(frame.f_code.co_filename).stem
        return name == self.module or (name == "__main__" and self.module in {"__main__", file})

    def note(self, frame: FrameType) -> None:
        """Keep the arguments of a call that has just begun, if it is of a new size."""
        if self.over:
            return
        copier = Copier(self._asked["limit_bytes"], secrets=self._asked["secrets"])
        reason = ""
        try:
            call: _Call | None = _arguments(frame, copier)
        except Unfit as error:
            call, reason = None, str(error)
        except Exception as error:  # noqa: BLE001 - because: the program goes on, whatever is wrong with us
            # Its text may hold what must not be kept.
            call, reason = None, f"copying it raised {type(error).__name__}"
        # Calls that begin together are not worth waiting for, and a child that was forked meanwhile
        # would wait for ever.
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._add(call, reason, copier.size_bytes):
                self._write()
        except OSError:
            pass  # the folder is gone, or full: the program's own work goes on
        finally:
            self._lock.release()

    def _add(self, call: _Call | None, reason: str, size_bytes: int) -> bool:
        """Take a call into account; whether there is something new to write."""
        self._seen += 1
        if call is None:
            count = self._unfit[reason] = self._unfit.get(reason, 0) + 1
            return count.bit_count() == 1
        octave = int(math.log2(max(size_bytes, 1)))
        if octave in self._kept:
            return False
        self._kept[octave] = (size_bytes, *call)
        return True

    def _write(self) -> None:
        document = {
            "calls": sorted(self._kept.values(), key=lambda one: one[0]),
            "unfit": self._unfit,
        }
        name = re.sub(r"\W", "_", self.target)
        path = Path(self._asked["folder"], f"{name}.{os.getpid()}.pickle")
        partial = path.with_suffix(".partial")
        # Nobody else's business, whatever the folder's rights are.
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "wb") as opened:
            pickle.dump(document, opened, protocol=4)
        partial.replace(path)


def _arguments(frame: FrameType, copier: Copier) -> tuple[tuple[Any, ...], dict[str, Any]]:
    code, values = frame.f_code, frame.f_locals
    names = code.co_varnames
    by_place = names[: code.co_argcount]
    by_name = names[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    rest = list(names[len(by_place) + len(by_name) :])
    copied = [copier.copy(values[name], hide=_is_secret(name)) for name in by_place]
    if code.co_flags & _VARIADIC:
        copied += copier.copy(list(values[rest.pop(0)]))
    named = {name: copier.copy(values[name], hide=_is_secret(name)) for name in by_name}
    if code.co_flags & _VARIADIC_BY_NAME:
        named |= copier.copy(dict(values[rest.pop(0)]))
    return tuple(copied), named


def begin(text: str) -> None:
    """Begin to keep calls.

    Args:
        text: JSON: ``targets`` (``module:function``), ``folder``, ``limit_bytes``, ``secrets``.
    """
    asked = json.loads(text)
    wanted = [Wanted(target, asked) for target in asked["targets"]]
    if sys.version_info >= (3, 12):
        _by_monitoring(wanted)
    else:
        _by_profile(wanted)


def _by_profile(wanted: list[Wanted]) -> None:
    """Be told of every call, until enough was seen."""

    def told(frame: FrameType, event: str, _: Any) -> None:
        if all(one.over for one in wanted):
            sys.setprofile(None)
            threading.setprofile(None)
        elif event == "call":
            _note(wanted, frame)

    threading.setprofile(told)
    sys.setprofile(told)


def _note(wanted: list[Wanted], frame: FrameType) -> bool:
    """Keep a call where it is wanted; whether its function may be."""
    chosen = [one for one in wanted if one.qualname == frame.f_code.co_qualname and not one.over]
    for one in chosen:
        if one.is_called_by(frame):
            one.note(frame)
    return bool(chosen)


def _by_monitoring(wanted: list[Wanted]) -> None:
    """Be told of functions' beginnings, each function only once where it is none of those wanted."""
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
    tool = next((one for one in _TOOLS if monitoring.get_tool(one) is None), None)
    if tool is None:
        return

    def told(code: CodeType, _: int) -> Any:
        frame = sys._getframe(1)  # noqa: SLF001 - because: the call's arguments are in its frame
        if frame.f_code is code and _note(wanted, frame):
            return None
        return monitoring.DISABLE

    callback: Callable[[CodeType, int], Any] = told
    monitoring.use_tool_id(tool, "lanewise")
    monitoring.register_callback(tool, monitoring.events.PY_START, callback)
    monitoring.set_events(tool, monitoring.events.PY_START)
