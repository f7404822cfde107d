"""The executor of a synchronous service: one for each of its processes, made when it is first needed.

An executor has threads and worker processes, and a fork takes none of them along. So it must not be made
while the server loads the program (gunicorn's ``--preload``), but in the process that serves.
"""

from __future__ import annotations

import functools
import os
import threading

import lanewise

_guard = threading.Lock()


def executor() -> lanewise.Executor:
    """Return this process's executor. Threads: may be called from any."""
    with _guard:
        return _executor_of(os.getpid())


@functools.cache
def _executor_of(_process: int) -> lanewise.Executor:
    return lanewise.Executor(lane="auto")
