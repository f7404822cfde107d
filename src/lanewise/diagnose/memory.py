"""Read another process's memory while it runs: no stop, no lock of its interpreter, no code inside it."""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

from lanewise.errors import DiagnoseError

_PAGE_BYTES = 4096
_HIGHEST = 1 << 62
_PAGE_MASK = ~(_PAGE_BYTES - 1)


class NotAllowedError(DiagnoseError):
    """The kernel does not let us look; the message says which permission is missing."""


class ProcessMemory:
    """The memory of process ``pid``, opened for reading. Owned by one thread; close it after use.

    Raises:
        NotAllowedError: The kernel does not allow it.
        DiagnoseError: There is no such process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._file = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
        except FileNotFoundError as error:
            raise DiagnoseError(f"there is no process {pid} (any more)") from error
        except PermissionError as error:
            raise NotAllowedError(refused(pid)) from error

    def read(self, address: int, size_bytes: int) -> bytes:
        """Return memory.

        Raises:
            OSError: Nothing is mapped there, or the process has ended.
        """
        if not 0 < address < _HIGHEST:
            # What changes while it is read may look like any address.
            raise OSError(f"{address:#x} is no address of a process")
        data = os.pread(self._file, size_bytes, address)
        if len(data) != size_bytes:
            raise OSError(
                f"{size_bytes} bytes at {address:#x} of process {self.pid} are not all there"
            )
        return data

    def word(self, address: int) -> int:
        """Return the 8 bytes there as an unsigned number."""
        return int.from_bytes(self.read(address, 8), "little")

    def words(self, address: int, count: int) -> tuple[int, ...]:
        """Return several 8-byte numbers."""
        return struct.unpack(f"<{count}Q", self.read(address, 8 * count))

    def close(self) -> None:
        """Release the descriptor. Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Pages:
    """Memory as of one moment: whole pages, each read once, so that neighbours come from one read.

    A thread's frames lie beside each other; forty of them cost two or three reads instead of forty.
    """

    def __init__(self, memory: ProcessMemory) -> None:
        self._read = memory.read
        self._pages: dict[int, bytes] = {}

    def read(self, address: int, size_bytes: int) -> bytes:
        """Return memory, at most one page's length of it.

        Raises:
            OSError: Nothing is mapped there.
        """
        start = address & _PAGE_MASK
        page = self._page(start)
        offset = address - start
        data = page[offset : offset + size_bytes]
        missing = size_bytes - len(data)
        return data + self._page(start + _PAGE_BYTES)[:missing] if missing else data

    def _page(self, start: int) -> bytes:
        page = self._pages.get(start)
        if page is None:
            page = self._pages[start] = self._read(start, _PAGE_BYTES)
        return page


def refused(pid: int) -> str:
    """Say why the kernel does not let us look into ``pid``, and how to be let."""
    reasons = []
    with contextlib.suppress(OSError):
        owner = os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116 - because: one call, no path to join
        if owner != os.geteuid():
            reasons.append(
                f"it belongs to another user (uid {owner}, you are {os.geteuid()}): run lanewise "
                "as that "
                "user, or with sudo"
            )
    with contextlib.suppress(OSError, ValueError):
        level = int(Path("/proc/sys/kernel/yama/ptrace_scope").read_text())
        if level == 1:
            reasons.append(
                "Yama's ptrace_scope is 1, so only a parent may look: start the program with "
                "`lanewise "
                "diagnose -- COMMAND`, run with sudo, or `sysctl kernel.yama.ptrace_scope=0`"
            )
        elif level > 1:
            reasons.append(
                f"Yama's ptrace_scope is {level}, so CAP_SYS_PTRACE is needed: run with sudo, or "
                "`sysctl kernel.yama.ptrace_scope=1`"
            )
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        reasons.append(
            "this is a container, and ptrace may be cut off: start it with `--cap-add SYS_PTRACE` "
            "(Kubernetes: securityContext.capabilities.add: [SYS_PTRACE])"
        )
    why = "; ".join(reasons) or (
        "CAP_SYS_PTRACE is missing, or the process made itself undumpable: run with sudo"
    )
    return f"the kernel does not allow reading the memory of process {pid}: {why}"
