"""One thing done in a process of its own, which starts as this one stands."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Any


def adopt_orphans(orphans: Any) -> None:
    """Have what forks leave behind become this process's children, which are ended after each fork.

    Args:
        orphans: The module ``_lanewise_worker.orphans``, however it was loaded.
    """
    if orphans.become_subreaper():
        _orphans[:] = [orphans]


def _sweep() -> None:
    for module in tuple(_orphans):
        for pid in module.children():
            module.kill_tree(pid)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def in_fork(work: Callable[[], dict[str, Any]], timeout_s: float) -> dict[str, Any]:
    """Do some work in a fork and return what it says.

    Returns:
        The work's own words; ``{"signal": n}`` where a signal ended it, ``{"exit": n}`` where it
        exited, and ``{"hung": True}`` where it was killed after ``timeout_s`` seconds.
    """
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Threads that an import has started do not exist in the fork, which is a new beginning for
        # each try.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(reader)
        _child(work, writer)
    os.close(writer)
    in_time = False
    try:
        text, in_time = _read(reader, time.monotonic() + timeout_s)
    finally:
        os.close(reader)
        if not in_time or not _has_ended(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    status = _statuses.pop(pid, None)
    if status is None:
        _, status = os.waitpid(pid, 0)
    _sweep()
    if text:
        with contextlib.suppress(ValueError):
            found: dict[str, Any] = json.loads(text)
            return found
    if not in_time:
        return {"hung": True}
    code = os.waitstatus_to_exitcode(status)
    return {"signal": -code} if code < 0 else {"exit": code}


# owner: the thread that forks; statuses of forks that ended by themselves, until they are asked
# for.
_statuses: dict[int, int] = {}
# owner: as above; set once, before the first fork.
_orphans: list[Any] = []
_LAST_BREATH_S = 2.0


def _has_ended(pid: int) -> bool:
    """Give a fork that has said its word, or is dying of a signal, a moment to end."""
    deadline = time.monotonic() + _LAST_BREATH_S
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            _statuses[pid] = status
            return True
        time.sleep(0.001)
    return False


def _read(reader: int, deadline: float) -> tuple[bytes, bool]:
    pieces: list[bytes] = []
    while True:
        ready = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))[0]
        if not ready:
            return b"", False
        piece = os.read(reader, 1 << 16)
        pieces.append(piece)
        # What the fork has started may hold its end of the pipe open: the line's end is the end.
        if not piece or piece.endswith(b"\n"):
            return b"".join(pieces), True


def _child(work: Callable[[], dict[str, Any]], writer: int) -> None:
    try:
        said = json.dumps(work()).encode() + b"\n"
        view = memoryview(said)
        while view:
            view = view[os.write(writer, view) :]
    except BaseException:  # noqa: BLE001 - because: nothing may come out of a fork by another way
        traceback.print_exc(file=sys.stderr)
        sys.stderr.flush()
        os._exit(70)
    # Not sys.exit(): what the parent has registered for its end is not this process's to do.
    os._exit(0)
