"""Large values between two processes: copied once, into memory that both have mapped, and reused.

The sender owns segments: files without a name, mapped by both sides. A segment carries one message at a
time. It is used again when the receiver says that nothing refers to it any more: no array, no view of an
array, no view of such a view. That is exact and not a guess: every buffer of a message is exported by
one object, which each view keeps alive through the buffer protocol, and whose end is noticed.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _lanewise_worker.codec import Encoded

ALIGN_BYTES = 64
_SMALLEST_BYTES = 1 << 20
# Pieces from here on are copied by a C function that lets other threads run meanwhile.
_FOREIGN_COPY_BYTES = 262_144
# In a header: segment, its size, whether its descriptor was passed, the pickle's length, buffers.
_HEAD = struct.Struct("=QQBQI")
_BUFFER = struct.Struct("=QB")


class _Segment:
    """One piece of shared memory on its sender's side."""

    __slots__ = ("fd", "mapping", "number", "size_bytes", "used_since_trim")

    def __init__(self, number: int, size_bytes: int) -> None:
        self.number = number
        self.size_bytes = size_bytes
        self.used_since_trim = True
        self.fd = _memory_file()
        try:
            # Now, so that a lack of memory is an error here and not a SIGBUS while copying.
            os.posix_fallocate(self.fd, 0, size_bytes)
            self.mapping = mmap.mmap(self.fd, size_bytes)
        except BaseException:
            os.close(self.fd)
            raise

    def close_fd(self) -> None:
        """The mapping is all that is needed once the descriptor was passed."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def close(self) -> None:
        self.close_fd()
        with contextlib.suppress(BufferError):  # a copy in a thread: the collector unmaps it later
            self.mapping.close()


class Placement:
    """A message's place in a segment.

    Attributes:
        header: What the receiver needs to find it.
        size_bytes: How much :meth:`copy` copies.
    """

    def __init__(
        self, sender: Sender, segment: _Segment, encoded: Encoded, *, is_new: bool
    ) -> None:
        self.segment_id = segment.number
        self.size_bytes = encoded.stream_bytes + encoded.buffer_bytes
        self._sender = sender
        self._segment = segment
        self._encoded: Encoded | None = encoded
        sizes = [_BUFFER.pack(buffer.nbytes, buffer.readonly) for buffer in encoded.buffers]
        head = _HEAD.pack(
            segment.number, segment.size_bytes, is_new, encoded.stream_bytes, len(encoded.buffers)
        )
        self.header = head + b"".join(sizes)

    def copy(self) -> None:
        """Copy the message into the segment. In any thread; long pieces let others run."""
        assert self._encoded is not None, "a message is copied once"
        encoded, self._encoded = self._encoded, None
        target = memoryview(self._segment.mapping)
        try:
            at = 0
            for piece in encoded.stream:
                _copy(target, at, memoryview(piece))
                at += len(piece)
            for buffer in encoded.buffers:
                at = _aligned(at)
                _copy(target, at, buffer)
                at += buffer.nbytes
        finally:
            target.release()

    def abandon(self) -> None:
        """The message will not be sent."""
        self._encoded = None
        self._sender.released(self.segment_id)


class Sender:
    """Owns the segments of one direction. Owner: the thread that sends.

    Args:
        pass_fd: Passes a descriptor to the receiver, before the header that speaks of it.
        keep_bytes: How much unused memory is kept for messages to come.
    """

    def __init__(self, pass_fd: Callable[[int], None], *, keep_bytes: int = 512 << 20) -> None:
        self._pass_fd = pass_fd
        self._keep_bytes = keep_bytes
        self._segments: dict[int, _Segment] = {}
        self._free: dict[int, _Segment] = {}
        self._last = 0
        self.trouble: str | None = None

    def place(self, encoded: Encoded) -> Placement | None:
        """Find room for a message; None where no shared memory can be had (``trouble`` says why)."""
        wanted = _wanted_bytes(encoded)
        fits = [one for one in self._free.values() if wanted <= one.size_bytes <= 4 * wanted]
        if fits:
            best = min(fits, key=lambda one: one.size_bytes)
            del self._free[best.number]
            best.used_since_trim = True
            return Placement(self, best, encoded, is_new=False)
        try:
            made = _Segment(self._last + 1, _rounded(wanted))
            try:
                self._pass_fd(made.fd)
            except BaseException:
                made.close()
                raise
        except (OSError, ValueError, OverflowError) as error:
            self.trouble = f"{type(error).__name__}: {error}"
            return None
        made.close_fd()
        self._last = made.number
        self._segments[made.number] = made
        return Placement(self, made, encoded, is_new=True)

    def released(self, segment_id: int) -> None:
        """The receiver let go of a segment."""
        segment = self._segments.get(segment_id)
        if segment is not None:
            self._free[segment_id] = segment

    def trim(self) -> list[int]:
        """Free what was not used since the last time, and what is beyond ``keep_bytes``.

        Returns:
            The numbers of those segments, for the receiver to forget.
        """
        dropped = []
        kept_bytes = 0
        for number, segment in list(self._free.items()):
            kept_bytes += segment.size_bytes
            if segment.used_since_trim and kept_bytes <= self._keep_bytes:
                segment.used_since_trim = False
                continue
            del self._free[number], self._segments[number]
            segment.close()
            dropped.append(number)
        return dropped

    def close(self) -> None:
        """Unmap everything."""
        for segment in self._segments.values():
            segment.close()
        self._segments.clear()
        self._free.clear()


class Receiver:
    """Maps the segments of the other side.

    Owner: the thread that receives. Views may end in any thread: their end is noted in a deque, whose
    append and popleft are atomic operations.

    Args:
        take_fd: Returns the descriptor that was passed with a new segment.
    """

    def __init__(self, take_fd: Callable[[], int]) -> None:
        self._take_fd = take_fd
        self._mappings: dict[int, mmap.mmap] = {}
        self._released: deque[int] = deque()

    def open(self, header: bytes) -> tuple[int, memoryview, list[memoryview]]:
        """Return the segment's number, the pickle, and the buffers: views, nothing is copied."""
        number, size_bytes, is_new, stream_bytes, count = _HEAD.unpack_from(header)
        if is_new:
            fd = self._take_fd()
            try:
                self._mappings[number] = mmap.mmap(fd, size_bytes)
            finally:
                os.close(fd)
        view = _exported(self._mappings[number], number, self._released)
        buffers = []
        at = stream_bytes
        for length, readonly in _sizes(header, count):
            at = _aligned(at)
            part = view[at : at + length]
            buffers.append(part.toreadonly() if readonly else part)
            at += length
        return number, view[:stream_bytes], buffers

    def take_released(self) -> list[int]:
        """Return segments that nothing refers to any more, each once."""
        released = []
        while self._released:
            number = self._released.popleft()
            if number in self._mappings:
                released.append(number)
        return released

    def forget(self, segment_id: int) -> None:
        """The sender dropped a segment."""
        mapping = self._mappings.pop(segment_id, None)
        if mapping is not None:
            with contextlib.suppress(
                BufferError
            ):  # views live on: the collector unmaps it with the last
                mapping.close()

    def close(self) -> None:
        """Forget all segments."""
        for segment_id in list(self._mappings):
            self.forget(segment_id)


def _exported(mapping: mmap.mmap, number: int, released: deque[int]) -> memoryview:
    """Return a view of a mapping whose end, and that of all views of it, is appended to a deque."""
    import ctypes  # noqa: PLC0415 - because: only processes that see large values pay for it

    exporter = (ctypes.c_char * len(mapping)).from_buffer(mapping)
    weakref.finalize(exporter, released.append, number).atexit = False
    return memoryview(exporter).cast("B")


def _memory_file() -> int:
    make = getattr(os, "memfd_create", None)
    if make is not None:
        fd: int = make("lanewise-segment")
        return fd
    import tempfile  # noqa: PLC0415 - because: only where there is nothing better

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _sizes(header: bytes, count: int) -> Iterator[tuple[int, bool]]:
    for index in range(count):
        yield _BUFFER.unpack_from(header, _HEAD.size + index * _BUFFER.size)


def _wanted_bytes(encoded: Encoded) -> int:
    at = encoded.stream_bytes
    for buffer in encoded.buffers:
        at = _aligned(at) + buffer.nbytes
    return max(at, 1)


def _aligned(offset_bytes: int) -> int:
    return -(-offset_bytes // ALIGN_BYTES) * ALIGN_BYTES


def _rounded(size_bytes: int) -> int:
    """Four sizes to each doubling, so that messages of similar length find each other's segments."""
    if size_bytes <= _SMALLEST_BYTES:
        return _SMALLEST_BYTES
    step = 1 << max((size_bytes - 1).bit_length() - 3, 12)
    return -(-size_bytes // step) * step


def _copy(target: memoryview, at: int, source: memoryview) -> None:
    length = source.nbytes
    if not length:
        return
    if length < _FOREIGN_COPY_BYTES:
        target[at : at + length] = source.cast("B")
        return
    import ctypes  # noqa: PLC0415 - because: only processes that send large values pay for it

    place = ctypes.addressof(ctypes.c_char.from_buffer(target, at))
    # ctypes gives the lock up around a foreign function, and memmove is one to it.
    ctypes.memmove(place, _address(source), length)


def _address(source: memoryview) -> int:
    """Where a buffer lies; read-only ones included, which ctypes itself does not take."""
    import ctypes  # noqa: PLC0415 - because: as above

    get = ctypes.pythonapi.PyObject_GetBuffer
    get.argtypes = [ctypes.py_object, ctypes.c_void_p, ctypes.c_int]
    release = ctypes.pythonapi.PyBuffer_Release
    release.argtypes = [ctypes.c_void_p]
    # A Py_buffer, whose first field is the address; larger than the structure on any platform.
    raw = ctypes.create_string_buffer(256)
    get(source, raw, 0)
    address = ctypes.c_void_p.from_buffer(raw).value or 0
    release(raw)
    return address
