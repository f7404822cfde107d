"""Find the memory word that says whether this interpreter's lock is held.

CPython keeps its lock in ``struct _gil_runtime_state``, which begins (behind an ``enabled`` flag on
free-threaded builds) with::

    unsigned long  interval;       what sys.setswitchinterval() sets, in microseconds
    PyThreadState *last_holder;
    int            locked;         1 held, 0 free
    unsigned long  switch_number;

(Include/internal/pycore_gil.h, the same from 3.11 to 3.15.) The structure's place differs between
versions and builds, and only 3.13 and later publish it. It is found here in a way that needs no
table: the switch interval is set to unusual values, and the one word of the runtime's static data
that follows them is ``interval``. This also proves that the right word was found, on any build.

The word can be read by another process while this one runs, without taking the lock; that is what
``lanewise.measuring.gil_sampler`` does.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from lanewise.host.facts import gil_enabled

# Microseconds, prime, unlike any default; each must be echoed by the same word.
_PROBE_INTERVALS_US = (7919, 10007, 6733)
_WORD = struct.calcsize("P")
_LOCKED_OFFSET = 2 * _WORD


@dataclass(frozen=True, slots=True)
class GilWord:
    """Where the lock word is, or why it cannot be had.

    Attributes:
        address: In this process; read 4 bytes there. None where it cannot be found.
        reason: Why not, in words; None where it was found.
    """

    address: int | None
    reason: str | None


def find_gil_word() -> GilWord:
    """Locate the ``locked`` word of this interpreter.

    Sets the switch interval for some microseconds and puts it back. Threads: call it while no other
    thread sets the switch interval.
    """
    if not gil_enabled():
        return GilWord(None, "the lock is off in this interpreter, so no call can hold it")
    if sys.implementation.name != "cpython":
        return GilWord(None, f"{sys.implementation.name} is not CPython")
    try:
        start, stop = _runtime_data()
    except (OSError, ValueError, AttributeError) as error:
        return GilWord(None, f"the interpreter's static data cannot be located ({error})")
    interval = _word_that_follows_the_interval(start, stop)
    if interval is None:
        return GilWord(None, "no word of the interpreter's static data follows the switch interval")
    address = interval + _LOCKED_OFFSET
    # This thread holds the lock while it reads the word, so anything but 1 is another layout.
    if ctypes.c_int.from_address(address).value != 1:
        return GilWord(
            None, "the word found does not read as held while this thread holds the lock"
        )
    return GilWord(address, None)


def _runtime_data() -> tuple[int, int]:
    """The writable memory from the symbol ``_PyRuntime`` to the end of its mapping."""
    runtime = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    stop: int | None = None
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, permissions = line.split()[:2]
        low, high = (int(part, 16) for part in span.split("-"))
        if stop is None and low <= runtime < high:
            stop = high
        elif stop == low and permissions.startswith("rw"):
            stop = high  # the zero-initialised part follows in a mapping of its own
    if stop is None:
        raise ValueError("_PyRuntime lies in no mapping")
    return runtime, stop


def _word_that_follows_the_interval(start: int, stop: int) -> int | None:
    before_s = sys.getswitchinterval()
    followers: set[int] | None = None
    try:
        for interval_us in _PROBE_INTERVALS_US:
            sys.setswitchinterval(interval_us / 1e6)
            # The interpreter rounds; what it kept is what stands in memory.
            kept = struct.pack("@L", round(sys.getswitchinterval() * 1e6))
            found = _aligned_positions(ctypes.string_at(start, stop - start), kept)
            followers = found if followers is None else followers & found
    finally:
        sys.setswitchinterval(before_s)
    if not followers or len(followers) > 1:
        return None
    return start + followers.pop()


def _aligned_positions(memory: bytes, pattern: bytes) -> set[int]:
    positions = set()
    at = memory.find(pattern)
    while at >= 0:
        if at % _WORD == 0:
            positions.add(at)
        at = memory.find(pattern, at + 1)
    return positions
