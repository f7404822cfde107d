"""What the threads of this process are doing at this moment, taken by another one of them.

Walking the frames of a running thread is safe only while nothing else runs. From 3.12 on the
interpreter's lock sees to that: frames are read between two bytecodes of their thread, and a frame that
ends meanwhile takes its past along. On 3.11 making a frame object may collect garbage, which may run
code, which may let the other thread go on: profilers were seen to crash there. On a free-threaded
interpreter the thread goes on in any case once ``_current_frames`` has returned. There faulthandler takes
the stacks, in one piece: under the lock, or with all threads stopped. It shows the newest hundred threads
at most.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import sys
import tempfile
import threading
import time
from types import FrameType
from typing import IO

from lanewise.host.facts import gil_enabled
from lanewise.runtime.stalls import CUT, Frame, Stack

_FRAMES_ARE_SAFE_SINCE = (3, 12)
# Before, faulthandler read the stacks of threads that were running.
_STOPS_THREADS_SINCE = (3, 13, 2)
# A hundred threads of a hundred frames; what is beyond is not seen.
_SCRATCH_BYTES = 2_000_000
_THREAD = re.compile(r"^(?:Current thread|Thread) 0x([0-9a-fA-F]+)")
_FRAME = re.compile(r'^  File "(.*)", line (\d+|\?\?\?) in (.*)$')
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})|\\U([0-9a-f]{8})")


class StackSampler:
    """Takes the stacks of all other threads.

    Attributes:
        taken_s: When the last sample was complete (``time.monotonic()``).
        cost_s: How long it kept other threads from running.

    Threads: owned by the one that samples. Close it after use.
    """

    def __init__(self) -> None:
        self.taken_s = self.cost_s = 0.0
        self._scratch: _Scratch | None = None

    def prepare(self) -> None:
        """Get everything ready, so that a sample is taken before anything else can run.

        A system call gives the lock up, and a thread that has just come out of a long one in C would be
        gone from where it was.
        """
        if self._scratch is None and not _frames_are_safe():
            with contextlib.suppress(OSError):  # no descriptor, no place: stalls go without a stack
                self._scratch = _Scratch()

    def sample(self) -> dict[int, Stack]:
        """Return the stack of each thread by its identity; empty where none can be taken.

        Takes 0.1 to 3 ms, and as long as any thread stays in one piece of C code: with the lock nothing
        else can run then, without it all threads are stopped until it returns.
        """
        began_s = time.monotonic()
        if _frames_are_safe():
            stacks = _walked()
            self._took(began_s)
            return stacks
        if not gil_enabled() and sys.version_info < _STOPS_THREADS_SINCE:
            return {}
        self.prepare()
        if self._scratch is None:
            return {}
        self._scratch.dump_all()
        self._took(began_s)
        return parse_dump(self._scratch.take())

    def _took(self, began_s: float) -> None:
        self.taken_s = time.monotonic()
        self.cost_s = self.taken_s - began_s

    def close(self) -> None:
        """Release the scratch file. Idempotent."""
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None


class _Scratch:
    """A file for faulthandler to write to, which is read as memory: that needs no system call."""

    def __init__(self) -> None:
        # Not with this module, which users' modules bring along to interpreters with their own lock: this
        # extension may not be loaded there.
        import faulthandler  # noqa: PLC0415 - because: see above

        self._dump = faulthandler.dump_traceback
        self._file = _scratch_file()
        self.descriptor = self._file.fileno()
        try:
            self._file.truncate(_SCRATCH_BYTES)
            self._memory = mmap.mmap(self.descriptor, _SCRATCH_BYTES)
        except OSError:
            self._file.close()
            raise

    def dump_all(self) -> None:
        """Write the stacks of all threads."""
        self._dump(self.descriptor, all_threads=True)

    def take(self) -> str:
        """Return what was written, and make room for the next."""
        end = self._memory.find(b"\0")
        text = self._memory[: end if end >= 0 else _SCRATCH_BYTES]
        self._memory[: len(text)] = bytes(len(text))
        self._file.seek(0)
        return text.decode("ascii", "replace")

    def close(self) -> None:
        self._memory.close()
        self._file.close()


def _frames_are_safe() -> bool:
    return sys.version_info >= _FRAMES_ARE_SAFE_SINCE and gil_enabled()


def _walked() -> dict[int, Stack]:
    me = threading.get_ident()
    return {ident: _walk(frame) for ident, frame in sys._current_frames().items() if ident != me}  # noqa: SLF001 - because: documented, in spite of its name


def _walk(frame: FrameType | None) -> Stack:
    stack: list[Frame] = []
    while frame is not None:
        code = frame.f_code
        # A line is not known between the instructions of a call that is being set up.
        stack.append(Frame(code.co_filename, frame.f_lineno or 0, code.co_name))
        frame = frame.f_back
    return tuple(reversed(stack))


def _scratch_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("lanewise-stacks"), "w+b", buffering=0)
    return tempfile.TemporaryFile("w+b", buffering=0)


def parse_dump(text: str) -> dict[int, Stack]:
    """Read what faulthandler writes: threads by their identity, frames of each from the innermost out."""
    stacks: dict[int, Stack] = {}
    ident: int | None = None
    for line in text.splitlines():
        if thread := _THREAD.match(line):
            ident = int(thread[1], 16)
            stacks[ident] = ()
        elif ident is None:
            continue
        elif found := _FRAME.match(line):
            number = int(found[2]) if found[2].isdigit() else 0
            frame = Frame(_unescaped(found[1]), number, _unescaped(found[3]))
            stacks[ident] = (frame, *stacks[ident])
        elif line.startswith(("  ...", "  <truncated")):
            stacks[ident] = (CUT, *stacks[ident])
    stacks.pop(threading.get_ident(), None)
    return stacks


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1] or found[2] or found[3], 16)), text)
