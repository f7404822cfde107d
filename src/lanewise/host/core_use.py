"""How much of the cores other programs take: what the kernel counts as busy, less one's own processes."""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path

from _lanewise_worker.orphans import children

# The kernel counts in hundredths of a second, for each core and each process: a share over less
# time than this would be mostly rounding.
_LEAST_S = 0.3
_STAT = Path("/proc/stat")
# Fields of a line of /proc/stat, in proc(5): user nice system idle iowait irq softirq steal ...
_IDLE = (3, 4)
_STEAL = 7


class OthersShare:
    """Tells which share of the usable cores others took lately. Owner: one thread.

    Others are all processes that are neither this one nor descend from it, and the machine's host
    (steal time). Where the kernel does not tell (elsewhere than on Linux), nobody else is seen.
    """

    def __init__(self) -> None:
        self._ticks_per_s = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
        self._seen: deque[tuple[float, float]] = deque()
        self._cores = 1
        self.share()

    def share(self) -> float:
        """Return the share since the last look that is long enough ago, between 0 and 1."""
        now_s = time.monotonic()
        others_s = self._others_s()
        if others_s is None:
            return 0.0
        while len(self._seen) > 1 and now_s - self._seen[1][0] >= _LEAST_S:
            self._seen.popleft()
        self._seen.append((now_s, others_s))
        began_s, before_s = self._seen[0]
        elapsed_s = now_s - began_s
        if elapsed_s < _LEAST_S:
            return 0.0
        return min(1.0, max(0.0, (others_s - before_s) / elapsed_s / self._cores))

    def _others_s(self) -> float | None:
        try:
            cores = os.sched_getaffinity(0)
            lines = _STAT.read_text(encoding="ascii").splitlines()
        except (OSError, AttributeError):
            return None
        busy, found = 0, 0
        for line in lines:
            name, _, rest = line.partition(" ")
            if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in cores:
                # Time of guests, which follows, is part of user time already.
                counts = [int(count) for count in rest.split()[: _STEAL + 1]]
                busy += sum(count for at, count in enumerate(counts) if at not in _IDLE)
                found += 1
        if not found:
            return None
        self._cores = found
        return (busy - sum(map(_ticks, _tree(os.getpid())))) / self._ticks_per_s


def _tree(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        found += children(one)
    return found


def _ticks(pid: int) -> int:
    """What a process and those of its children that have ended took; 0 for one that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    # The name in parentheses may hold anything; utime, stime, cutime and cstime follow as 14 to 17.
    return sum(int(field) for field in text.rpartition(")")[2].split()[11:15])
