"""Work that goes wrong on purpose: what hostile input makes of an innocent function."""

import os
import re
import threading
import zlib
from functools import lru_cache
from typing import Any

from lanewise import Task, task

# Backtracks 2 ** n ways: no regular expression engine of Python's can be interrupted in it.
_CAREFREE = re.compile(r"^(\w+\s?)*$")
_BOMB_BYTES = 3 * 1024**3 // 2


@task(isolation="required")
def backtracking(letters: int) -> bool:
    """Match a text that takes the regular expression for ever."""
    return _CAREFREE.match("a" * letters + "!") is not None


@task(isolation="required")
def bomb(packed: bytes) -> int:
    """Unpack what is a thousand times as large as it looks."""
    return len(zlib.decompress(packed))


@task(isolation="required")
def unsendable() -> Any:
    """Return what cannot leave its process."""
    return threading.Lock()


@task(isolation="required")
def vanishing() -> None:
    """End the process, as a crash in native code does."""
    os._exit(139)


@task(isolation="required")
def raising() -> None:
    """Raise an exception whose constructor takes more than its message."""
    raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "a wrong encoding")


@lru_cache(maxsize=1)
def packed_bomb() -> bytes:
    """Return 1.5 GB of zeros in 7 MB, made piece by piece."""
    packer = zlib.compressobj(1)
    piece = bytes(16 * 1024 * 1024)
    parts = [packer.compress(piece) for _ in range(_BOMB_BYTES // len(piece))]
    return b"".join([*parts, packer.flush()])


# Each with what makes its arguments.
POISONS: dict[str, Task[..., Any]] = {
    "backtracking": backtracking,
    "bomb": bomb,
    "unsendable": unsendable,
    "vanishing": vanishing,
    "raising": raising,
}
