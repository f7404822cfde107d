"""What the kernel knows of another process's threads: how long they ran, what they wait in."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lanewise.diagnose.core_meter import CoreMeter

# The calls that sleeping threads are seen in, by machine: what a reader of the report wants to be
# told.
_NAMES: dict[str, dict[int, str]] = {
    "x86_64": {
        0: "read", 1: "write", 7: "poll", 17: "pread", 18: "pwrite", 23: "select", 35:
        "nanosleep", 42: "connect", 43: "accept", 44: "sendto", 45: "recvfrom", 46: "sendmsg",
        47: "recvmsg", 61: "waitpid", 72: "fcntl", 73: "flock", 74: "fsync", 75: "fdatasync",
        202: "futex", 230: "sleep", 232: "epoll", 247: "waitid", 257: "open", 270: "select",
        271: "poll", 281: "epoll", 288: "accept",
    },
    "aarch64": {
        22: "epoll", 25: "fcntl", 32: "flock", 56: "open", 63: "read", 64: "write", 67: "pread",
        68: "pwrite", 72: "select", 73: "poll", 82: "fsync", 83: "fdatasync", 95: "waitid", 98:
        "futex", 101: "nanosleep", 115: "sleep", 202: "accept", 203: "connect", 206: "sendto",
        207: "recvfrom", 211: "sendmsg", 212: "recvmsg", 242: "accept", 260: "waitpid",
    },
}  # fmt: skip
_CALLS = _NAMES.get(os.uname().machine if hasattr(os, "uname") else "", {})
RUNNABLE = "running"
# Fields of proc(5), counted behind the program's name: "starttime" and "processor".
_START_FIELD = 19
_CORE_FIELD = 36


@dataclass(frozen=True, slots=True)
class SchedulerTimes:
    """Counters of one thread, since it began.

    Attributes:
        run_ns: On a core.
        queued_ns: Waiting for one.
        turns: How often it was given one.
    """

    run_ns: int
    queued_ns: int
    turns: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a thread does as the kernel sees it: runnable, or asleep in a system call.

    Attributes:
        call: The system call's name; ``running`` where it could run.
        address: Its first argument: of a futex, where the word is that is waited for.
    """

    call: str
    address: int = 0

    @property
    def runnable(self) -> bool:
        """Whether it runs or could run."""
        return self.call == RUNNABLE


_RUNNABLE = Waiting(RUNNABLE)
_UNKNOWN = Waiting("page fault")
STOPPED = Waiting("stopped")


class KernelThread:
    """The kernel's files about one thread, kept open. Owned by one thread; close it after use.

    Raises:
        OSError: The thread has ended.
    """

    def __init__(self, pid: int, native_id: int) -> None:
        self.native_id = native_id
        root = f"/proc/{pid}/task/{native_id}"
        self._files: dict[str, int] = {}
        self._meter: CoreMeter | None = None
        with contextlib.suppress(OSError, AttributeError):
            self._meter = CoreMeter(native_id)
        try:
            for name in ("stat", "schedstat", "syscall"):
                with contextlib.suppress(PermissionError):
                    self._files[name] = os.open(f"{root}/{name}", os.O_RDONLY)
        except OSError:
            self.close()
            raise

    @property
    def tells_calls(self) -> bool:
        """Whether the kernel lets us see the system calls that it waits in."""
        return "syscall" in self._files

    @property
    def has_meter(self) -> bool:
        """Whether its clock can be read while it runs."""
        return self._meter is not None

    def age_us(self) -> int:
        """For how long there has been this thread: the kernel tells it to a tick, half of which is meant.

        Raises:
            OSError: The thread has ended.
        """
        try:
            began_s = (int(self._stat()[_START_FIELD]) + 0.5) / os.sysconf("SC_CLK_TCK")
        except (ValueError, IndexError) as error:
            raise OSError("this kernel does not tell when a thread began") from error
        return max(int((time.clock_gettime(time.CLOCK_BOOTTIME) - began_s) * 1e6), 0)

    def stopped(self) -> bool:
        """Whether a signal or a debugger keeps it from going on."""
        try:
            return self._stat()[0] in {b"T", b"t"}
        except (OSError, IndexError):
            return False

    def times(self) -> SchedulerTimes:
        """Return the counters.

        Raises:
            OSError: The thread has ended, or this kernel does not count.
        """
        try:
            run, queued, turns = os.pread(self._files["schedstat"], 128, 0).split()[:3]
        except (KeyError, ValueError) as error:
            raise OSError("this kernel keeps no schedstat") from error
        return SchedulerTimes(int(run), int(queued), int(turns))

    def waiting(self) -> Waiting:
        """Return what it does now.

        Raises:
            OSError: The thread has ended.
        """
        file = self._files.get("syscall")
        if file is None:
            return self._by_state()
        try:
            text = os.pread(file, 256, 0)
        except PermissionError:
            os.close(self._files.pop("syscall"))
            return self._by_state()
        if text.startswith(b"running"):
            return _RUNNABLE
        number, *arguments = text.split()
        if number == b"-1":
            return _UNKNOWN
        name = _CALLS.get(int(number), f"call {int(number)}")
        return Waiting(name, int(arguments[0], 16) if arguments else 0)

    def on_core(self) -> int:
        """1 when it is on a core other than the caller's, 0 when on none, -1 when not known.

        On the caller's core it may have run until now, or have stood behind whatever did.
        """
        if self._meter is not None and self._meter.running():
            return 1
        if self._core() == own_core():
            return -1
        return -1 if self._meter is None else 0

    def _core(self) -> int:
        try:
            return int(self._stat()[_CORE_FIELD])
        except (OSError, ValueError, IndexError):
            return -1

    def _by_state(self) -> Waiting:
        # All that anybody may see: runnable or not.
        return _RUNNABLE if self._stat()[0] == b"R" else Waiting("sleep (unknown)")

    def _stat(self) -> list[bytes]:
        """The fields of proc(5) behind the program's name, which may hold anything."""
        try:
            return os.pread(self._files["stat"], 1024, 0).rpartition(b")")[2].split()
        except KeyError as error:
            raise OSError("this thread's state may not be read") from error

    def close(self) -> None:
        """Release the descriptors. Idempotent."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()
        if self._meter is not None:
            self._meter.close()


@functools.cache
def _core_clock() -> Callable[[], int] | None:
    # Python has no name for it before 3.15.
    try:
        ask: Callable[[], int] = ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError):
        return None
    return ask


def own_core() -> int:
    """The core that the calling thread runs on; -2, which no core is, where that is not told."""
    ask = _core_clock()
    return -2 if ask is None else ask()


def thread_ids(pid: int) -> list[int]:
    """The kernel's ids of all threads of a process; empty when it has ended."""
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208 - because: names are wanted
    except OSError:
        return []


class ThreadIds:
    """From the ids that a process has for its threads to ours: they differ in a container.

    Owned by the thread that looks.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._inside = len(_ids_of(pid, pid)) > 1
        self._known: dict[int, int] = {}

    def ours(self, native_id: int) -> int:
        """Return our id for a thread; its own where there is no container between us, or it ended."""
        if not self._inside or not native_id:
            return native_id
        if native_id not in self._known:
            self._known = {
                ids[-1]: thread
                for thread in thread_ids(self._pid)
                if (ids := _ids_of(self._pid, thread))
            }
        return self._known.get(native_id, native_id)


def _ids_of(pid: int, native_id: int) -> list[int]:
    """A thread's ids in each namespace, ours first; empty when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/task/{native_id}/status").read_text().splitlines()
    except OSError:
        return []
    return [int(one) for line in lines if line.startswith("NSpid:") for one in line.split()[1:]]


def thread_name(pid: int, native_id: int) -> str:
    """The name that the kernel has for a thread; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/task/{native_id}/comm").read_text().strip()
    except OSError:
        return ""
