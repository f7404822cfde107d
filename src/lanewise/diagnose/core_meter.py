"""Whether another process's thread is on a core at this moment: the kernel's task clock, read twice.

``schedstat`` is brought up to date only when a turn or a tick ends; a performance counter of the
kind ``task-clock`` is when it is read, also on another core. It needs what reading the memory needs
(perf_event_paranoid up to 2, no seccomp filter); where it is not to be had, the counters around a
look have to say how likely it is.
"""

from __future__ import annotations

import ctypes
import os
import struct

_SYSTEM_CALLS = {"x86_64": 298, "aarch64": 241}
_ATTRIBUTE_BYTES = 112
_SOFTWARE = 1
_TASK_CLOCK = 1
_CLOSE_ON_EXEC = 8
# exclude_kernel and exclude_hv: without them more rights are asked for. A task clock counts the same.
_EXCLUDE_KERNEL = 1 << 5 | 1 << 6


class CoreMeter:
    """The task clock of one thread. Owned by one thread; close it after use.

    Raises:
        OSError: This kernel, or a filter, does not give it.
    """

    def __init__(self, native_id: int) -> None:
        number = _SYSTEM_CALLS.get(os.uname().machine)
        if number is None:
            raise OSError("no number is known for perf_event_open on this machine")
        attribute = struct.pack(
            "<IIQQQQQ", _SOFTWARE, _ATTRIBUTE_BYTES, _TASK_CLOCK, 0, 0, 0, _EXCLUDE_KERNEL
        )
        library = ctypes.CDLL(None, use_errno=True)
        self._file = int(
            library.syscall(
                ctypes.c_long(number),
                attribute.ljust(_ATTRIBUTE_BYTES, b"\0"),
                ctypes.c_int(native_id),
                ctypes.c_int(-1),
                ctypes.c_int(-1),
                ctypes.c_ulong(_CLOSE_ON_EXEC),
            )
        )
        if self._file < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))

    def running(self) -> bool:
        """Whether the thread is on a core, other than the caller's: its clock goes on."""
        return os.read(self._file, 8) != os.read(self._file, 8)

    def close(self) -> None:
        """Release the counter. Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
