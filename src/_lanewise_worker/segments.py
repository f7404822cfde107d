"""Large values between two processes: copied once, into memory that both have mapped, and reused.

The sender owns segments: files without a name, mapped by both sides. A segment carries one message at a
time. It is used again when the receiver says that nothing refers to it any more: no array, no view of an
array, no view of such a view. That is exact and not a guess: every buffer of a message is exported by
one object, which each view keeps alive through the buffer protocol, and whose end is noticed.

Which descriptor belongs to which segment stands in the segment itself, so descriptors may arrive in
another order than the messages that speak of them.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from _lanewise_worker.shared_memory import (
    aligned,
    copy_into,
    ctypes_or_none,
    map_shared,
    memory_file,
    reserve,
)

if TYPE_CHECKING:
    from _lanewise_worker.codec import Encoded

# Room before the message for what says which segment this is.
_PROLOGUE = struct.Struct("=8sQ")
_PROLOGUE_BYTES = 64
_MAGIC = b"lanewise"
_SMALLEST_BYTES = 1 << 18
# Each costs both sides a mapping, of which a process may have 65,530. Whoever keeps more large values
# than this alive gets the further ones through the socket.
_MAX_SEGMENTS = 1_024
# A free segment this many times too large is left for a message that needs it.
_MAX_WASTE = 4
# In a header: segment, its size, whether its descriptor is to be taken, the pickle's length, buffers.
_HEAD = struct.Struct("=QQBQI")
_BUFFER = struct.Struct("=QB")


_NO_MEMORY = (OSError, ValueError, OverflowError, MemoryError)


class _Segment:
    """One piece of shared memory on its sender's side. Owner: who owns the sender.

    Attributes:
        is_known: Whether a header that was sent has spoken of it.
    """

    __slots__ = ("is_known", "mapping", "number", "size_bytes", "used_since_trim")

    def __init__(self, number: int, size_bytes: int, pass_fd: Callable[[int], None]) -> None:
        self.number = number
        self.size_bytes = size_bytes
        self.is_known = False
        self.used_since_trim = True
        fd = memory_file()
        try:
            reserve(fd, size_bytes)
            mapping = map_shared(fd, size_bytes)
            _PROLOGUE.pack_into(mapping, 0, _MAGIC, number)
            pass_fd(fd)
        finally:
            os.close(fd)
        self.mapping: mmap.mmap | None = mapping

    def close(self) -> None:
        """Let go of the memory. A copy that is being made in a thread keeps it to its end."""
        self.mapping = None


class Placement:
    """A message's place in a segment.

    Attributes:
        segment_id: The segment's number.
        header: What the receiver needs to find the message.
        size_bytes: How much :meth:`copy` copies.
    """

    def __init__(self, sender: Sender, segment: _Segment, encoded: Encoded) -> None:
        self.segment_id = segment.number
        self.size_bytes = encoded.stream_bytes + encoded.buffer_bytes
        self._sender = sender
        self._segment = segment
        self._encoded: Encoded | None = encoded
        self._is_first = not segment.is_known
        segment.is_known = True
        head = _HEAD.pack(
            segment.number,
            segment.size_bytes,
            self._is_first,
            encoded.stream_bytes,
            len(encoded.buffers),
        )
        self.header = head + b"".join(
            [_BUFFER.pack(buffer.nbytes, buffer.readonly) for buffer in encoded.buffers]
        )

    def copy(self) -> None:
        """Copy the message into the segment, once. In any thread; long pieces let others run.

        Raises:
            ValueError: The sender was closed meanwhile.
        """
        encoded, self._encoded = self._encoded, None
        assert encoded is not None, "a message is copied once, and not after it was abandoned"
        mapping = self._segment.mapping
        if mapping is None:
            raise ValueError("the sender of this message was closed")
        with memoryview(mapping) as target:
            at = _PROLOGUE_BYTES
            for piece in encoded.stream:
                copy_into(target, at, memoryview(piece))
                at += len(piece)
            for buffer in encoded.buffers:
                at = aligned(at)
                copy_into(target, at, buffer)
                at += buffer.nbytes

    def abandon(self) -> None:
        """Say that the header will not be sent. Not while :meth:`copy` runs. In the sender's thread."""
        self._encoded = None
        if self._is_first:
            self._segment.is_known = False
        self._sender.released(self.segment_id)


class Filling:
    """A large message on its way into a segment whose memory may have to be had first.

    The kernel clears memory that it gives, which takes about as long as to copy into it; so a thread does
    both, and the sender's own does what is left.
    """

    def __init__(
        self, sender: Sender, encoded: Encoded, segment: _Segment | None, number: int
    ) -> None:
        self._sender = sender
        self._encoded = encoded
        self._segment = segment
        self._number = number
        self._is_new = segment is None
        self._placement: Placement | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """Do what takes long. In any thread; never raises."""
        try:
            if self._segment is None:
                size_bytes = _rounded(_wanted_bytes(self._encoded))
                self._segment = _Segment(self._number, size_bytes, self._sender.pass_fd)
            placement = Placement(self._sender, self._segment, self._encoded)
            placement.copy()
        except _NO_MEMORY as error:
            self._error = error
        else:
            self._placement = placement

    def end(self) -> Placement | None:
        """Return the message's place once :meth:`run` has ended; None where there was no memory.

        In the sender's thread, before it is closed.
        """
        if self._is_new and self._segment is not None:
            self._sender.adopt(self._segment)
        if self._error is not None:
            self._sender.has_none(_wanted_bytes(self._encoded), self._error)
            self._sender.released(self._number)
        return self._placement


class Sender:
    """Owns the segments of one direction. Owner: the thread that sends.

    Args:
        pass_fd: Passes a descriptor to the receiver, before the header that speaks of it.
        keep_bytes: How much unused memory is kept for messages to come.

    Attributes:
        trouble: Why the last message that found no shared memory found none, in words.
    """

    def __init__(self, pass_fd: Callable[[int], None], *, keep_bytes: int = 512 << 20) -> None:
        self.pass_fd = pass_fd
        self._keep_bytes = keep_bytes
        self._segments: dict[int, _Segment] = {}
        # In the order in which they became free.
        self._free: dict[int, _Segment] = {}
        self._last = 0
        self.trouble: str | None = None

    def place(self, encoded: Encoded) -> Placement | None:
        """Find room for a message; None where no shared memory can be had (``trouble`` says why)."""
        wanted_bytes = _wanted_bytes(encoded)
        found = self._best(wanted_bytes)
        if found is None or _is_waste(found, wanted_bytes):
            found = self._made(wanted_bytes) or found
            if found is None:
                return None
        self._take(found)
        return Placement(self, found, encoded)

    def begin(self, encoded: Encoded) -> Filling | None:
        """Begin to place and copy a message, as far as that is quick; None as in :meth:`place`."""
        wanted_bytes = _wanted_bytes(encoded)
        found = self._best(wanted_bytes)
        if found is not None and not _is_waste(found, wanted_bytes):
            self._take(found)
            return Filling(self, encoded, found, found.number)
        if self._has_too_many():
            return None
        self._last += 1
        return Filling(self, encoded, None, self._last)

    def _take(self, segment: _Segment) -> None:
        self._free.pop(segment.number, None)
        segment.used_since_trim = True

    def _best(self, wanted_bytes: int) -> _Segment | None:
        best = None
        for segment in self._free.values():
            if segment.size_bytes >= wanted_bytes and (
                best is None or segment.size_bytes < best.size_bytes
            ):
                best = segment
        return best

    def _made(self, wanted_bytes: int) -> _Segment | None:
        if self._has_too_many():
            return None
        try:
            made = _Segment(self._last + 1, _rounded(wanted_bytes), self.pass_fd)
        except _NO_MEMORY as error:
            self.has_none(wanted_bytes, error)
            return None
        self._last = made.number
        self.adopt(made)
        return made

    def _has_too_many(self) -> bool:
        if len(self._segments) < _MAX_SEGMENTS:
            return False
        self.trouble = (
            f"{len(self._segments):,} large values are still referred to on the other side"
        )
        return True

    def adopt(self, segment: _Segment) -> None:
        """Own a new segment."""
        self._segments[segment.number] = segment

    def has_none(self, wanted_bytes: int, error: BaseException) -> None:
        """Note why there was no memory."""
        why = (isinstance(error, OSError) and error.strerror) or error or "out of memory"
        self.trouble = f"no shared memory of {wanted_bytes:,} bytes can be had: {why}"

    def released(self, segment_id: int) -> None:
        """Note that the receiver let go of a segment; unknown ones are ignored."""
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
        for number, segment in reversed(list(self._free.items())):  # those used last are kept
            kept_bytes += segment.size_bytes
            if segment.used_since_trim and kept_bytes <= self._keep_bytes:
                segment.used_since_trim = False
                continue
            kept_bytes -= segment.size_bytes
            # One of which no header spoke lies on the receiver's side as a descriptor that it cannot
            # tell yet, which would keep the memory.
            if segment.is_known:
                del self._free[number], self._segments[number]
                segment.close()
                dropped.append(number)
        return dropped

    def close(self) -> None:
        """Unmap everything. Idempotent; there is no further message after this."""
        for segment in self._segments.values():
            segment.close()
        self._segments.clear()
        self._free.clear()


class _Watch(weakref.ref[Any]):
    """Notes the end of what exports a message."""

    __slots__ = ("number",)

    number: int


class _Mapped:
    """One segment on its receiver's side. Owner: who owns the receiver.

    Each message has an exporter: every view of the message, and every view of such a view, keeps that
    alive. Two things tell its end. A weak reference tells it at once, in whatever thread, but for cyclic
    garbage too early: the collector calls it back before it runs finalizers, which may still read the
    memory or bring it back to life. The probe tells it exactly, when asked: the exporter holds a view of
    it, and a bytearray of which there is a view refuses to grow. The collector takes that view away after
    all finalizers, and only from what none of them saved.

    Attributes:
        stream: Refers weakly to the last message's pickle.
    """

    __slots__ = (
        "_exporter",
        "_fd",
        "_is_used",
        "_mapping",
        "_number",
        "_probe",
        "_watch",
        "stream",
    )

    def __init__(self, fd: int, number: int, size_bytes: int) -> None:
        self._is_used = False
        self.stream: Callable[[], memoryview | None] = _nothing
        self._number = number
        self._probe = bytearray()
        self._watch: _Watch | None = None
        self._mapping: mmap.mmap | None = None
        self._exporter: Any = None
        self._fd = -1
        foreign = ctypes_or_none()
        if foreign is not None:
            self._mapping = map_shared(fd, size_bytes)
            self._exporter = foreign.c_char * size_bytes
            os.close(fd)
        else:
            self._fd = fd

    def export(self, size_bytes: int, ended: deque[_Watch]) -> memoryview:
        """Return a view of all, whose end and that of all views of it is noted."""
        self._is_used = True
        exporter: Any
        if self._mapping is not None:
            exporter = self._exporter.from_buffer(self._mapping)
        else:  # slower: each message is mapped anew, and its pages with it
            exporter = _MappedOnce(self._fd, size_bytes)
        exporter.probe = memoryview(self._probe)
        self._watch = _Watch(exporter, ended.append)
        self._watch.number = self._number
        return memoryview(exporter).cast("B")

    def has_ended(self) -> bool | None:
        """Whether nothing refers to the last message: true once, None afterwards."""
        if not self._is_used:
            return None
        try:
            self._probe.append(0)
        except BufferError:
            return False
        self._probe.clear()
        self._is_used = False
        return True

    def close(self) -> None:
        """Let go of the memory. It is unmapped with its last view."""
        self._mapping = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _MappedOnce(mmap.mmap):
    """A mapping that carries one message."""

    probe: memoryview


class Receiver:
    """Maps the segments of the other side.

    Owner: the thread that receives. Views may end in any thread, at any moment: their end is noted in a
    deque, whose append and popleft are atomic operations.

    Args:
        take_fd: Returns the next descriptor that was passed. It belongs to the receiver then.
    """

    def __init__(self, take_fd: Callable[[], int]) -> None:
        self._take_fd = take_fd
        self._mapped: dict[int, _Mapped] = {}
        # Descriptors that are not mapped: they came before their message, or mapping failed.
        self._fds: dict[int, int] = {}
        self._ended: deque[_Watch] = deque()
        # Segments whose message seemed to have ended and had not, and those that could not be mapped.
        self._doubtful: list[int] = []
        self._failed: list[int] = []

    def open(self, header: bytes) -> tuple[int, memoryview, list[memoryview]]:
        """Return the segment's number, the pickle, and the buffers: views, nothing is copied.

        Buffers are writable unless the original was not.

        Raises:
            OSError: The segment cannot be mapped. The sender gets it back through
                :meth:`take_released`.
            ValueError: The header makes no sense.
        """
        number, size_bytes, is_first, stream_bytes, count = _HEAD.unpack_from(header)
        if len(header) != _HEAD.size + count * _BUFFER.size:
            raise ValueError(f"a header of {len(header)} bytes does not describe {count} buffers")
        mapped = self._mapped.get(number) or self._map(number, size_bytes, take=bool(is_first))
        try:
            whole = mapped.export(size_bytes, self._ended)
        except BaseException:
            self._doubtful.append(number)
            raise
        at = _PROLOGUE_BYTES + stream_bytes
        stream = whole[_PROLOGUE_BYTES:at]
        buffers = []
        for length_bytes, readonly in _BUFFER.iter_unpack(header[_HEAD.size :]):
            at = aligned(at)
            buffer = whole[at : at + length_bytes]
            buffers.append(buffer.toreadonly() if readonly else buffer)
            at += length_bytes
        if at > len(whole):
            raise ValueError(f"a message of {at} bytes does not fit into {len(whole)}")
        mapped.stream = weakref.ref(stream)
        return number, stream, buffers

    def _map(self, number: int, size_bytes: int, *, take: bool) -> _Mapped:
        while number not in self._fds:
            if not take:
                raise ValueError(f"segment {number} was never passed")
            fd = self._take_fd()
            self._fds[_owner(fd)] = fd
        try:
            mapped = _Mapped(self._fds[number], number, size_bytes)
        except BaseException:
            self._failed.append(number)  # the sender may use it for something else, or drop it
            raise
        del self._fds[number]
        self._mapped[number] = mapped
        return mapped

    def done(self, segment_id: int) -> None:
        """Let go of a message's pickle, where somebody still refers to it; its buffers stay."""
        mapped = self._mapped.get(segment_id)
        stream = None if mapped is None else mapped.stream()
        if stream is not None:
            with contextlib.suppress(BufferError):  # somebody reads it: its own end will do
                stream.release()

    def take_released(self) -> list[int]:
        """Return segments that nothing refers to any more, each once."""
        if not (self._ended or self._doubtful or self._failed):
            return []
        released = [number for number in self._failed if number in self._fds]
        self._failed.clear()
        numbers, self._doubtful = self._doubtful, []
        while self._ended:
            numbers.append(self._ended.popleft().number)
        for number in numbers:
            mapped = self._mapped.get(number)
            ended = None if mapped is None else mapped.has_ended()
            if ended is not None:
                (released if ended else self._doubtful).append(number)
        return released

    def forget(self, segment_id: int) -> None:
        """Note that the sender dropped a segment; it is unmapped with its last view."""
        mapped = self._mapped.pop(segment_id, None)
        if mapped is not None:
            mapped.close()
        fd = self._fds.pop(segment_id, -1)
        if fd >= 0:
            os.close(fd)

    def close(self) -> None:
        """Forget all segments. Idempotent. What refers to them stays valid."""
        for segment_id in [*self._mapped, *self._fds]:
            self.forget(segment_id)


def _nothing() -> None:
    """Refer to nothing, like a weak reference whose object is gone."""


def _owner(fd: int) -> int:
    """Return the number of the segment that a descriptor belongs to; close one that is none."""
    try:
        magic, number = _PROLOGUE.unpack(os.pread(fd, _PROLOGUE.size, 0))
    except (struct.error, OSError):
        magic, number = b"", 0
    if magic != _MAGIC:
        os.close(fd)
        raise ValueError("a descriptor was passed that is no segment")
    return int(number)


def _wanted_bytes(encoded: Encoded) -> int:
    at = _PROLOGUE_BYTES + encoded.stream_bytes
    for buffer in encoded.buffers:
        at = aligned(at) + buffer.nbytes
    return at


def _is_waste(segment: _Segment, wanted_bytes: int) -> bool:
    return segment.size_bytes > _MAX_WASTE * max(wanted_bytes, _SMALLEST_BYTES)


def _rounded(size_bytes: int) -> int:
    """Four sizes to each doubling, so that messages of similar length find each other's segments."""
    if size_bytes <= _SMALLEST_BYTES:
        return _SMALLEST_BYTES
    step_bytes = 1 << ((size_bytes - 1).bit_length() - 3)
    return -(-size_bytes // step_bytes) * step_bytes
