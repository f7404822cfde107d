"""The frames that a process lane and its workers speak over one private stream socket.

A frame is a head and a body. The head holds the body's length, what kind of frame it is, flags, one
number whose meaning depends on the kind, and the sequence number of the call that it is about. Both
sides run on one machine, so the byte order is the machine's own.
"""

from __future__ import annotations

import struct

HEAD = struct.Struct("=QBBIQ")
HEAD_BYTES = HEAD.size
LENGTH = struct.Struct("=I")

# From the parent to the worker. The head's number is given in brackets.
CALL = 1  # a call [function's number, 0: the function is in the body]
DEFINE = 2  # what a function's number stands for [that number]
CHUNK = 3  # one function over many items, as one call [function's number]
STREAM = 4  # a generator function, whose items are sent one by one [function's number]
CREDIT = 5  # room for more items of the running stream [how many]; it begins with STREAM_WINDOW
STOP = 6  # close the running stream
SHARE = 7  # an object that later calls refer to [its number]
DROP = 8  # such an object is not needed any more [its number]
EXIT = 9  # leave
TRIM = 10  # give back memory that is kept for results

# From the worker to the parent.
READY = 32  # imports are done [process id]
RESULT = 33  # a call returned [TENTH_US of run time]
ERROR = 34  # a call raised, or could not be run [run time]
PART = 35  # results of a chunk's first items, sent early [how many]
ITEM = 36  # a stream's next item
SKIPPED = 37  # a recalled call: never started, never will
LOG = 38
WARNING = 39
IMPORTED = 40  # modules that a call was the first to need
FACTS = 41  # what a watched call cost, sent before its result, see probe.py

# Both ways: segments of shared memory, see segments.py [segment's number].
FREED = 48  # the receiver lets go of the sender's segment
FORGET = 49  # the sender drops its segment

# Flags.
EMPTY = 1  # CALL: no arguments. RESULT: None. There is no body then
SEGMENT = 2  # the body lies in a segment of shared memory; the frame's body says where
EXTRA = 4  # CALL, CHUNK, STREAM: deadline and context stand before the arguments
PRINTED = 8  # the call wrote to stdout or stderr, which must be read first
ENDED = 16  # ITEM: there was no further item. RESULT of a stream or chunk
BUFFERS = 64  # the body holds out-of-band buffers after the pickle, see crossing.py
WATCHED = 128  # CALL: tell what it costs
HELD = 32  # ERROR: the call never started: its arguments could not be made again

# Items that a stream may be ahead of its consumer.
STREAM_WINDOW = 16

# Words of the page that parent and worker share; 8 bytes each, written whole by one side alone.
STARTED = 0  # worker: the last call that it began
RECALLED = 1  # parent: calls up to this one that have not begun must not
JOURNALED = 2  # worker: results that stand in the journal
FLUSHED = 3  # worker: results that were sent before those
JOURNAL_AT = 64  # the byte where the journal begins
PAGE_BYTES = 65_536

# The unit of run times in a head, and the longest that fits.
TICKS_PER_S = 10_000_000
MAX_TICKS = 2**32 - 1


def frame(kind: int, body: bytes = b"", *, flags: int = 0, number: int = 0, seq: int = 0) -> bytes:
    """Return one frame."""
    return HEAD.pack(len(body), kind, flags, number, seq) + body


# A frame that has arrived: kind, flags, number, sequence number, body.
Frame = tuple[int, int, int, int, bytes | bytearray]


class Frames:
    """Cuts a stream of bytes into frames. Owner: who reads the socket.

    A frame that is still incomplete costs one growing buffer of its own, so that a large body is
    not copied anew with every piece that arrives.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._body: bytearray | None = None
        self._filled = 0
        self._full = bytearray()
        self._head: tuple[int, int, int, int] = (0, 0, 0, 0)

    def feed(self, data: bytes) -> list[Frame]:
        """Return every frame that is complete now."""
        frames: list[Frame] = []
        at = 0
        if self._body is not None:
            at = self._fill(data)
            if self._body is not None:
                return frames
            frames.append((*self._head, self._full))
        elif self._rest:
            data = self._rest + data
            self._rest = b""
        end = len(data)
        while at + HEAD_BYTES <= end:
            length, kind, flags, number, seq = HEAD.unpack_from(data, at)
            begin = at + HEAD_BYTES
            at = begin + length
            if at > end:
                self._head = (kind, flags, number, seq)
                self._body = bytearray(length)
                self._filled = end - begin
                self._body[: self._filled] = data[begin:]
                return frames
            frames.append((kind, flags, number, seq, data[begin:at]))
        if at < end:
            self._rest = data[at:]
        return frames

    def _fill(self, data: bytes) -> int:
        """Add to the body that is being collected; return how much of the data it took."""
        assert self._body is not None
        taken = min(len(data), len(self._body) - self._filled)
        self._body[self._filled : self._filled + taken] = data[:taken]
        self._filled += taken
        if self._filled == len(self._body):
            self._full, self._body = self._body, None
        return taken
