"""Finds out by experiment where the lock is; runs under the target's own interpreter, in a child.

Prints one line: the distance of the lock's ``locked`` word from ``_PyRuntime``, and that of a
    thread's native id
from the beginning of its thread state.
"""

import ctypes
import json
import struct
import sys
import threading

_SEARCHED_BYTES = 512
_WORD = 8


def main() -> None:
    """Find both places and print them; nothing where one of them is not found."""
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
    print(json.dumps({"locked": word.address - runtime, "native_id": places[0]}))  # noqa: T201 - because: it is the answer


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    main()
