"""Find the best way to look at a process, and say what it cannot tell."""

from __future__ import annotations

import os
import time
from typing import Literal

from lanewise.diagnose.elf import find_runtime
from lanewise.diagnose.interpreter import RemoteInterpreter
from lanewise.diagnose.layout import publishes
from lanewise.diagnose.looker import InterpreterLooker, Looker
from lanewise.diagnose.memory import ProcessMemory
from lanewise.diagnose.session import ProcessRecord
from lanewise.diagnose.target import command_of, folder_of, usable_cores_of
from lanewise.errors import DiagnoseError

SourceName = Literal["auto", "debug-offsets", "py-spy", "scheduler"]

_NATIVE_BY_INSTRUCTION = (
    "native code with the GIL is told from bytecode by the instruction that calls it: a loop of very short calls of C "
    "functions counts as native"
)


def attach(pid: int, began_ns: int, source: SourceName = "auto") -> Looker:
    """Return something that looks at a process.

    Args:
        pid: Which one.
        began_ns: When the session began (``time.monotonic_ns()``).
        source: Which way; by default the best that works.

    Raises:
        DiagnoseError: Nothing can; the message says why and what to do.
    """
    if pid == os.getpid():
        raise DiagnoseError("this is lanewise's own process: from inside, use lanewise.watch()")
    now_us = (time.monotonic_ns() - began_ns) // 1000
    record = ProcessRecord(
        pid=pid,
        command=command_of(pid),
        start_us=now_us,
        end_us=now_us,
        cores=usable_cores_of(pid),
        root=folder_of(pid),
    )
    memory = ProcessMemory(pid)
    try:
        return _best(memory, record, began_ns, source)
    except BaseException:
        memory.close()
        raise


def _best(
    memory: ProcessMemory, record: ProcessRecord, began_ns: int, source: SourceName
) -> Looker:
    place = find_runtime(memory.pid)
    if not publishes(memory, place.address):
        raise NotImplementedError
    interpreter = RemoteInterpreter(memory, place.address)
    interpreter.prove()
    record.source = "debug-offsets"
    record.python_version = interpreter.layout.python_version
    record.free_threaded_build = interpreter.layout.free_threaded
    record.gil_enabled = interpreter.gil_enabled()
    record.switch_interval_s = interpreter.switch_interval_s()
    record.weaknesses.append(_NATIVE_BY_INSTRUCTION)
    if len(interpreter.interpreters()) > 1:
        record.weaknesses.append(
            "sub-interpreters live in this process, each with its own GIL or sharing one: the held share adds up over "
            "all locks, and a fork of this process would crash"
        )
    if not record.gil_enabled:
        record.weaknesses.append(
            "this interpreter runs without a GIL: all that computes is shown as native_free, and bytecode is not "
            "told from native code"
        )
    return InterpreterLooker(record, interpreter, began_ns)
