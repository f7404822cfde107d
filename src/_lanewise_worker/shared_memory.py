"""Memory that two processes map, and copies into it: what segments are made of."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

ALIGN_BYTES = 64
# Pieces from here on are copied by a C function that lets other threads run meanwhile.
_FOREIGN_COPY_BYTES = 262_144
# Memory is reserved in steps: the kernel starts a step anew when a signal comes, and a profiler's timer
# must not come faster than a step takes.
_STEP_BYTES = 1 << 21
_MAP_FIXED = 0x10

# Mappings whose place could not be taken over. Kept for ever, because what lies there now may be somebody
# else's. Written by any thread: append is an atomic operation.
_lost: list[mmap.mmap] = []


def aligned(offset_bytes: int) -> int:
    return -(-offset_bytes // ALIGN_BYTES) * ALIGN_BYTES


def copy_into(target: memoryview, at: int, source: memoryview) -> None:
    length_bytes = source.nbytes
    foreign = ctypes_or_none() if length_bytes >= _FOREIGN_COPY_BYTES else None
    if foreign is None:
        target[at : at + length_bytes] = source
        return
    place = foreign.addressof(foreign.c_char.from_buffer(target, at))
    # ctypes gives the lock up around a foreign function, and memmove is one to it. Both views are held
    # by the caller meanwhile.
    foreign.memmove(place, _address(foreign, source), length_bytes)


def _address(foreign: Any, source: memoryview) -> int:
    """Where a buffer lies; read-only ones included, which ctypes itself does not take."""
    get, release = _buffer_functions()
    # A Py_buffer, whose first field is the address; larger than the structure on any platform.
    raw = foreign.create_string_buffer(256)
    get(source, raw, 0)
    address: int = foreign.c_void_p.from_buffer(raw).value or 0
    release(raw)
    return address


@cache
def _buffer_functions() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return prototypes of our own: the ready-made functions of pythonapi are everybody's."""
    c = ctypes_or_none()
    get = c.PYFUNCTYPE(c.c_int, c.py_object, c.c_void_p, c.c_int)
    release = c.PYFUNCTYPE(None, c.c_void_p)
    api = c.pythonapi
    return get(("PyObject_GetBuffer", api)), release(("PyBuffer_Release", api))


def ctypes_or_none() -> Any:
    """Return ctypes, which only processes that see large values import; None where there is none."""
    try:
        import ctypes  # noqa: PLC0415 - because: as said
    except ImportError:
        return None
    return ctypes


def memory_file() -> int:
    """Open a file without a name, in memory where the system can.

    Where it cannot (other systems than Linux and FreeBSD), in the directory for temporary files, which
    is slower if that is on a disk.

    Raises:
        OSError: None can be had.
    """
    make = getattr(os, "memfd_create", None)
    if make is not None:
        fd: int = make("lanewise-segment")
        return fd
    import tempfile  # noqa: PLC0415 - because: only where there is nothing better

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def reserve(fd: int, size_bytes: int) -> None:
    """Give an empty file its memory now, so that a lack of it is an error here and not a SIGBUS later.

    Raises:
        OSError: There is not so much.
    """
    allocate = getattr(os, "posix_fallocate", None)
    for at in range(0, size_bytes, _STEP_BYTES):
        step_bytes = min(_STEP_BYTES, size_bytes - at)
        if allocate is not None:
            allocate(fd, at, step_bytes)
        else:  # macOS: slower, but what was written is there
            _write_zeros(fd, at, step_bytes)


def _write_zeros(fd: int, at: int, count: int) -> None:
    zeros = memoryview(bytes(count))
    while zeros:
        written = os.pwrite(fd, zeros, at)
        at += written
        zeros = zeros[written:]


def map_shared(fd: int, size_bytes: int) -> mmap.mmap:
    """Map a file to read and write; the descriptor may be closed afterwards.

    Python's mappings keep a descriptor each, and a value that is kept keeps its mapping: a thousand
    kept arrays would use up what a process may open. From Python 3.13 on they need not, before that
    Linux is asked directly. Elsewhere they do.

    Raises:
        OSError: It cannot be mapped.
    """
    if sys.version_info >= (3, 13):
        return mmap.mmap(fd, size_bytes, trackfd=False)
    foreign = ctypes_or_none() if sys.platform == "linux" else None
    if foreign is None:
        return mmap.mmap(fd, size_bytes)
    return _mapped_over(foreign, fd, size_bytes)


def _mapped_over(foreign: Any, fd: int, size_bytes: int) -> mmap.mmap:
    """Let Python map memory of nobody, and the file in its place: Python unmaps what is there."""
    mapping = mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    place = foreign.addressof(foreign.c_char.from_buffer(mapping))
    access = mmap.PROT_READ | mmap.PROT_WRITE
    if _mmap_function()(place, size_bytes, access, mmap.MAP_SHARED | _MAP_FIXED, fd, 0) != place:
        _lost.append(mapping)
        number = foreign.get_errno()
        raise OSError(number, os.strerror(number))
    return mapping


@cache
def _mmap_function() -> Callable[..., int | None]:
    c = ctypes_or_none()
    function: Callable[..., int | None] = c.CFUNCTYPE(
        c.c_void_p,
        *(c.c_void_p, c.c_size_t, c.c_int, c.c_int, c.c_int, c.c_long),
        use_errno=True,
    )(("mmap", c.CDLL(None)))
    return function
