"""Values between two interpreters of one process: a pickle in pieces, and buffers that are not copied.

Both sides see the same memory, so what is large is only named. A pickle's pieces are read where they lie,
and each large ``bytes`` object is made from its piece by a single copy. It cannot be less, for an object
belongs to the interpreter that made it; a buffer can, and is: the receiver gets a view of it.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from _lanewise_worker.codec import Encoded
from _lanewise_worker.shared_memory import copy_into

# What memoryview.cast() makes again.
_FORMATS = frozenset("cbB?hHiIlLqQnNefdP")
# Pieces from here on are copied while other threads of the interpreter run.
_LARGE_BYTES = 262_144


class View:
    """A memoryview on its way: pickle itself takes none.

    It arrives read-only, whatever it was: who runs a call must not change its caller's memory.
    """

    __slots__ = ("_view",)

    def __init__(self, view: memoryview) -> None:
        self._view = view

    def __reduce__(self) -> tuple[Any, ...]:
        view = self._view
        if view.format.lstrip("@") not in _FORMATS:
            raise TypeError(
                f"a memoryview of format {view.format!r} cannot cross between interpreters: cast it "
                "to bytes"
            )
        flat = view.toreadonly() if view.c_contiguous else memoryview(view.tobytes())
        return view_again, (pickle.PickleBuffer(flat), view.format, view.shape)


def view_again(buffer: Any, form: str, shape: tuple[int, ...]) -> memoryview:
    """Return the memoryview that a :class:`View` stood for."""
    view = memoryview(buffer).toreadonly().cast("B")
    if not view.nbytes or (form == "B" and len(shape) == 1):
        return view
    return view.cast(form.lstrip("@"), shape)  # type: ignore[call-overload, no-any-return]  # because: any of _FORMATS


def wrapped(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values with a :class:`View` in the place of each memoryview."""
    if memoryview not in map(type, values):
        return values
    return tuple([View(one) if type(one) is memoryview else one for one in values])


class Pieces:
    """A pickle in pieces, as the file that an unpickler reads. Owner: the thread that unpickles.

    Large pieces are whole ``bytes`` objects, which the unpickler asks for with one ``readinto``.
    """

    def __init__(self, pieces: Sequence[memoryview]) -> None:
        self._pieces = pieces
        self._piece = 0
        self._at = 0

    def readinto(self, target: Any) -> int:
        """Fill the target; return how much there was."""
        place = memoryview(target)
        filled = 0
        while filled < place.nbytes and self._piece < len(self._pieces):
            piece = self._pieces[self._piece]
            taken = min(place.nbytes - filled, piece.nbytes - self._at)
            with piece[self._at : self._at + taken] as part:
                if taken >= _LARGE_BYTES:
                    copy_into(place, filled, part)
                else:
                    place[filled : filled + taken] = part
            filled += taken
            self._at += taken
            if self._at == piece.nbytes:
                self._piece, self._at = self._piece + 1, 0
        return filled

    def read(self, size: int) -> bytes:
        """Return so many bytes; fewer at the end."""
        if self._piece < len(self._pieces):
            piece = self._pieces[self._piece]
            if size <= piece.nbytes - self._at:  # in one piece, as nearly always: a single copy
                with piece[self._at : self._at + size] as part:
                    self._at += size
                    return bytes(part)
        data = bytearray(size)
        filled = self.readinto(data)
        return bytes(data[:filled])

    def readline(self) -> bytes:
        """Return what stands up to the next line's end, which only old opcodes ask for."""
        line = bytearray()
        while not line.endswith(b"\n") and (letter := self.read(1)):
            line += letter
        return bytes(line)


def put(put_nowait: Callable[[Any], None], encoded: Encoded) -> None:
    """Hand a value's memory to the other side, which takes it with :func:`take`."""
    put_nowait((tuple([memoryview(piece) for piece in encoded.stream]), tuple(encoded.buffers)))


def take(
    taken: tuple[tuple[memoryview, ...], tuple[memoryview, ...]],
    keep: Callable[[memoryview], Any],
) -> Any:
    """Make a value again.

    Args:
        taken: What :func:`put` handed over.
        keep: Makes of a buffer what the value is to hold; the buffer may be released afterwards if that
            is not the buffer itself.

    Raises:
        Exception: Whatever unpickling raises.
    """
    stream, buffers = taken
    kept = [keep(buffer) for buffer in buffers]
    try:
        return pickle.Unpickler(Pieces(stream), buffers=kept).load()  # noqa: S301 - because: from the own process
    finally:
        release(stream)
        release(buffer for buffer, own in zip(buffers, kept, strict=True) if buffer is not own)


def release(views: Iterable[memoryview]) -> None:
    """Let go of the other side's memory now, and not when the last traceback that knows it has gone.

    A view must not outlive the interpreter whose memory it shows.
    """
    for view in views:
        view.release()


def lent(buffer: memoryview) -> Any:
    """What a call gets of its caller's buffer: the memory itself to read, a copy of it to write to."""
    return buffer if buffer.readonly else bytearray(buffer)


def copied(buffer: memoryview) -> Any:
    """What the caller gets of a call's buffer: a copy, for the interpreter that owns it may end."""
    own = bytearray(buffer.nbytes)
    copy_into(memoryview(own), 0, buffer)
    return memoryview(own).toreadonly() if buffer.readonly else own


def size_bytes(taken: tuple[tuple[memoryview, ...], tuple[memoryview, ...]]) -> int:
    """How many bytes were handed over."""
    return sum(view.nbytes for part in taken for view in part)
