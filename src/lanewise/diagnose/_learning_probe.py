"""Finds out by experiment where things lie in an interpreter that does not publish it (3.11 and 3.12).

Runs under the target's own executable, in a child, and imports nothing of lanewise but the search for
the lock. Prints one line of JSON: the distance of the lock's ``locked`` word from ``_PyRuntime``
(``locked``), that of a thread's native id from the beginning of its thread state (``native_id``), and
all that is needed to walk stacks (``layout``, by the names that 3.13 gives them), or why that was not
found (``reason``).

Each place is found by looking for values that are known: the address of a code object in a frame, of a
frame in the thread state, of a thread state in the interpreter. Nothing is taken from a table but the
place of a frame's owner, which is one byte among others.
"""

import ctypes
import gc
import json
import os
import struct
import sys
import threading
import time
from types import CodeType, FrameType, ModuleType
from typing import Any

Places = dict[str, int]

_SEARCHED_BYTES = 512
_INTERPRETER_BYTES = 32_768
_RUNTIME_BYTES = 262_144
_FRAME_BYTES = 96
_WORD = 8
_TRIES = 1000
_TYPE_NAME_AT = 24
_FRAME_OWNER = {(3, 11): 69, (3, 12): 70}
_NUMBER = 70_707_070_707.0
_INTEGER = 707_070_707


class NotFoundError(Exception):
    """Something is not where it can be recognised."""


class Memory:
    """This process's memory, read through the kernel, so that a wrong address is no crash."""

    def __init__(self) -> None:
        self._file = os.open("/proc/self/mem", os.O_RDONLY)

    def read(self, address: int, size: int) -> bytes:
        """As much as there is."""
        if not 0 < address < 1 << 47:
            return b""
        try:
            return os.pread(self._file, size, address)
        except OSError:
            return b""

    def words(self, address: int, size: int) -> list[int]:
        """All words of a span."""
        data = self.read(address, size)
        return [word for (word,) in struct.iter_unpack("<Q", data[: len(data) // _WORD * _WORD])]

    def places(self, address: int, size: int, wanted: int) -> list[int]:
        """The distances at which a word stands."""
        words = self.words(address, size)
        return [at * _WORD for at, word in enumerate(words) if word == wanted]

    def only(self, what: str, address: int, size: int, wanted: int) -> int:
        """The one distance at which a word stands."""
        found = self.places(address, size, wanted)
        if len(found) != 1:
            raise NotFoundError(f"{what} stands at {found}")
        return found[0]


def asked(name: str, *arguments: int) -> int:
    """What a function of the C API returns, an address."""
    function = getattr(ctypes.pythonapi, name)
    function.restype = ctypes.c_void_p
    return int(function(*(ctypes.c_void_p(argument) for argument in arguments)) or 0)


def of_objects() -> Places:
    """Objects: their types' names, and the forms of numbers, bytes and strings."""
    empty_bytes = b"".__sizeof__()
    memory = Memory()
    number, text = _NUMBER, "seven"
    return {
        "object.ob_type": memory.only("type", id(number), 16, id(float)),
        "type.tp_name": _TYPE_NAME_AT,
        "float.ob_fval": memory.only(
            "number", id(number), 32, struct.unpack("<Q", struct.pack("<d", number))[0]
        ),
        "long.ob_digit": memory.only("digit", id(_INTEGER), 32, _INTEGER),
        "bytes.ob_size": memory.only("length", id(b"\xff" * 77), 32, 77),
        "bytes.ob_sval": empty_bytes - 1,
        "unicode.length": memory.only("length", id(text), 32, len(text)),
        "unicode.state": 32,
        "unicode.asciiobject_size": "".__sizeof__() - 1,
        "unicode.compactunicodeobject_size": (3 * chr(0xE9)).__sizeof__() - 4,
    }


def of_codes() -> Places:
    """Code objects, by one whose parts are known."""
    memory = Memory()

    class Outer:
        def method(self) -> None:
            pass

    code = Outer.method.__code__
    size = type(code).__basicsize__
    words = {
        "filename": code.co_filename,
        "name": code.co_name,
        "qualname": code.co_qualname,
        "linetable": code.co_linetable,
    }
    found = {
        f"code.{name}": memory.only(name, id(code), size, id(value))
        for name, value in words.items()
    }
    data = memory.read(id(code), size)
    # A tuple that Python code never sees: the one that begins with the names of the variables.
    names = [
        at
        for at in range(24, size - 7, _WORD)
        if memory.words(struct.unpack_from("<Q", data, at)[0], 32)[1:]
        == [id(tuple), len(code.co_varnames), id(code.co_varnames[0])]
    ]
    if len(names) != 1:
        raise NotFoundError(f"the variables' names stand at {names}")
    found["code.localsplusnames"] = names[0]
    found["tuple.ob_size"], found["tuple.ob_item"] = 16, 24
    wanted = struct.pack("<i", code.co_firstlineno)
    lines = [at for at in range(24, size - 3, 4) if data[at : at + 4] == wanted]
    if len(lines) != 1:
        raise NotFoundError(f"the first line stands at {lines}")
    found["code.firstlineno"] = lines[0]
    # Where the instructions begin: they are what ``co_code`` is, but for what was specialised.
    found["code.co_code_adaptive"] = found["code.size"] = size
    if memory.read(id(code) + size, 2)[:1] != code.co_code[:1]:
        raise NotFoundError("a code object does not end with its instructions")
    return found


def frame_address(frame: FrameType, code: CodeType, memory: Memory) -> int:
    """Of the interpreter's own frame below a frame object."""
    found = [
        word
        for word in memory.words(id(frame), 64)
        if memory.places(word, _FRAME_BYTES, id(code)) and word != id(code)
    ]
    if len(found) != 1:
        raise NotFoundError(f"{len(found)} of a frame object's words are its frame")
    return found[0]


def of_frames(adaptive: int) -> Places:
    """Frames, by this one and its caller's."""
    memory = Memory()

    def inner(outer_frame: FrameType) -> Places:
        mark = object()
        frame = sys._getframe()  # noqa: SLF001 - because: frames are what is looked for
        code = frame.f_code
        mine = frame_address(frame, code, memory)
        theirs = frame_address(outer_frame, outer_frame.f_code, memory)
        start = id(code) + adaptive
        instructions = [
            at * _WORD
            for at, word in enumerate(memory.words(mine, _FRAME_BYTES))
            if start <= word < start + len(code.co_code)
        ]
        if len(instructions) != 1:
            raise NotFoundError(f"{len(instructions)} words of a frame point at an instruction")
        # Variables come before the stack of temporary values, on which it stands too.
        variables = memory.places(mine, 2 * _FRAME_BYTES, id(mark))
        if not variables:
            raise NotFoundError("no variable is seen in a frame")
        return {
            "frame.executable": memory.only("code", mine, _FRAME_BYTES, id(code)),
            "frame.previous": memory.only("caller", mine, _FRAME_BYTES, theirs),
            "frame.instr_ptr": instructions[0],
            "frame.localsplus": variables[0] - _WORD * code.co_varnames.index("mark"),
            "frame.owner": _FRAME_OWNER[sys.version_info[:2]],
        }

    return inner(sys._getframe())  # noqa: SLF001 - because: frames are what is looked for


def way_to_frame(state: int, ident: int, memory: Memory) -> Places:
    """From a thread state to its innermost frame: over a structure on the C stack.

    The thread is on its way to sleep: it is looked at until it has arrived.
    """
    found = []
    for _ in range(_TRIES):
        frame = sys._current_frames()[ident]  # noqa: SLF001 - because: frames are what is looked for
        inner = frame_address(frame, frame.f_code, memory)
        found = [
            (at * _WORD, inside)
            for at, word in enumerate(memory.words(state, _SEARCHED_BYTES))
            for inside in memory.places(word, 16, inner)
        ]
        if found:
            # What comes behind it is the memory that frames lie in, which may begin with this one.
            return {"thread.cframe": found[0][0], "cframe.current_frame": found[0][1]}
        time.sleep(0.001)
    raise NotFoundError("nothing leads from a thread to its frame")


def of_threads(state: int, runtime: int, gil: int) -> Places:
    """The lists of interpreters and of threads, seen with another thread in them."""
    memory = Memory()
    interpreter = asked("PyInterpreterState_Get")
    started, over = threading.Event(), threading.Lock()

    def stay() -> None:
        started.set()
        over.acquire()

    over.acquire()
    other = threading.Thread(target=stay, daemon=True)
    before = set(memory.places(interpreter, _INTERPRETER_BYTES, state))
    other.start()
    try:
        started.wait()
        head = asked("PyInterpreterState_ThreadHead", interpreter)
        if head == state or asked("PyThreadState_Next", head) != state:
            raise NotFoundError("a new thread is not the first of the list")
        heads = before & set(memory.places(interpreter, _INTERPRETER_BYTES, head))
        following = memory.places(head, _SEARCHED_BYTES, state)
        way = way_to_frame(head, other.ident or 0, memory)
    finally:
        over.release()
        other.join()
    # The list's head comes first, the main interpreter behind it.
    pairs = memory.places(runtime, _RUNTIME_BYTES, interpreter)
    firsts = [at for at in pairs if at + _WORD in pairs]
    if len(heads) != 1 or len(following) != 1 or not firsts:
        raise NotFoundError(f"the list of threads may begin at {heads}, go on at {following}")
    found = {
        "runtime.interpreters_head": firsts[0],
        "interpreter.next": 0,
        "interpreter.threads_head": heads.pop(),
        "interpreter.gil_runtime_state": 0,
        "interpreter.gil_holder": _WORD,
        "thread.next": following[0],
        **way,
    }
    own = memory.places(interpreter, _INTERPRETER_BYTES, gil)
    if sys.version_info >= (3, 12):
        if len(own) != 1:
            raise NotFoundError(f"an interpreter's lock may be named at {own}")
        found["interpreter.ceval_gil"] = own[0]
    return found | of_collection(interpreter, memory)


def of_collection(interpreter: int, memory: Memory) -> Places:
    """The word that says that garbage is collected stands before the list of what cannot be freed."""
    garbage = memory.places(interpreter, _INTERPRETER_BYTES, id(gc.garbage))
    callbacks = memory.places(interpreter, _INTERPRETER_BYTES, id(gc.callbacks))
    found = [at - _WORD for at in garbage if at + _WORD in callbacks]
    if len(found) != 1:
        raise NotFoundError(f"the state of the collection may be at {found}")
    seen: list[bytes] = []
    gc.callbacks.append(lambda *_: seen.append(memory.read(interpreter + found[0], 4)))
    gc.collect()
    gc.callbacks.pop()
    seen.append(memory.read(interpreter + found[0], 4))
    if seen != [b"\1\0\0\0", b"\1\0\0\0", b"\0\0\0\0"]:
        raise NotFoundError("no word says whether garbage is collected")
    return {"interpreter.gc": found[0], "gc.collecting": 0}


def layout(state: int, native_id: int, runtime: int, locked: int) -> dict[str, Any]:
    """Everything, or why not."""
    try:
        codes = of_codes()
        return {
            "hexversion": sys.hexversion,
            "at": {
                **of_objects(),
                **codes,
                **of_frames(codes["code.co_code_adaptive"]),
                **of_threads(state, runtime, runtime + locked - 2 * _WORD),
                "thread.native_thread_id": native_id,
                "runtime.gil": locked - 2 * _WORD,
            },
        }
    except (NotFoundError, AttributeError, KeyError, LookupError) as error:
        return {"reason": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Find all places and print them; nothing where the lock itself is not found."""
    from lanewise.host.gil_word import find_gil_word  # noqa: PLC0415 - because: the path was set just now

    word = find_gil_word()
    if word.address is None:
        sys.exit(word.reason)
    runtime = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    # This thread holds the lock, so the word before says where its own state is.
    state = struct.unpack("<Q", ctypes.string_at(word.address - _WORD, _WORD))[0]
    memory = ctypes.string_at(state, _SEARCHED_BYTES)
    wanted = struct.pack("<Q", threading.get_native_id())
    places = [at for at in range(0, _SEARCHED_BYTES, _WORD) if memory[at : at + _WORD] == wanted]
    if len(places) != 1:
        sys.exit("no single member of the thread state is the thread's native id")
    locked = word.address - runtime
    found: dict[str, Any] = {"locked": locked, "native_id": places[0]}
    found["layout"] = layout(state, places[0], runtime, locked)
    print(json.dumps(found))  # noqa: T201 - because: it is the answer


if __name__ == "__main__":
    # The package without what it imports first: all of that takes ten times as long as the search.
    package = ModuleType("lanewise")
    package.__path__ = [os.path.join(sys.argv[1], "lanewise")]  # noqa: PTH118 - because: pathlib costs as much
    sys.modules["lanewise"] = package
    main()
