"""What a program's children computed while nobody looked at them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from lanewise.diagnose.target import cpu_seconds_of, descendants

# Less than this share of a core is what any helper process takes.
_MUCH = 0.05


class LeftOut:
    """Counts what the descendants of a process compute, from its making on.

    Args:
        root: The process.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._began_s = time.monotonic()
        self._before = self._computed()

    def notes(self, *, followed: bool) -> Iterator[str]:
        """Say what was missed, where that was much; nothing where the children were looked at."""
        if followed:
            return
        wall_s = time.monotonic() - self._began_s
        rises = [now_s - self._before.get(pid, 0.0) for pid, now_s in self._computed().items()]
        computing = [rise_s for rise_s in rises if rise_s > 0]
        if sum(computing) > _MUCH * wall_s:
            yield (
                f"child processes ({len(computing)}) computed for {sum(computing):.1f} s of these "
                f"{wall_s:.1f} s and were not looked at: add --follow"
            )

    def _computed(self) -> dict[int, float]:
        return {pid: cpu_seconds_of(pid) for pid in descendants(self._root)}
