"""Where the lock is in an interpreter that does not say so itself: learned from another run of it.

The distances between its structures are those of the executable, so they are found once, by
experiment, in a process of the same executable that is thrown away (``_learning_probe``), and then
read in the target.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanewise.diagnose import _learning_probe
from lanewise.diagnose.elf import RuntimePlace, executable_of
from lanewise.diagnose.interpreter import GIL_BYTES
from lanewise.diagnose.kernel_view import ThreadIds, thread_ids
from lanewise.diagnose.layout import Layout, UnknownLayoutError, learned_layout
from lanewise.diagnose.memory import ProcessMemory
from lanewise.errors import DiagnoseError

_TIMEOUT_S = 60.0
# owner: whoever observes; what is kept is the same whoever finds it out.
_KNOWN: dict[tuple[int, int, int], dict[str, Any]] = {}
_KEPT = (b"LD_LIBRARY_PATH",)
_HOLDER_BEFORE = 8
_INTERVAL_BEFORE = 16
# What may be run a second time: an interpreter by its own name, that does nothing but what it is told.
_PLAIN_PYTHON = re.compile(r"python[\d.]*[a-z]*(-dbg)?")


class CannotLearnError(DiagnoseError):
    """The process's executable cannot be run a second time, or had better not."""


@dataclass(frozen=True, slots=True)
class LearnedLock:
    """Places in the target's memory: of the lock's words, and in each thread state."""

    locked: int
    native_id_offset: int

    def covers(self, address: int) -> bool:
        """Whether an address lies inside the lock, as that of a futex whose waiters wait for it."""
        start = self.locked - _INTERVAL_BEFORE
        return start <= address < start + GIL_BYTES

    def switch_interval_s(self, memory: ProcessMemory) -> float:
        """How long a thread waits for the lock before it asks for it."""
        return memory.word(self.locked - _INTERVAL_BEFORE) / 1e6

    def holder(self, memory: ProcessMemory) -> int:
        """The native id of the thread that holds the lock, 0 when nobody does."""
        state, locked = memory.words(self.locked - _HOLDER_BEFORE, 2)
        return self.native_id(memory, state) if locked & 0xFFFFFFFF == 1 else 0

    def native_id(self, memory: ProcessMemory, state: int) -> int:
        """Whose a thread state is; 0 where it is gone."""
        try:
            return memory.word(state + self.native_id_offset) if state else 0
        except OSError:
            return 0


def learn_lock(memory: ProcessMemory, place: RuntimePlace) -> LearnedLock:
    """Find the lock of a process.

    Raises:
        CannotLearnError: Its executable cannot be run again.
        DiagnoseError: What is found does not fit the process.
    """
    found = _learned(memory.pid, place)
    lock = LearnedLock(place.address + found["locked"], found["native_id"])
    state, locked = memory.words(lock.locked - _HOLDER_BEFORE, 2)
    known, ids = thread_ids(memory.pid), ThreadIds(memory.pid)
    holder = lock.native_id(memory, state)
    if locked & 0xFFFFFFFF not in {0, 1} or ids.ours(holder) not in known:
        raise DiagnoseError(
            f"the lock of process {memory.pid} is not where another run of "
            f"{executable_of(memory.pid)} has it: it is "
            "starting, or runs another build"
        )
    return lock


def learn_layout(memory: ProcessMemory, place: RuntimePlace) -> Layout:
    """Find where a process keeps its threads and frames.

    Raises:
        UnknownLayoutError: Not all of it was found.
        CannotLearnError: Its executable cannot be run again.
    """
    found = _learned(memory.pid, place)["layout"]
    if "reason" in found:
        raise UnknownLayoutError(
            f"where {executable_of(memory.pid)} keeps its frames was not found ({found['reason']})"
        )
    return learned_layout(found["hexversion"], found["at"])


def _learned(pid: int, place: RuntimePlace) -> dict[str, Any]:
    """The distances for the process's executable, asked for once: a server's workers all run the same."""
    try:
        file = Path(f"/proc/{pid}/exe").stat()
    except OSError as error:
        raise DiagnoseError(f"process {pid} cannot be looked at: {error}") from error
    key = (file.st_dev, file.st_ino, file.st_mtime_ns)
    known = _KNOWN.get(key)
    return _KNOWN.setdefault(key, _ask(pid, place)) if known is None else known


def _ask(pid: int, place: RuntimePlace) -> dict[str, Any]:
    executable = executable_of(pid)
    if reason := _why_not(pid, executable, place):
        raise CannotLearnError(
            f"the lock of process {pid} was not looked for, which takes a second run of its "
            f"executable: {reason}"
        )
    sources = Path(__file__).parents[2]
    try:
        done = subprocess.run(  # noqa: S603 - because: the program that is being looked at, as its own user
            [executable, "-B", "-I", "-S", _learning_probe.__file__, str(sources)],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            **_as_its_user(pid),
        )
        answer: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise CannotLearnError(
            f"where the lock of process {pid} is cannot be learned by running "
            f"{executable or 'its executable'} "
            f"again: {error}"
        ) from error
    return answer


def _why_not(pid: int, executable: str, place: RuntimePlace) -> str:
    """Why the executable is not run a second time; empty where it may be.

    A program with an interpreter inside would do its work a second time, whatever it is told to do.
    And in a container or a chroot, or after an upgrade, the same path is another file here.
    """
    if not _PLAIN_PYTHON.fullmatch(Path(executable).name.removesuffix(" (deleted)")):
        return f"{executable or 'it'} is a program of its own, not a plain Python interpreter"
    inside = {f"/proc/{pid}/exe": executable, f"/proc/{pid}/root{place.file}": place.file}
    for seen, path in inside.items():
        try:
            same = Path(seen).samefile(path)
        except OSError:
            same = False
        if not same:
            return f"{path} is not the same file here (a container's, or replaced by an upgrade)"
    return ""


def _as_its_user(pid: int) -> dict[str, Any]:
    """Run it as whom the process runs as: an executable of somebody else's gets no rights of ours."""
    chosen: dict[str, Any] = {"env": _environment(pid)}
    owner = Path(f"/proc/{pid}").stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        chosen |= {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    elif os.geteuid() not in {0, owner.st_uid}:
        raise PermissionError(f"it belongs to {pwd.getpwuid(owner.st_uid).pw_name}")
    return chosen


def _environment(pid: int) -> dict[str, str]:
    """What a shared library needs to be found again, and nothing else of the target's."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        entries = []
    pairs = (entry.partition(b"=") for entry in entries)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs if name in _KEPT}
