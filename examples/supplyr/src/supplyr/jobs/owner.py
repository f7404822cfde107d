"""Who runs a job, and whether that process is known to be gone.

A lease that runs out tells it in the end. Where the process ran on this machine, the kernel tells
it at once, so a server that was killed goes on with its jobs as soon as it is started again.
"""

import os
import socket
from pathlib import Path
from uuid import uuid4

_STARTED_FIELD = 21  # of /proc/PID/stat: when the process started, in ticks since boot


def _start_ticks(pid: int) -> str:
    """Return when a process started, "" where there is none or nothing tells."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The name in brackets may hold blanks and brackets itself.
    fields = stat.rpartition(")")[2].split()
    return fields[_STARTED_FIELD - 2] if len(fields) > _STARTED_FIELD - 2 else ""


def _place() -> str:
    """Return what names this machine, this boot of it and this container, "" if nothing does."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    return f"{socket.gethostname()}/{boot[:8]}/{namespace.strip('pid:[]')}"


def this_owner() -> str:
    """Return a name for a runner of this process; each call gives another one."""
    pid = os.getpid()
    return f"{_place() or socket.gethostname()}:{pid}:{_start_ticks(pid)}:{uuid4().hex[:8]}"


def is_gone(owner: str) -> bool:
    """Whether the process of an owner is known to be gone; False where that cannot be known."""
    place, _, rest = owner.partition(":")
    pid, _, rest = rest.partition(":")
    started = rest.partition(":")[0]
    if not started or not pid.isdigit() or not place or place != _place():
        return False
    return _start_ticks(int(pid)) != started
