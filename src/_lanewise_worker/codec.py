"""Values as bytes: pickle protocol 5, with large buffers beside the pickle instead of in it.

Small values, which are nearly all, become one ``bytes`` object. Large ones stay where they are and are
only named (:class:`Encoded`), so that who sends them copies them once, to where the receiver reads them.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from typing import Any

# Below this much a value travels in its frame: a socket moves it faster than anything else could.
INLINE_BYTES = 65_536
# Smaller buffers stay in the pickle: naming one costs about as much as copying this much.
_SMALL_BUFFER_BYTES = 4_096
# How many values of a container are looked at before pickling.
_LOOK_AT = 16

_ATOMS = frozenset((int, float, bool, type(None)))
_SIZED = frozenset((str, bytes, bytearray))

_dumps = pickle.dumps


class Encoded:
    """A large value, pickled but not yet copied anywhere.

    Attributes:
        stream: The pickle, in pieces. Large bytes objects of the value are pieces themselves.
        stream_bytes: Their length.
        buffers: Contiguous buffers beside the pickle, as bytes; the value's own memory.
        buffer_bytes: Their length.
    """

    __slots__ = ("buffer_bytes", "buffers", "stream", "stream_bytes")

    def __init__(self, stream: list[Any], buffers: list[memoryview]) -> None:
        self.stream = stream
        self.stream_bytes = sum(len(piece) for piece in stream)
        self.buffers = buffers
        self.buffer_bytes = sum(buffer.nbytes for buffer in buffers)


class _Pieces:
    """What the pickler writes to. It hands over large bytes objects as they are, without a copy."""

    __slots__ = ("pieces",)

    def __init__(self) -> None:
        self.pieces: list[Any] = []

    def write(self, data: Any) -> int:
        # Some versions hand over views of memory that they reuse.
        self.pieces.append(data if type(data) is bytes else bytes(data))
        return len(data)


def encode_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes | Encoded:
    """Pickle the arguments of a call as ``(args, kwargs)``; see :func:`encode`."""
    if not kwargs:
        for value in args:
            kind = type(value)
            if kind not in _ATOMS and (kind not in _SIZED or len(value) >= _SMALL_BUFFER_BYTES):
                break
        else:
            if len(args) <= _LOOK_AT:
                return _dumps((args, kwargs), 5)
    if _has_large_bytes(args) or (kwargs and _has_large_bytes(kwargs.values())):
        return _encode_in_pieces((args, kwargs))
    return _encode_at_once((args, kwargs))


def encode(value: Any) -> bytes | Encoded:
    """Pickle a value.

    Returns:
        Bytes for a small value, otherwise what is to be copied to the receiver.

    Raises:
        Exception: Whatever pickling raises.
    """
    kind = type(value)
    if kind in _ATOMS:
        return _dumps(value, 5)
    if kind in _SIZED:
        large = len(value) >= INLINE_BYTES
    elif kind is tuple or kind is list:
        large = _has_large_bytes(value)
    elif kind is dict:
        large = _has_large_bytes(value.values())
    else:
        large = False
    return _encode_in_pieces(value) if large else _encode_at_once(value)


def _has_large_bytes(values: Iterable[Any]) -> bool:
    """Whether some of the first values are large bytes or text, which pickling would copy."""
    for count, value in enumerate(values):
        if type(value) in _SIZED and len(value) >= INLINE_BYTES:
            return True
        if count == _LOOK_AT:
            break
    return False


def _encode_at_once(value: Any) -> bytes | Encoded:
    buffers: list[pickle.PickleBuffer] = []
    data = _dumps(value, 5, buffer_callback=buffers.append)
    if not buffers:
        return data if len(data) < INLINE_BYTES else Encoded([data], [])
    try:
        raw = [buffer.raw() for buffer in buffers]
    except BufferError:  # some are not contiguous: only the pickler can decide which
        return _encode_in_pieces(value)
    if len(data) + sum(buffer.nbytes for buffer in raw) < INLINE_BYTES:
        return _dumps(
            value, 5
        )  # so little that a second pickle costs less than carrying them apart
    return Encoded([data], raw)


def _encode_in_pieces(value: Any) -> bytes | Encoded:
    """Pickle so that large bytes objects are handed over as they are."""
    sink = _Pieces()
    buffers: list[memoryview] = []

    def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:
            return True
        if raw.nbytes < _SMALL_BUFFER_BYTES:
            return True
        buffers.append(raw)
        return False

    pickle.Pickler(sink, 5, buffer_callback=keep_in_band).dump(value)
    encoded = Encoded(sink.pieces, buffers)
    if not buffers and encoded.stream_bytes < INLINE_BYTES:
        return b"".join(sink.pieces)
    return encoded


def decode(stream: Any, buffers: Sequence[Any] = ()) -> Any:
    """Make the value again; its buffers are views of those given.

    Raises:
        Exception: Whatever unpickling raises.
    """
    return pickle.loads(stream, buffers=buffers)  # noqa: S301 - because: from the own parent or worker
