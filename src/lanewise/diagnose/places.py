"""Frames, stacks and system calls of a record, each kept once and then referred to by number."""

from __future__ import annotations

from lanewise.diagnose.code_table import CodeInfo
from lanewise.diagnose.interpreter import Stack
from lanewise.diagnose.session import Frame, ProcessRecord


class Places:
    """Frames, stacks and system calls of a record, each kept once. Owned by the looker."""

    def __init__(self, record: ProcessRecord) -> None:
        self._record = record
        self._frames: dict[tuple[CodeInfo, int], int] = {}
        self._stacks: dict[tuple[int, ...], int] = {}
        self._calls: dict[str, int] = {}

    def stack(self, stack: Stack) -> int:
        """Return the stack's number."""
        return self.frames_of(tuple(self._frame(*place) for place in stack.frames))

    def frames_of(self, frames: tuple[int, ...]) -> int:
        """Return the number of a stack that is given by its frames' numbers."""
        number = self._stacks.get(frames)
        if number is None:
            number = self._stacks[frames] = len(self._record.stacks)
            self._record.stacks.append(frames)
        return number

    def call(self, name: str) -> int:
        """Return a system call's number."""
        number = self._calls.get(name)
        if number is None:
            number = self._calls[name] = len(self._record.calls)
            self._record.calls.append(name)
        return number

    def _frame(self, code: CodeInfo, line: int) -> int:
        number = self._frames.get((code, line))
        if number is None:
            number = self._frames[code, line] = len(self._record.frames)
            self._record.frames.append(
                Frame(code.file, line, code.name, code.qualname, code.first_line)
            )
        return number
