"""How much of the machine a program may have: cores, the cgroup's quota, and what others take of them."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lanewise.diagnose.session import ProcessRecord, Room

_PROC = Path("/proc")
_TREE = Path("/sys/fs/cgroup")
# Fields of a core's line in /proc/stat that are time spent: all but idle and iowait. What a guest
# ran stands in "user" as well; what the hypervisor stole was used by others.
_SPENT = (0, 1, 2, 5, 6, 7)
_USER_TIME, _SYSTEM_TIME = 11, 12  # "utime" and "stime" of proc(5), counted behind the name
# Less than this is the machine's own housekeeping, or the counters' granularity.
_LEAST_OTHERS = 0.03
_SHORTEST_S = 0.1


@dataclass(frozen=True, slots=True)
class Quota:
    """What a cgroup may use.

    Attributes:
        cores: So many cores' worth of time.
        usage: The file that counts what it used.
        key: The word of the file's line; empty where the file is one number.
        per_s: The counter's units in a second.
    """

    cores: float
    usage: Path
    key: str
    per_s: float

    def used_s(self) -> float | None:
        """Seconds that the cgroup used since it was made; None where that is not told."""
        try:
            lines = [line.split() for line in self.usage.read_text().splitlines()]
            return next(
                float(words[-1]) / self.per_s
                for words in lines
                if not self.key or words[0] == self.key
            )
        except (OSError, ValueError, IndexError, StopIteration):
            return None


def quota_of(pid: int, proc: Path = _PROC, tree: Path = _TREE) -> Quota | None:
    """The tightest quota on a process among its cgroup and all that this one is part of.

    cgroup v2 keeps "quota period" in ``cpu.max``, v1 keeps them in two files. What ``/proc/PID/cgroup``
    names is seen from the reader's namespace; inside a container the own group is the tree's root.
    """
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    found: list[Quota] = []
    for line in lines:
        number, names, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not names:
            found += filter(None, map(_second, _ancestors(tree, path)))
            found += filter(None, map(_second, _ancestors(tree / "unified", path)))
        elif "cpu" in names.split(","):
            roots = (tree / names, tree / "cpu")
            found += filter(None, (_first(one) for root in roots for one in _ancestors(root, path)))
    return min(found, key=lambda quota: quota.cores, default=None)


def _ancestors(root: Path, path: str) -> list[Path]:
    parts = [part for part in path.split("/") if part and part != ".."]
    return [root.joinpath(*parts[:count]) for count in range(len(parts), -1, -1)]


def _second(folder: Path) -> Quota | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()[:2]
        if quota != "max" and int(quota) > 0 and int(period) > 0:
            return Quota(int(quota) / int(period), folder / "cpu.stat", "usage_usec", 1e6)
    except (OSError, ValueError):
        pass
    return None


def _first(folder: Path) -> Quota | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    if quota <= 0 or period <= 0:
        return None
    return Quota(quota / period, folder / "cpuacct.usage", "", 1e9)


def usable_cores_of(pid: int, proc: Path = _PROC, tree: Path = _TREE) -> int:
    """How many cores the process may use: its affinity, and as many as its quota keeps busy."""
    cores = len(_affinity(pid))
    quota = quota_of(pid, proc, tree)
    return max(1, cores if quota is None else min(cores, math.ceil(quota.cores)))


def _affinity(pid: int) -> frozenset[int]:
    try:
        return frozenset(os.sched_getaffinity(pid))
    except (OSError, AttributeError):
        return frozenset(range(os.cpu_count() or 1))


class Surroundings:
    """What others use of a program's cores and quota while it is looked at. Owned by one thread.

    Args:
        pid: The program's first process; the others that are looked at are taken to share its cores.
        proc, tree: Where the kernel tells about processes and cgroups.
    """

    def __init__(self, pid: int, proc: Path = _PROC, tree: Path = _TREE) -> None:
        self._pid, self._proc = pid, proc
        self._cores = _affinity(pid)
        self._usable = usable_cores_of(pid, proc, tree)
        self._quota = quota_of(pid, proc, tree)
        self._began_s = time.monotonic()
        self._began = self._counters()

    def note(self, records: Sequence[ProcessRecord]) -> None:
        """Tell each record what there was for it, now that its last counters are known."""
        seconds = time.monotonic() - self._began_s
        if seconds < _SHORTEST_S:
            return
        busy_s, used_s, program_s, own_s = (
            None if before is None or now is None else now - before
            for before, now in zip(self._began, self._counters(), strict=True)
        )
        threads_s = sum(thread.run_ns for one in records for thread in one.threads) / 1e9
        # Threads that lived shortly are in the program's own total alone.
        family_s = max(threads_s, program_s or 0.0)
        rooms = []
        if busy_s is not None:
            rooms.append(_room(len(self._cores), busy_s - family_s - (own_s or 0.0), seconds))
        if self._quota is not None:
            in_group_s = 0.0 if used_s is None else used_s - family_s
            rooms.append(_room(self._quota.cores, in_group_s, seconds))
        for record in records:
            if record.cores == self._usable:
                record.rooms = list(rooms)

    def _counters(self) -> tuple[float | None, ...]:
        """Seconds of: the cores, the cgroup, the program's first process, this process."""
        used_s = None if self._quota is None else self._quota.used_s()
        return _busy_s(self._proc, self._cores), used_s, self._program_s(), time.process_time()

    def _program_s(self) -> float | None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (self._proc / str(self._pid) / "stat").read_text().rpartition(")")[2].split()
            ticks = int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])
            return ticks / os.sysconf("SC_CLK_TCK")
        return None


def _room(cores: float, others_s: float, seconds: float) -> Room:
    others = others_s / seconds
    return Room(float(cores), 0.0 if others < _LEAST_OTHERS else min(others, float(cores)))


def _busy_s(proc: Path, cores: Iterable[int]) -> float | None:
    names = {f"cpu{core}" for core in cores}
    try:
        lines = [line.split() for line in (proc / "stat").read_text().splitlines()]
        ticks = [
            sum(int(words[1 + at]) for at in _SPENT)
            for words in lines
            if words and words[0] in names
        ]
    except (OSError, ValueError, IndexError):
        return None
    return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None
