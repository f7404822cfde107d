"""What a chunk's items gave, kept where the parent finds it when this worker dies."""

from __future__ import annotations

import marshal
import pickle
from typing import Any

from _lanewise_worker import wire

# What marshal carries faithfully and in half of pickle's time. Exact types: no subclass.
_PLAIN = frozenset((int, float, str, bytes, bool, type(None)))

_ROOM_BYTES = wire.PAGE_BYTES - wire.JOURNAL_AT

_MARSHAL = 0
_PICKLE = 1
_EXCEPTION = 2


class Journal:
    """Results of the running chunk that were not sent yet. Owner: the worker's main thread.

    The parent reads it only when the worker has ended, so no order of stores need be kept beyond
    "first the entry, then the count".
    """

    def __init__(self, words: memoryview, page: memoryview) -> None:
        self._words = words
        self._page = page
        self._end = len(page)
        self._at = wire.JOURNAL_AT
        self._count = 0

    def begin(self) -> None:
        """A new chunk begins."""
        self._words[wire.JOURNALED] = 0
        self._words[wire.FLUSHED] = 0
        self._at = wire.JOURNAL_AT
        self._count = 0

    def note(self, result: Any, failed: bytes | None) -> bool:
        """Note what an item gave. False when it must be sent now, for want of room or of a pickle."""
        try:
            if failed is not None:
                entry = b"\2" + failed
            elif type(result) in _PLAIN:
                entry = b"\0" + marshal.dumps(result)
            elif getattr(result, "nbytes", 0) > _ROOM_BYTES:
                return False
            else:
                entry = b"\1" + pickle.dumps(result, 5)
        except BaseException:  # noqa: BLE001 - because: __reduce__ may raise anything; sending will tell
            return False
        length = len(entry)
        begin = self._at + 4
        end = begin + length
        if end > self._end:
            return False
        self._page[self._at : begin] = length.to_bytes(4, "little")
        self._page[begin:end] = entry
        self._at = end
        self._count += 1
        self._words[wire.JOURNALED] = self._count
        return True

    def flushed(self, count: int) -> None:
        """So many results were sent just now: all that stood here, and the one that did not fit."""
        # In this order a death between the two lines makes the parent see results twice, which it can
        # tell by their place, and never too few.
        self._words[wire.FLUSHED] += count
        self._words[wire.JOURNALED] = 0
        self._at = wire.JOURNAL_AT
        self._count = 0


def read_journal(words: memoryview, page: memoryview) -> tuple[int, list[tuple[bool, bytes]]]:
    """Return the place of the first entry in its chunk, and the entries as (failed, data).

    Only for a worker that has ended. ``data`` is given to :func:`load_entry`.
    """
    first, count = words[wire.FLUSHED], words[wire.JOURNALED]
    entries: list[tuple[bool, bytes]] = []
    at = wire.JOURNAL_AT
    for _ in range(count):
        length = int.from_bytes(page[at : at + 4], "little")
        entry = bytes(page[at + 4 : at + 4 + length])
        entries.append((entry[0] == _EXCEPTION, entry))
        at += 4 + length
    return first, entries


def load_entry(entry: bytes) -> Any:
    """Make the value of an entry again; of a failed one, the packed exception.

    Raises:
        Exception: The value cannot be made again on this side.
    """
    data = memoryview(entry)[1:]
    if entry[0] == _MARSHAL:
        return marshal.loads(data)  # noqa: S302 - because: written by this lane's own worker
    if entry[0] == _PICKLE:
        return pickle.loads(data)  # noqa: S301 - because: written by this lane's own worker
    return bytes(data)
