"""Objects that are sent to each worker once and that calls refer to by a handle."""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import threading
import weakref
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from _lanewise_worker.codec import encode
from _lanewise_worker.shared_memory import aligned
from _lanewise_worker.shares import load_inline, load_mapped, pack_sizes, resolve, unpack_sizes

T = TypeVar("T")

# What of each part goes into the key under which equal content is looked for; equality itself is
# decided by comparing every byte.
_SAMPLE_BYTES = 65_536
# Unpickling takes some 10 ns a byte where it is slow: many small objects.
_QUICK_BYTES = 65_536
# One number for one object in this process, whichever runtime it belongs to: itertools.count hands
# each out once, to whatever thread asks (its step is one atomic operation of the interpreter).
_numbers = itertools.count(1)


class Content:
    """The bytes of a shared object: in memory without a name, or in a bytes object if that fails.

    Read-only once it is made. The descriptor is closed when the last handle has gone.
    """

    def __init__(self, sizes_bytes: list[int], fd: int | None, inline: bytes) -> None:
        self.sizes = pack_sizes(sizes_bytes)
        self.size_bytes = sum(sizes_bytes)
        # Buffers are mapped; only this part takes time to be made an object again.
        self.pickle_bytes = sizes_bytes[0]
        self.fd = fd
        self.inline = inline

    @contextlib.contextmanager
    def as_file(self) -> Iterator[tuple[int, bytes]]:
        """Lend a descriptor of memory that holds the parts at aligned places, and their sizes.

        Raises:
            OSError: There is no such memory, and none can be made.
        """
        if self.fd is not None:
            yield self.fd, self.sizes
            return
        head = len(self.sizes)
        parts, at = [], head
        for size in unpack_sizes(self.sizes):
            parts.append(memoryview(self.inline)[at : at + size])
            at += size
        fd = _in_memory(parts)
        try:
            yield fd, self.sizes
        finally:
            os.close(fd)

    def load(self) -> Any:
        """Make the object in this process; its buffers are read-only views."""
        if self.fd is None:
            return load_inline(self.inline)
        length = os.fstat(self.fd).st_size
        return load_mapped(mmap.mmap(self.fd, length, prot=mmap.PROT_READ), self.sizes)


class Shared(Generic[T]):
    """A handle of an object that workers hold; see :meth:`lanewise.Runtime.share`.

    Give it to a call in the place of the object: the function receives the object itself. Arrays and
    buffers in it are read-only. When the last reference to the handle goes, so does what it stands for.

    Threads: may be passed on and dropped in any thread.

    Args:
        length: The object's ``len()``, where it has one.
        number: What calls name it by, where another process has named it already.
    """

    def __init__(
        self,
        book: HandleBook,
        content: Content,
        *,
        length: int | None = None,
        number: int | None = None,
    ) -> None:
        self.number = next(_numbers) if number is None else number
        self.content = content
        self._length = length
        self._book = book
        self._local: list[T] = []
        self._making = threading.Lock()
        weakref.finalize(self, book.gone, self.number, content.fd).atexit = False

    @property
    def nbytes(self) -> int:
        """The size of what is shared, in bytes."""
        return self.content.size_bytes

    @property
    def is_quickly_got(self) -> bool:
        """Whether :meth:`get` takes less than a millisecond, about."""
        return bool(self._local) or self.content.pickle_bytes <= _QUICK_BYTES

    def get(self) -> T:
        """Return the object in this process: read-only views, as workers see it."""
        with self._making:
            if not self._local:
                self._local.append(self.content.load())
            return self._local[0]

    def __len__(self) -> int:
        """As many items as the object has; what a task's ``size`` asks most often.

        Raises:
            TypeError: The object has no length.
        """
        if self._length is None:
            raise TypeError("the shared object has no len()")
        return self._length

    def __bool__(self) -> bool:
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        self._book.noted(self)
        return resolve, (self.number,)

    def __repr__(self) -> str:
        return f"<lanewise shared object {self.number}, {self.nbytes:,} bytes>"


class HandleBook:
    """The handles of the lanes of one runtime.

    Attributes:
        on_gone: What is called, in some thread, with the number of a handle whose last reference went.
            Each lane that gives objects to workers adds itself while it is made.

    Threads: ``share`` and ``gone`` may be called from any; ``_changing`` guards the table. ``noted``
    and ``take_noted`` belong to the lane's loop, on which all arguments are pickled.
    """

    def __init__(self) -> None:
        self.on_gone: list[Callable[[int], None]] = []
        self._changing = threading.Lock()
        self._by_content: dict[tuple[Any, ...], weakref.ref[Shared[Any]]] = {}
        self._noted: list[Shared[Any]] = []
        self.trouble: str | None = None

    def share(self, value: T) -> Shared[T]:
        """Return the handle of an equal object, or of a new one."""
        parts = _parts(value)
        key = tuple((len(part), *_samples(part)) for part in parts)
        with self._changing:
            known = self._by_content.get(key)
            handle = known() if known is not None else None
            if handle is not None and _same(handle.content, parts):
                return handle
            made: Shared[T] = Shared(self, self._content(parts), length=_length(value))
            self._by_content[key] = weakref.ref(made)
            stale = [old for old, ref in self._by_content.items() if ref() is None]
            for old in stale:
                del self._by_content[old]
        return made

    def noted(self, handle: Shared[Any]) -> None:
        """A handle was met while arguments were pickled."""
        self._noted.append(handle)

    def take_noted(self) -> tuple[Shared[Any], ...]:
        """Return the handles that were met since the last question."""
        if not self._noted:
            return ()
        noted = tuple(dict.fromkeys(self._noted))
        self._noted.clear()
        return noted

    def gone(self, number: int, fd: int | None) -> None:
        """The last reference to a handle went, in some thread."""
        if fd is not None:
            os.close(fd)
        for tell in self.on_gone:
            tell(number)

    def _content(self, parts: list[memoryview]) -> Content:
        sizes = [len(part) for part in parts]
        if sum(sizes) >= _SAMPLE_BYTES:
            try:
                return Content(sizes, _in_memory(parts), b"")
            except OSError as error:
                self.trouble = f"no shared memory for a shared object: {error}"
        return Content(sizes, None, pack_sizes(sizes) + b"".join(parts))


def _parts(value: Any) -> list[memoryview]:
    encoded = encode(value)
    if isinstance(encoded, bytes):
        return [memoryview(encoded)]
    stream = encoded.stream[0] if len(encoded.stream) == 1 else b"".join(encoded.stream)
    return [memoryview(stream).cast("B"), *encoded.buffers]


def _length(value: Any) -> int | None:
    try:
        return len(value)
    except Exception:  # noqa: BLE001 - because: it is the user's __len__, and nobody asked for it yet
        return None


def _in_memory(parts: list[memoryview]) -> int:
    """Write the parts to aligned places of a memory file.

    Through write(2), which lets other threads run meanwhile, so that a thread can share something
    large beside a loop that goes on.
    """
    make = getattr(os, "memfd_create", None)
    if make is None:
        raise OSError("this system has no memfd_create")
    fd: int = make("lanewise-shared")
    try:
        at = 0
        for part in parts:
            done = 0
            while done < len(part):
                done += os.pwrite(fd, part[done : done + 2**30], at + done)
            at = aligned(at + len(part))
        os.ftruncate(fd, max(at, 1))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _samples(part: memoryview) -> tuple[int, int]:
    return zlib.crc32(part[:_SAMPLE_BYTES]), zlib.crc32(part[-_SAMPLE_BYTES:])


def _same(content: Content, parts: list[memoryview]) -> bool:
    if content.fd is None:
        return content.inline == pack_sizes([len(part) for part in parts]) + b"".join(parts)
    at = 0
    for part in parts:
        for begin in range(0, len(part), 2**20):
            piece = part[begin : begin + 2**20]
            if os.pread(content.fd, len(piece), at + begin) != piece:
                return False
        at = aligned(at + len(part))
    return True
