"""What a test does when it runs alone: functions that it comes to, arguments, its own threads."""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Mapping
from types import CodeType, FrameType
from typing import Any

_VARIADIC = 0x4 | 0x8  # CO_VARARGS, CO_VARKEYWORDS
_LONGEST = 2000

Where = tuple[str, int]
"""A file and the line on which a function begins, decorators included."""


class Notes:
    """Notes calls of the functions that findings are about.

    Args:
        watched: Their places, with the dotted name under which arguments are kept.

    Threads: several may note at once; each writes whole entries, and whichever comes first stays.
    """

    def __init__(self, watched: Mapping[Where, str]) -> None:
        self._watched = watched
        self.called: dict[str, None] = {}
        self.arguments: dict[str, dict[str, str]] = {}
        self.threads = False

    def install(self) -> None:
        """Note what this thread does, and those that are started from now on."""
        original = threading.Thread.start
        notes = self

        def start(self: threading.Thread) -> None:
            notes.threads = True
            original(self)

        threading.Thread.start = start  # type: ignore[method-assign] # in a fork, which ends with the test
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    def _profile(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call":
            return
        code = frame.f_code
        name = self._watched.get((code.co_filename, code.co_firstlineno))
        if name is None:
            return
        self.called.setdefault(name)
        if name not in self.arguments:
            found = arguments_of(code, frame.f_locals)
            if found is not None:
                self.arguments.setdefault(name, found)


def arguments_of(code: CodeType, values: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the arguments of a call as literals; None where one cannot be written as such."""
    if code.co_flags & _VARIADIC:
        return None
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    positional = list(names[: code.co_argcount])
    if "." in code.co_qualname.rpartition("<locals>.")[2] and positional[:1] in (["self"], ["cls"]):
        del positional[0]
    args = tuple(values.get(name) for name in positional)
    kwargs = {name: values.get(name) for name in names[code.co_argcount :]}
    written = {"args": repr(args), "kwargs": repr(kwargs), "names": repr(positional)}
    try:
        if any(len(text) > _LONGEST for text in written.values()):
            return None
        if (
            ast.literal_eval(written["args"]) != args
            or ast.literal_eval(written["kwargs"]) != kwargs
        ):
            return None
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
    return written
