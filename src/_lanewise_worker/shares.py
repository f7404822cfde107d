"""Objects that were sent to this worker once and that many calls refer to."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Any

from _lanewise_worker import wire
from _lanewise_worker.codec import decode
from _lanewise_worker.shared_memory import aligned

if TYPE_CHECKING:
    from _lanewise_worker.crossing import Crosses

# owner: the worker's main thread, written once when the worker starts.
_here: list[SharedObjects] = []


class SharedObjects:
    """What this worker was given to share. Owner: its main thread."""

    def __init__(self, crossing: Crosses) -> None:
        self._crossing = crossing
        self._packed: dict[int, tuple[bool, Any]] = {}
        self._made: dict[int, Any] = {}
        self._refused: dict[int, Exception] = {}
        _here[:] = [self]

    def add(self, flags: int, number: int, _seq: int, body: Any) -> None:
        """Take an object; it is made when a call first refers to it: what fails then is that call."""
        self._refused.pop(number, None)
        try:
            if flags & wire.SEGMENT:
                self._packed[number] = True, (self._mapped(), bytes(body))
            else:
                self._packed[number] = False, body
        except Exception as error:  # noqa: BLE001 - because: no call runs yet that could be told
            self._refused[number] = error

    def _mapped(self) -> mmap.mmap:
        fd = self._crossing.take_fd()
        try:
            return mmap.mmap(fd, os.fstat(fd).st_size, prot=mmap.PROT_READ)
        finally:
            os.close(fd)

    def drop(self, _flags: int, number: int, _seq: int, _body: Any) -> None:
        """Let go of one. What a call kept of it stays valid: views keep the mapping alive."""
        for known in (self._packed, self._made, self._refused):
            known.pop(number, None)

    def put_back(
        self, args: tuple[Any, ...], places: tuple[tuple[int, int], ...]
    ) -> tuple[Any, ...]:
        """Return the arguments with shared objects where their handles were: (place, number) each."""
        whole = list(args)
        for place, number in places:
            whole[place] = self.get(number)
        return tuple(whole)

    def get(self, number: int) -> Any:
        """Return the object; arrays and buffers in it are read-only views of shared memory."""
        if number not in self._made:
            if number in self._refused:
                raise self._refused[number]
            mapped, content = self._packed[number]
            if mapped:
                self._made[number] = load_mapped(*content)
            else:
                self._made[number] = load_inline(content)
        return self._made[number]


def resolve(number: int) -> Any:
    """Return the shared object that a handle stands for; this is what a handle's pickle calls.

    Raises:
        LookupError: This is not a worker of the runtime that made the handle.
    """
    if not _here:
        raise LookupError(
            "a handle of Runtime.share() only means something in calls of that runtime: pass it as an "
            "argument of rt.run(), and do not pickle it for other uses"
        )
    return _here[0].get(number)


def load_mapped(mapping: Any, head: bytes) -> Any:
    """Make an object from a mapping in which its parts lie at aligned places."""
    view = memoryview(mapping).toreadonly()
    parts = []
    at = 0
    for size_bytes in unpack_sizes(head):
        parts.append(view[at : at + size_bytes])
        at = aligned(at + size_bytes)
    return decode(parts[0], parts[1:])


def load_inline(body: Any) -> Any:
    """Make an object from a frame's body: its parts stand one after another behind the sizes."""
    view = memoryview(body).toreadonly()
    count = int.from_bytes(view[:4], "little")
    at = 4 + 8 * count
    parts = []
    for size_bytes in unpack_sizes(bytes(view[:at])):
        parts.append(view[at : at + size_bytes])
        at += size_bytes
    return decode(parts[0], parts[1:])


def pack_sizes(sizes_bytes: list[int]) -> bytes:
    """Return how many parts there are and how long each is."""
    return len(sizes_bytes).to_bytes(4, "little") + b"".join(
        size.to_bytes(8, "little") for size in sizes_bytes
    )


def unpack_sizes(head: bytes) -> list[int]:
    return [int.from_bytes(head[at : at + 8], "little") for at in range(4, len(head), 8)]
