"""Instructions of somebody's code: what to call them, and a call before each.

A step has a name that survives edits and other versions of Python: the function, the text of the
line, and what the instruction does to something that others may see (``store total``). Instructions
that touch locals alone have none: no other thread can tell when they run.
"""

from __future__ import annotations

import dis
import gc
import linecache
import sys
import threading
from collections.abc import Callable, Iterable
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

_NAMED = {
    "STORE_GLOBAL": "store ", "STORE_NAME": "store ", "DELETE_GLOBAL": "delete ",
    "LOAD_GLOBAL": "read ", "LOAD_NAME": "read ", "STORE_DEREF": "store ", "LOAD_DEREF": "read ",
    "STORE_ATTR": "store .", "DELETE_ATTR": "delete .", "LOAD_ATTR": "read .", "LOAD_METHOD": "read .",
}  # fmt: skip
_BARE = {
    "STORE_SUBSCR": "store []", "DELETE_SUBSCR": "delete []", "STORE_SLICE": "store []",
    "BINARY_SUBSCR": "read []", "BINARY_SLICE": "read []", "CONTAINS_OP": "look in", "CALL": "call",
    "CALL_KW": "call", "CALL_FUNCTION_EX": "call", "FOR_ITER": "next", "SEND": "next",
    "YIELD_VALUE": "yield",
}  # fmt: skip
# 5 is free: 0 to 3 have owners by convention (debugger, coverage, profiler), 6 and 7 are CPython's
# own.
_TOOL = 4


class Step(NamedTuple):
    """One instruction, named so that it is found again after an edit elsewhere."""

    of: str
    at: str
    what: str
    line: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """All but the line's number, which edits above it move."""
        return self.of, self.at, self.what


Table = dict[CodeType, dict[int, Step]]
OnStep = Callable[[Step], None]


def codes_below(roots: Iterable[str], *, wanted: Callable[[CodeType], bool]) -> list[CodeType]:
    """Return the code of every function that is alive now and whose file lies below a folder.

    An environment below the folder is not part of it.
    """
    folders = tuple(root.rstrip("/") + "/" for root in roots)
    found: dict[CodeType, None] = {}
    for thing in gc.get_objects():
        if type(thing) is FunctionType and is_below(thing.__code__.co_filename, folders):
            _with_inner(thing.__code__, found)
    return [code for code in found if wanted(code)]


def is_below(file: str, folders: tuple[str, ...]) -> bool:
    """Whether a file lies in one of some folders (that end in a slash), in no environment there."""
    return any(
        file.startswith(folder) and "site-packages" not in file[len(folder) :] for folder in folders
    )


def _with_inner(code: CodeType, found: dict[CodeType, None]) -> None:
    if code in found:
        return
    found[code] = None
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _with_inner(constant, found)


def steps_of(code: CodeType) -> dict[int, Step]:
    """Name the instructions of a function that others may notice, by their offsets."""
    found: dict[int, Step] = {}
    for instruction in dis.get_instructions(code):
        what = _what(instruction)
        positions = instruction.positions
        line = positions.lineno if positions is not None else None
        if what is None or line is None:
            continue
        text = linecache.getline(code.co_filename, line).strip()
        found[instruction.offset] = Step(code.co_qualname, text, what, line)
    return found


def _what(instruction: dis.Instruction) -> str | None:
    name = instruction.opname
    if name in _NAMED:
        # 3.12 and later fold LOAD_METHOD into LOAD_ATTR; argval stays the bare name.
        return _NAMED[name] + str(instruction.argval)
    if name == "BINARY_OP":
        return "read []" if instruction.argrepr == "[]" else "operate"
    return _BARE.get(name)


class Watch:
    """Calls back before each named step of some code, in whichever thread runs it.

    Threads: start it before the threads that it is to see.
    """

    def __init__(self, codes: Iterable[CodeType], on_step: OnStep) -> None:
        self._table: Table = {code: steps_of(code) for code in codes}
        self._on_step = on_step

    def start(self) -> None:
        """Begin to call back."""
        monitoring = getattr(sys, "monitoring", None)
        if monitoring is None:
            threading.settrace(self._traced)  # of threads that ``threading`` starts from now on
            return
        monitoring.use_tool_id(_TOOL, "lanewise")
        event = monitoring.events.INSTRUCTION
        monitoring.register_callback(_TOOL, event, self._instruction)
        for code in self._table:
            monitoring.set_local_events(_TOOL, code, event)

    def join(self) -> None:
        """Watch the calling thread too, where threads have to be watched one by one."""
        if not hasattr(sys, "monitoring"):
            sys.settrace(self._traced)

    def _instruction(self, code: CodeType, offset: int) -> None:
        steps = self._table.get(code)
        step = None if steps is None else steps.get(offset)
        if step is not None:
            self._on_step(step)

    def _traced(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        if frame.f_code not in self._table:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._opcode

    def _opcode(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "opcode":
            step = self._table[frame.f_code].get(frame.f_lasti)
            if step is not None:
                self._on_step(step)
        return self._opcode
