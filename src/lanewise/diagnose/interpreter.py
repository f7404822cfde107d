"""The interpreter in another process, read through offsets that it publishes or that were learned."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass

from lanewise.diagnose.code_table import CodeInfo, CodeTable, Unreadable
from lanewise.diagnose.kernel_view import ThreadIds, thread_ids
from lanewise.diagnose.layout import Layout, UnknownLayoutError, read_layout
from lanewise.diagnose.memory import Pages, ProcessMemory
from lanewise.diagnose.musl import is_waiter_of, uses_musl
from lanewise.diagnose.opcodes import calls_of_c
from lanewise.errors import DiagnoseError

_MOST_INTERPRETERS = 64
_MOST_THREADS = 4096
_STACK_TRIES = 20
_LONGEST_INTERVAL_US = 3_600_000_000
# What ``BaseEventLoop._run_once`` keeps in variables: when its turn began, on the clock that all
# processes share, and how many callbacks it runs in this turn.
_TURN, _READY = "end_time", "ntodo"
_DIGIT_BITS = 0x3FFFFFFF
_MOST_READY = 1_000_000
# So many frames are kept, and of those further out the ones of the loop; the rest is only walked over.
_DEEPEST_STACK = 200
_DEEPEST_WALK = 2000
# What stands below every callback of a loop.
_LOOP_NAMES = {"_run", "_run_once", "run_forever", "run"}
_LOOP_FILES = ("asyncio/events.py", "asyncio/base_events.py", "asyncio/runners.py")
# Frames of the interpreter's own, between C and Python: FRAME_OWNED_BY_CSTACK, _BY_INTERPRETER.
_FIRST_OWNER_WITHOUT_CODE = 3
# ``f_executable`` is a tagged pointer from 3.14 on.
_TAG_MASK = ~0x7
# interval, last_holder, locked, switch_number, two condition variables and two mutexes.
GIL_BYTES = 256
_CONDITIONS_BEHIND_HOLDER = 24


@dataclass(frozen=True, slots=True)
class Lock:
    """One interpreter's lock: where it is, and where its two words are."""

    address: int
    holder_at: int

    def covers(self, address: int) -> bool:
        """Whether an address lies inside it, as that of a futex does whose waiters wait for this lock."""
        return self.address <= address < self.address + GIL_BYTES


@dataclass(frozen=True, slots=True)
class PythonThread:
    """A thread state: what the interpreter knows of a thread, at one moment.

    Attributes:
        state: Its address, by which the lock names its holder.
        native_id: As the kernel calls the thread.
        lock: Of its interpreter.
        collecting_at: The word that says whether its interpreter collects garbage.
    """

    state: int
    native_id: int
    lock: Lock
    collecting_at: int


@dataclass(frozen=True, slots=True)
class Stack:
    """A thread's Python frames, innermost first, each with its line.

    Attributes:
        leaf: Frame and instruction of the innermost, to see whether it has moved.
        calls_c: Whether that instruction runs a function written in C.
        turn_s: When the present turn of an asyncio loop began (``time.monotonic()``, the same for
            all processes), as ``_run_once`` keeps it in a variable; 0 where there is none.
        ready: How many callbacks that turn runs; 0 where there is none.
        callback: The outermost frame of what an asyncio loop runs; 0 where there is none.
    """

    frames: tuple[tuple[CodeInfo, int], ...]
    leaf: tuple[int, int]
    calls_c: bool
    turn_s: float = 0.0
    ready: int = 0
    callback: int = 0


NO_STACK = Stack((), (0, 0), calls_c=False)


class RemoteInterpreter:
    """Reads one process. Owned by one thread; close it after use, and its memory with it.

    Args:
        memory: The process's.
        runtime: Where its ``_PyRuntime`` is.
        layout: Where a version that publishes nothing keeps things; None to read what is published.

    Raises:
        DiagnoseError: Its layout is not known, or what is read there makes no sense.
    """

    def __init__(self, memory: ProcessMemory, runtime: int, layout: Layout | None = None) -> None:
        self.layout: Layout = layout or read_layout(memory, runtime)
        self._memory, self._runtime, self._learned = memory, runtime, layout is not None
        # Before 3.13 a structure on the C stack lies between a thread and its innermost frame.
        self._inner_frame_at = (
            self.layout["cframe.current_frame"] if "thread.cframe" in self.layout else None
        )
        self._frame_at = self.layout[
            "thread.current_frame" if self._inner_frame_at is None else "thread.cframe"
        ]
        self._musl = uses_musl(memory.pid)
        self._codes = CodeTable(memory, self.layout)
        self._kinds: dict[int, bytes] = {}
        self._turn_variables: dict[int, tuple[int, int]] = {}
        self._calls_c = calls_of_c(self.layout.version)
        self._thread_bytes = 8 + max(
            self.layout["thread.next"], self.layout["thread.native_thread_id"]
        )
        self._holder_offset = (
            self.layout["interpreter.gil_holder"] - self.layout["interpreter.gil_runtime_state"]
        )

    def interpreters(self) -> list[int]:
        """The addresses of all interpreters of the process; more than one where sub-interpreters live."""
        found: list[int] = []
        address = self._memory.word(self._runtime + self.layout["runtime.interpreters_head"])
        while address and len(found) < _MOST_INTERPRETERS:
            found.append(address)
            address = self._memory.word(address + self.layout["interpreter.next"])
        return found

    def prove(self) -> None:
        """Check what is read against what the kernel knows: the threads' ids.

        Raises:
            DiagnoseError: They disagree, so nothing else may be believed either.
        """
        ids = ThreadIds(self._memory.pid)
        threads = {ids.ours(thread.native_id) for thread in self.threads()}
        if not threads & set(thread_ids(self._memory.pid)):
            raise DiagnoseError(
                f"process {self._memory.pid} runs Python {self.layout.python_version}, but no "
                "thread was "
                "found where it says that they are: it is starting or ending, or the build is "
                "patched"
            )
        if not self._stacks_make_sense():
            raise UnknownLayoutError(
                f"no stack of process {self._memory.pid} could be read where Python "
                f"{self.layout.python_version} keeps them: the build is patched"
            )
        if self._learned and not self._locks_make_sense():
            raise DiagnoseError(
                f"the lock of process {self._memory.pid} is not where another run of its executable "
                "has it: it is starting, or runs another build"
            )

    def _stacks_make_sense(self) -> bool:
        """Whether any thread's frames can be read; they change while that is done."""
        for _ in range(_STACK_TRIES):
            for thread in self.threads():
                with contextlib.suppress(Unreadable):
                    self.stack(thread)
                    return True
        return False

    def _locks_make_sense(self) -> bool:
        """Whether what is read as each lock reads as one; a holder comes and goes while that is done."""
        for _ in range(_STACK_TRIES):
            threads = self.threads()
            states = {thread.state for thread in threads}
            if all(self._makes_sense(lock, states) for lock in {one.lock for one in threads}):
                return True
        return False

    def _makes_sense(self, lock: Lock, states: set[int]) -> bool:
        interval_us, holder, locked = self._memory.words(lock.holder_at - 8, 3)
        locked &= 0xFFFFFFFF
        plausible = locked in {0, 1} and 0 < interval_us <= _LONGEST_INTERVAL_US
        return plausible and (not locked or holder in states)

    def gil_enabled(self) -> bool:
        """Whether the lock is on. Always on an ordinary build."""
        if not self.layout.free_threaded:
            return True
        lock = self._lock_of(self.interpreters()[-1])
        at = lock + self.layout["interpreter.gil_enabled"]
        return self._memory.word(at) & 0xFFFFFFFF != 0

    def switch_interval_s(self) -> float:
        """How long a thread waits for the lock before it asks for it."""
        lock = self._lock_of(self.interpreters()[-1])
        before_holder = lock + self._holder_offset - 8
        return self._memory.word(before_holder) / 1e6

    def there(self) -> bool:
        """Whether it can still be read: not where the process has ended or became another program."""
        try:
            return bool(self._memory.read(self._runtime, 8))
        except OSError:
            return False

    def has_frames(self, thread: PythonThread) -> bool:
        """Whether Python code is on a thread's stack."""
        try:
            return self._innermost(thread) != 0
        except OSError:
            return False

    def threads(self) -> list[PythonThread]:
        """Walk the lists of threads, newest first.

        Raises:
            OSError: The process has ended, or a thread did while its neighbour was asked for.
        """
        found: list[PythonThread] = []
        for interpreter in self.interpreters():
            lock_at, state = (
                self._lock_of(interpreter),
                self._memory.word(interpreter + self.layout["interpreter.threads_head"]),
            )
            lock = Lock(lock_at, lock_at + self._holder_offset)
            collecting_at = (
                interpreter + self.layout["interpreter.gc"] + self.layout["gc.collecting"]
            )
            while state and len(found) < _MOST_THREADS:
                data = self._memory.read(state, self._thread_bytes)
                following, native_id = (
                    struct.unpack_from("<Q", data, self.layout[f"thread.{name}"])[0]
                    for name in ("next", "native_thread_id")
                )
                found.append(PythonThread(state, native_id, lock, collecting_at))
                state = following
        return found

    def holder(self, lock: Lock) -> int:
        """The thread state that holds the lock, 0 when nobody does."""
        holder, locked = self._memory.words(lock.holder_at, 2)
        return holder if locked & 0xFFFFFFFF == 1 else 0

    def waits(self, thread: PythonThread, address: int) -> bool:
        """Whether a thread that sleeps on the futex at an address waits for its interpreter's lock."""
        lock = thread.lock
        if lock.covers(address):
            return True
        conditions, end = lock.holder_at + _CONDITIONS_BEHIND_HOLDER, lock.address + GIL_BYTES
        return self._musl and is_waiter_of(self._memory, conditions, end, address)

    def collecting(self, thread: PythonThread) -> bool:
        """Whether the thread's interpreter collects garbage."""
        return self._memory.read(thread.collecting_at, 4) != b"\0\0\0\0"

    def stack(self, thread: PythonThread) -> Stack:
        """Walk a thread's frames as they are now.

        Raises:
            Unreadable: The thread went on while it was looked at.
        """
        try:
            frame = self._innermost(thread)
            return self._walk(frame) if frame else NO_STACK
        except (OSError, struct.error) as error:
            raise Unreadable(str(error)) from error

    def moved(self, thread: PythonThread, leaf: tuple[int, int]) -> bool:
        """Whether a thread has executed anything since its innermost frame was at ``leaf``."""
        try:
            frame = self._innermost(thread)
            return frame != leaf[0] or (
                frame != 0 and self._memory.word(frame + self.layout["frame.instr_ptr"]) != leaf[1]
            )
        except OSError:
            return True

    def close(self) -> None:
        """Release the process's memory. Idempotent."""
        self._memory.close()

    def _lock_of(self, interpreter: int) -> int:
        """Where an interpreter's lock is; up to 3.11 there is one for all, in the runtime."""
        if "interpreter.ceval_gil" in self.layout:
            return self._memory.word(interpreter + self.layout["interpreter.ceval_gil"])
        return self._runtime + self.layout["runtime.gil"]

    def _innermost(self, thread: PythonThread) -> int:
        frame = self._memory.word(thread.state + self._frame_at)
        if self._inner_frame_at is None or not frame:
            return frame
        return self._memory.word(frame + self._inner_frame_at)

    def _walk(self, frame: int) -> Stack:
        pages = Pages(self._memory)
        layout = self.layout
        size, executable_at = layout["frame.localsplus"], layout["frame.executable"]
        previous_at, instruction_at = layout["frame.previous"], layout["frame.instr_ptr"]
        owner_at = layout["frame.owner"]
        found: list[tuple[CodeInfo, int]] = []
        leaf, turn, calls_c = (0, 0), (0.0, 0), False
        inner = callback = 0
        skipped: tuple[CodeInfo, int] | None = None
        for _ in range(_DEEPEST_WALK):
            if not frame:
                break
            data = pages.read(frame, size)
            instruction = struct.unpack_from("<Q", data, instruction_at)[0]
            executable = struct.unpack_from("<Q", data, executable_at)[0] & _TAG_MASK
            if executable and data[owner_at] < _FIRST_OWNER_WITHOUT_CODE:
                code = self._codes.find(executable)
                place = code, code.line_at(instruction)
                runs_loop = code.name in _LOOP_NAMES and code.file.endswith(_LOOP_FILES)
                if runs_loop:
                    callback = callback or inner
                    found += [skipped] if skipped else []
                if runs_loop or len(found) < _DEEPEST_STACK:
                    found.append(place)
                skipped = None if found[-1] is place else place
                inner = frame
                if len(found) == 1:
                    leaf = (frame, instruction)
                    calls_c = self._is_call(pages, instruction)
                if code.name == "_run_once" and code.file.endswith("base_events.py"):
                    turn = self._turn(executable, frame + size)
            frame = struct.unpack_from("<Q", data, previous_at)[0]
        return Stack(tuple(found), leaf, calls_c, *turn, callback)

    def _turn(self, code: int, variables: int) -> tuple[float, int]:
        """When a loop's turn began, and how many callbacks it runs; zeros while it waits for events."""
        if code not in self._turn_variables:
            names = self._codes.variables(code)
            if not {_TURN, _READY} <= set(names):
                return 0.0, 0
            self._turn_variables[code] = names.index(_TURN), names.index(_READY)
        began, ready = (
            self._memory.word(variables + 8 * at) & _TAG_MASK for at in self._turn_variables[code]
        )
        began_s, count = 0.0, 0
        with contextlib.suppress(OSError):
            if began and self._type_of(began) == b"float\0":
                data = self._memory.read(began + self.layout["float.ob_fval"], 8)
                began_s = struct.unpack("<d", data)[0]
            if ready and self._type_of(ready)[:4] == b"int\0":
                digit = self._memory.word(ready + self.layout["long.ob_digit"]) & _DIGIT_BITS
                count = digit if digit <= _MOST_READY else 0
        return began_s, count

    def _type_of(self, address: int) -> bytes:
        """The first letters of the name of an object's type."""
        kind = self._memory.word(address + self.layout["object.ob_type"])
        known = self._kinds.get(kind)
        if known is None:
            name = self._memory.word(kind + self.layout["type.tp_name"])
            known = self._kinds[kind] = self._memory.read(name, 6)
        return known

    def _is_call(self, pages: Pages, instruction: int) -> bool:
        return pages.read(instruction, 1)[0] in self._calls_c
