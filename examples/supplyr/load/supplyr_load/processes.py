"""What the system knows of a server's processes: found by a mark in their environment.

A process tree forgets children whose parent has died, which are the very ones to look for.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

MARK = "SUPPLYR_LOAD_MARK"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Facts(NamedTuple):
    """All processes of a server together."""

    cpu_s: float
    resident_bytes: int
    open_files: int
    zombies: int
    processes: int


def marked(mark: str) -> list[int]:
    """Return the processes that carry a mark."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return sorted(found)


def _stat(pid: int) -> list[str]:
    # The name, in parentheses, may hold blanks.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_s(pid: int, *, with_ended_children: bool = False) -> float:
    """Return the CPU time of a process, 0 where it has ended.

    With that of its children which it has fetched: killed workers would else take theirs along.
    """
    try:
        fields = _stat(pid)
    except OSError:
        return 0.0
    return sum(map(int, fields[11 : 15 if with_ended_children else 13])) / _TICKS_PER_S


def children(pid: int) -> list[int]:
    """Return the children of a process, those that nobody has fetched included."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if int(_stat(int(entry.name))[1]) == pid:
                    found.append(int(entry.name))
    return found


def facts(mark: str) -> Facts:
    """Return what the processes with a mark take together, their unfetched children included."""
    pids = marked(mark)
    zombies = 0
    total_s, resident, files = 0.0, 0, 0
    for pid in pids:
        with suppress(OSError):
            total_s += cpu_s(pid, with_ended_children=True)
            resident += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
            files += len(os.listdir(f"/proc/{pid}/fd"))
            zombies += sum(_stat(child)[0] == "Z" for child in children(pid))
    return Facts(total_s, resident, files, zombies, len(pids))


def gone_within(mark: str, seconds: float) -> list[int]:
    """Wait until no process with a mark is left; return those that are after so many seconds."""
    until = time.monotonic() + seconds
    left = marked(mark)
    while left and time.monotonic() < until:
        time.sleep(0.02)
        left = marked(mark)
    return left


def kill_marked(mark: str) -> None:
    """Kill what carries a mark, so that one run never disturbs the next."""
    for pid in marked(mark):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
