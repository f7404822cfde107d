"""How many items of a ``map`` travel together: pure, no clock."""

from __future__ import annotations

# What one chunk is to take. A chunk costs about a tenth of a millisecond beside its work, so this loses
# half a percent; and it is how long an item that waits in the middle of a chunk may be late.
TARGET_S = 0.020
_MAX_ITEMS = 65_536
_GROWTH = 2
# joblib's weights of old and new, in use for a decade.
_NEWEST = 0.2


class ChunkSize:
    """The size of the next chunk: aims at a run time, grows at most twofold, shrinks at once.

    Args:
        target_s: Run time of one chunk.
        largest: Never more items than this.
    """

    def __init__(self, target_s: float = TARGET_S, largest: int = _MAX_ITEMS) -> None:
        self._target_s = target_s
        self._largest = max(1, largest)
        self._item_s: float | None = None
        self.items = 1

    def ran(self, items: int, run_time_s: float) -> None:
        """A chunk of so many items took so long."""
        item_s = max(run_time_s / items, 1e-9)
        if self._item_s is None or item_s > 2 * self._item_s:
            self._item_s = item_s  # slower than thought: what was known is of no use
        else:
            self._item_s += _NEWEST * (item_s - self._item_s)
        wanted = int(self._target_s / self._item_s)
        if items < self.items and wanted > self.items:
            return  # a smaller chunk, sent before this size was chosen, says nothing for a larger one
        self.items = max(1, min(wanted, _GROWTH * self.items, self._largest))
