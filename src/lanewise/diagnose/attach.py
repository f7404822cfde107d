"""Find the best way to look at a process, and say what it cannot tell."""

from __future__ import annotations

import os
import time
from typing import Literal, get_args

from lanewise.diagnose.capacity import usable_cores_of
from lanewise.diagnose.elf import RuntimePlace, find_runtime, version_of
from lanewise.diagnose.interpreter import RemoteInterpreter
from lanewise.diagnose.kernel_looker import KernelLooker
from lanewise.diagnose.layout import Layout, UnknownLayoutError, publishes
from lanewise.diagnose.learned import CannotLearnError, learn_layout, learn_lock
from lanewise.diagnose.looker import InterpreterLooker, Looker
from lanewise.diagnose.memory import NotAllowedError, ProcessMemory
from lanewise.diagnose.py_spy import PySpy
from lanewise.diagnose.session import ProcessRecord
from lanewise.diagnose.target import command_of, folder_of
from lanewise.errors import DiagnoseError

SourceName = Literal["auto", "debug-offsets", "learned-offsets", "py-spy", "scheduler"]
SOURCES: tuple[SourceName, ...] = get_args(SourceName)

_NATIVE_BY_INSTRUCTION = (
    "native code with the GIL is told from bytecode by the instruction that calls it: a loop of "
    "very short calls of C "
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
    if source == "scheduler":
        return _by_scheduler_alone(record)
    try:
        memory = ProcessMemory(pid)
    except NotAllowedError as error:
        if source != "auto":
            raise
        looker = _by_scheduler_alone(record)
        record.weaknesses.insert(0, str(error))
        return looker
    try:
        return _best(memory, record, began_ns, source)
    except BaseException:
        memory.close()
        raise


def _best(
    memory: ProcessMemory, record: ProcessRecord, began_ns: int, source: SourceName
) -> Looker:
    place = find_runtime(memory.pid)
    published = publishes(memory, place.address)
    if source in {"debug-offsets", "learned-offsets"} and published != (source == "debug-offsets"):
        raise DiagnoseError(
            f"Python {version_of(place)} does not offer {source}: from 3.13 on an interpreter "
            "publishes where things are in its memory (debug-offsets), before that they are "
            "learned (learned-offsets). Without --source the best that works is used"
        )
    try:
        if source != "py-spy":
            try:
                layout = None if published else learn_layout(memory, place)
                return _by_offsets(memory, place.address, layout, record, began_ns)
            except UnknownLayoutError as error:
                if source != "auto":
                    raise
                record.weaknesses.append(str(error))
        return _by_py_spy(memory, place, record, began_ns, source)
    except CannotLearnError as error:
        if source != "auto":
            raise
        return _without_the_lock(memory, place, record, began_ns, str(error))


def _without_the_lock(
    memory: ProcessMemory, place: RuntimePlace, record: ProcessRecord, began_ns: int, why: str
) -> Looker:
    """Stacks may be had all the same."""
    memory.close()
    record.python_version = version_of(place)
    record.weaknesses.append(why)
    return _by_scheduler(record, _spy(record, began_ns))


def _spy(record: ProcessRecord, began_ns: int) -> PySpy | None:
    try:
        return PySpy(record.pid, began_ns)
    except DiagnoseError as error:
        record.weaknesses.append(f"no functions and no stalls, for {error}")
        return None


def _by_py_spy(
    memory: ProcessMemory,
    place: RuntimePlace,
    record: ProcessRecord,
    began_ns: int,
    source: SourceName,
) -> Looker:
    lock = learn_lock(memory, place)
    spy = PySpy(memory.pid, began_ns) if source == "py-spy" else _spy(record, began_ns)
    record.source = "learned-lock" if spy is None else "learned-lock+py-spy"
    record.python_version = version_of(place)
    record.switch_interval_s = lock.switch_interval_s(memory)
    record.weaknesses += [
        "bytecode and native code with the GIL are not told apart: both are shown as python_gil",
        "garbage collection is not told apart, and sub-interpreters are not seen",
    ]
    return KernelLooker(record, memory, lock, spy)


def _by_offsets(
    memory: ProcessMemory,
    runtime: int,
    layout: Layout | None,
    record: ProcessRecord,
    began_ns: int,
) -> Looker:
    interpreter = RemoteInterpreter(memory, runtime, layout)
    interpreter.prove()
    record.source = "debug-offsets" if layout is None else "learned-offsets"
    record.python_version = interpreter.layout.python_version
    record.free_threaded_build = interpreter.layout.free_threaded
    record.weaknesses.append(_NATIVE_BY_INSTRUCTION)
    return InterpreterLooker(record, interpreter, began_ns)


def _by_scheduler(record: ProcessRecord, spy: PySpy | None = None) -> Looker:
    record.source = "scheduler" if spy is None else "scheduler+py-spy"
    record.gil_known = False
    record.weaknesses.append(
        "only the kernel's counters could be read: computing is shown as python_gil, whether or "
        "not it holds the GIL, and waiting for the GIL or another lock as io_sleep"
    )
    return KernelLooker(record, None, None, spy)


def _by_scheduler_alone(record: ProcessRecord) -> Looker:
    looker = _by_scheduler(record)
    record.weaknesses.append("no functions and no stalls")
    return looker
