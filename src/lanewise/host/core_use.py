"""How much of the cores other programs take: what the kernel counts as busy, less one's own processes."""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

from _lanewise_worker.orphans import children

# The kernel counts in hundredths of a second, for each core and each process: a share over less
# time than this would be mostly rounding.
_LEAST_S = 0.3
_STAT = Path("/proc/stat")
# Fields of a line of /proc/stat, in proc(5): user nice system idle iowait irq softirq steal ...
_IDLE = (3, 4)
_STEAL = 7


class Counted(NamedTuple):
    """Seconds of the usable cores since the machine was started."""

    others_s: float
    idle_s: float
    cores: int


class OthersShare:
    """Tells which share of the usable cores others took lately from whoever might have wanted them.

    Others are all processes that are neither this one nor descend from it, and the machine's host
    (steal time). As much as stood idle was there to be had, so only what they took beyond that counts:
    half of 64 cores taken by others keeps nobody from two. Where the kernel does not tell (elsewhere
    than on Linux), nobody else is seen.

    Threads: for one.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Counted]] = deque()
        self.share()

    def share(self) -> float:
        """Return the share since the last look that is long enough ago, between 0 and 1."""
        now_s, now = time.monotonic(), counted()
        if now is None:
            return 0.0
        while len(self._seen) > 1 and now_s - self._seen[1][0] >= _LEAST_S:
            self._seen.popleft()
        self._seen.append((now_s, now))
        began_s, before = self._seen[0]
        elapsed_s = now_s - began_s
        if elapsed_s < _LEAST_S:
            return 0.0
        taken_s = (now.others_s - before.others_s) - (now.idle_s - before.idle_s)
        return min(1.0, max(0.0, taken_s / elapsed_s / now.cores))


def counted() -> Counted | None:
    """Return what the kernel has counted, None where it does not tell."""
    try:
        cores = os.sched_getaffinity(0)
        lines = _STAT.read_text(encoding="ascii").splitlines()
    except (OSError, AttributeError):
        return None
    busy, idle, found = 0, 0, 0
    for line in lines:
        name, _, rest = line.partition(" ")
        if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in cores:
            # Time of guests, which follows, is part of user time already.
            counts = [int(count) for count in rest.split()[: _STEAL + 1]]
            busy += sum(count for at, count in enumerate(counts) if at not in _IDLE)
            idle += sum(counts[at] for at in _IDLE)
            found += 1
    if not found:
        return None
    own = sum(map(_ticks, _tree(os.getpid())))
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    return Counted((busy - own) / ticks_per_s, idle / ticks_per_s, found)


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
