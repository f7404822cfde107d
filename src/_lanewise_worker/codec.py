"""Values as bytes: pickle protocol 5, with large buffers beside the pickle instead of in it.

Small values, which are nearly all, become one ``bytes`` object. Large ones stay where they are and are
only named (:class:`Encoded`), so that who sends them copies them once, to where the receiver reads them.
A value is pickled once, whatever it turns out to be: ``__reduce__`` and its like run once.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

# Below this much a value travels in its frame: a socket moves it faster than anything else could.
INLINE_BYTES = 65_536
# Smaller buffers stay in the pickle: naming one costs about as much as copying this much.
_SMALL_BUFFER_BYTES = 4_096
# A pickler that has written this much is not kept: its own buffer has grown, and so may its count of what
# stayed in the pickle, which begins with buffers of this size.
_KEEP_PICKLER_BYTES = _SMALL_BUFFER_BYTES
# What pickles as one piece whatever its size: text is copied once in either way.
_PLAIN = frozenset((int, float, bool, str, type(None)))

_dumps = pickle.dumps


class Encoded:
    """A large value, pickled but not yet copied anywhere.

    It refers to the value's own memory: what changes there before the copy is made arrives changed.

    Attributes:
        stream: The pickle, in pieces. Large ``bytes`` objects of the value are pieces themselves.
        stream_bytes: Their length.
        buffers: Contiguous buffers beside the pickle, as bytes; the value's own memory.
        buffer_bytes: Their length.
    """

    __slots__ = ("buffer_bytes", "buffers", "stream", "stream_bytes")

    def __init__(self, stream: list[bytes], buffers: list[memoryview]) -> None:
        self.stream = stream
        self.stream_bytes = sum(map(len, stream))
        self.buffers = buffers
        self.buffer_bytes = sum(buffer.nbytes for buffer in buffers)


class _Pickler:
    """A pickler with the file that it writes to. Owner: who took it from the spare ones.

    Given a file, the C pickler hands large bytes objects over as they are. Making one costs more than
    pickling a small value does, so it is used again.
    """

    __slots__ = ("buffers", "clear", "dump", "pieces", "write")

    def __init__(self) -> None:
        pieces: list[bytes] = []
        buffers: list[memoryview] = []
        append = pieces.append
        in_band_bytes = 0

        def write(data: Any) -> None:
            # Text comes as a view of memory that may not outlive this call, a bytearray as itself; a
            # view of that one would forbid its owner to resize it.
            append(data if type(data) is bytes else bytes(data))

        def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
            nonlocal in_band_bytes
            try:
                raw = buffer.raw()
            except BufferError:  # not contiguous, which pickle refuses in its own words
                return True
            if raw.nbytes < _SMALL_BUFFER_BYTES:
                return True
            # The first ones stay in the pickle until the value is known to be large, so that a value
            # which is not needs no second pickle.
            in_band_bytes += raw.nbytes
            if in_band_bytes < INLINE_BYTES:
                return True
            buffers.append(raw)
            return False

        self.pieces = pieces
        self.buffers = buffers
        self.write = write
        pickler = pickle.Pickler(self, 5, buffer_callback=keep_in_band)
        self.dump = pickler.dump
        self.clear = pickler.clear_memo

    def forget(self) -> None:
        """Let go of the value: this object and its functions refer to each other and may live on."""
        self.clear()
        self.pieces.clear()
        self.buffers.clear()


# Picklers that nobody uses now. Any thread takes and returns them: pop and append of a list are atomic
# operations, with the GIL and without. A pickle within a pickle takes another one.
_spare: list[_Pickler] = []


def encode_arguments(
    args: tuple[Any, ...], kwargs: dict[str, Any], *beside: tuple[tuple[int, int], ...]
) -> bytes | Encoded:
    """Pickle the arguments of a call as ``(args, kwargs, *beside)``; see :func:`encode`."""
    if kwargs:
        return encode((args, kwargs, *beside))
    for value in args:
        if type(value) not in _PLAIN:
            return encode((args, kwargs, *beside))
    data = _dumps((args, kwargs, *beside), 5)
    return data if len(data) < INLINE_BYTES else Encoded([data], [])


def encode(value: Any) -> bytes | Encoded:
    """Pickle a value. In any thread.

    Returns:
        Bytes for a value of less than ``INLINE_BYTES``, otherwise what is to be copied to the receiver.

    Raises:
        Exception: Whatever pickling raises.
    """
    if type(value) in _PLAIN:
        data = _dumps(value, 5)
        return data if len(data) < INLINE_BYTES else Encoded([data], [])
    try:
        pickler = _spare.pop()
    except IndexError:
        pickler = _Pickler()
    try:
        pickler.dump(value)
        data = pickler.pieces.pop()
    except BaseException:
        pickler.forget()
        raise
    if len(data) < _KEEP_PICKLER_BYTES and not pickler.pieces and not pickler.buffers:
        pickler.clear()
        _spare.append(pickler)
        return data
    encoded = Encoded([*pickler.pieces, data], pickler.buffers.copy())
    pickler.forget()
    if encoded.stream_bytes < INLINE_BYTES and not encoded.buffers:
        return b"".join(encoded.stream)
    return encoded


def decode(stream: Any, buffers: Sequence[Any] = ()) -> Any:
    """Make the value again; its buffers are views of those given.

    Args:
        stream: The pickle: ``bytes`` or another contiguous buffer.
        buffers: What stood beside it, in the same order.

    Raises:
        Exception: Whatever unpickling raises.
    """
    if not buffers:
        return pickle.loads(stream)  # noqa: S301 - because: from the own parent or worker
    return pickle.loads(stream, buffers=buffers)  # noqa: S301 - because: as above
