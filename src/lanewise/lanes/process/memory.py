"""How much memory another process holds."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

_PAGE_BYTES = resource.getpagesize()
_HAS_PROC = sys.platform.startswith("linux")


def own_bytes(pid: int) -> int | None:
    """Return how much memory a process has for itself, None where the system does not say.

    Its resident size without what it shares with others: code, and values in shared memory.
    """
    if not _HAS_PROC:
        return None
    try:
        fd = os.open(f"/proc/{pid}/statm", os.O_RDONLY)
    except OSError:
        return None
    try:
        _, resident, shared, *_ = os.read(fd, 128).split()
        return (int(resident) - int(shared)) * _PAGE_BYTES
    except (OSError, ValueError):
        return None
    finally:
        os.close(fd)


def memory_file(size_bytes: int) -> int | None:
    """Return the descriptor of a file of that size that lies in memory or at least has no name."""
    try:
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("lanewise-page")
        else:
            import tempfile  # noqa: PLC0415 - because: only where there is nothing better

            with tempfile.TemporaryFile() as file:
                fd = os.dup(file.fileno())
    except OSError:
        return None
    try:
        os.ftruncate(fd, size_bytes)
    except OSError:
        os.close(fd)
        return None
    return fd


def home_of_far_side() -> str:
    """Return the directory from which workers can import what runs on their side."""
    import _lanewise_worker  # noqa: PLC0415 - because: only its place is wanted

    return str(Path(_lanewise_worker.__file__).resolve().parent.parent)
