"""Find the best way to look at a process, and say what it cannot tell."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from lanewise.diagnose.elf import find_runtime
from lanewise.diagnose.interpreter import RemoteInterpreter
from lanewise.diagnose.layout import publishes
from lanewise.diagnose.looker import InterpreterLooker, Looker
from lanewise.diagnose.memory import ProcessMemory
from lanewise.diagnose.session import ProcessRecord


def attach(pid: int, now_us: int) -> Looker:
    """Return something that looks at a process.

    Raises:
        DiagnoseError: Nothing can; the message says why and what to do.
    """
    memory = ProcessMemory(pid)
    place = find_runtime(pid)
    if not publishes(memory, place.address):
        raise NotImplementedError
    interpreter = RemoteInterpreter(memory, place.address)
    interpreter.prove()
    record = ProcessRecord(
        pid=pid,
        command=command_of(pid),
        python_version=interpreter.layout.python_version,
        gil_enabled=interpreter.gil_enabled(),
        free_threaded_build=interpreter.layout.free_threaded,
        source="debug-offsets",
        start_us=now_us,
        end_us=now_us,
        cores=len(os.sched_getaffinity(pid)),
    )
    return InterpreterLooker(record, interpreter)


def command_of(pid: int) -> str:
    """The process's command line; empty when it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
    return ""
