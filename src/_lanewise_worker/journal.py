"""What a chunk's items gave, kept where the parent finds it when this worker dies."""

from __future__ import annotations

import io
import marshal
import pickle
from collections.abc import Callable, Iterator
from typing import Any

from _lanewise_worker import wire
from _lanewise_worker.forked import Forked

# What marshal carries faithfully and in half of pickle's time. Exact types: no subclass. No tuple, which
# is what marks an entry of another kind.
_PLAIN = frozenset((int, float, str, bytes, bool, type(None)))
_PICKLE = 0
_EXCEPTION = 1


class Journal:
    """Runs items and notes what they gave. Owner: the worker's main thread.

    An entry is the marshalled result, or a marshalled tuple of a kind and bytes. The parent reads them
    only when the worker has ended, so no order of stores need be kept beyond "first the entry, then the
    count". Both counters are zeroed by the worker before it says that a chunk has begun.

    Args:
        words: The counters of the shared page.
        page: All of it.
        forked: Tells copies of this process, which have the page too.
        pack: Turns what an item raised into bytes.
    """

    def __init__(
        self,
        words: memoryview,
        page: memoryview,
        forked: Forked,
        pack: Callable[[BaseException], bytes],
    ) -> None:
        self._words = words
        self._page = page
        self._forked = forked
        self._pack = pack

    def fill(
        self,
        function: Callable[[Any], Any],
        items: Iterator[Any],
        results: list[Any],
        failed: dict[int, bytes],
    ) -> bool:
        """Call the function with items until one gives what finds no room here; True after the last.

        Every item passes here, so this is written for speed: what an item gave is noted before the next
        one begins, for the price of a marshal and two stores.

        Args:
            function: Of one argument.
            items: Goes on where an earlier call stopped.
            results: An empty list, which gets what the items returned.
            failed: Gets what items raised, packed, by their place in ``results``.
        """
        words, page, end, dumps = self._words, self._page, len(self._page), marshal.dumps
        at, forked = wire.JOURNAL_AT, self._forked
        for count, item in enumerate(items, 1):
            try:
                result = function(item)
            except BaseException as error:  # noqa: BLE001 - because: the caller decides what it is worth
                if forked.here:
                    forked.end(error)
                failed[count - 1] = packed = self._pack(error)
                results.append(None)
                entry = dumps((_EXCEPTION, packed))
            else:
                if forked.here:
                    forked.end()
                results.append(result)
                entry = dumps(result) if type(result) in _PLAIN else _pickled(result)
            begin, at = at, at + len(entry)
            if at > end or not entry:
                return False
            page[begin:at] = entry
            words[wire.JOURNALED] = count
        return True

    def flushed(self, count: int) -> None:
        """So many results were sent just now: all that stood here, and the one that did not fit."""
        # In this order: after the first line nothing stands here, after the second the next entry's place
        # is right. The parent has what was sent either way.
        self._words[wire.JOURNALED] = 0
        self._words[wire.FLUSHED] += count


def _pickled(result: Any) -> bytes:
    """Return an entry; an empty one for what is too large or has no pickle: sending it will tell."""
    if getattr(result, "nbytes", 0) > wire.PAGE_BYTES:
        return b""
    try:
        return marshal.dumps((_PICKLE, pickle.dumps(result, 5)))
    except BaseException:  # noqa: BLE001 - because: __reduce__ may raise anything
        return b""


def read_journal(words: memoryview, page: memoryview) -> tuple[int, list[Any]]:
    """Return the place of the first entry in its chunk, and the entries, for :func:`load_entry`.

    Only for a worker that has ended.
    """
    first, count = words[wire.FLUSHED], words[wire.JOURNALED]
    source = io.BytesIO(page[wire.JOURNAL_AT :])
    # Written by this lane's own worker.
    return first, [marshal.load(source) for _ in range(count)]  # noqa: S302 - because: see above


def load_entry(entry: Any) -> tuple[bool, Any]:
    """Return whether the item failed, and what it gave: its result, or what it raised, packed.

    Raises:
        Exception: The result cannot be made again on this side.
    """
    if type(entry) is not tuple:
        return False, entry
    kind, data = entry
    return kind == _EXCEPTION, (
        data if kind == _EXCEPTION else pickle.loads(data)  # noqa: S301 - because: written by this lane's own worker
    )
