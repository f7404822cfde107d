"""A worker dies with its parent, whatever it is doing and however the parent ended."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import threading


def arm(fd: int) -> None:
    """Have this process killed when the last writer of that pipe is gone.

    Takes the descriptor over. The kernel itself sends SIGKILL (F_SETSIG): no thread, no polling, and it
    works while C code holds the lock. Not PR_SET_PDEATHSIG, which follows the thread that started the
    process and not the process.
    """
    try:
        watch(fd)
    except OSError:
        threading.Thread(target=_wait, args=(fd,), name="lanewise-lifeline", daemon=True).start()
        return
    os.close(fd)


def watch(fd: int) -> int:
    """Have the kernel kill this process as :func:`arm` says, until the returned descriptor is closed.

    Raises:
        OSError: This system cannot do that.
    """
    set_signal = getattr(fcntl, "F_SETSIG", None)
    if set_signal is None:
        raise OSError("no F_SETSIG here")
    # Owner and signal belong to the open file, which all workers inherit: each needs its own.
    own = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    fcntl.fcntl(own, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(own, set_signal, signal.SIGKILL)
    fcntl.fcntl(own, fcntl.F_SETFL, fcntl.fcntl(own, fcntl.F_GETFL) | os.O_ASYNC)
    poller = select.poll()
    poller.register(own, select.POLLIN)
    if poller.poll(0):  # it was gone before the kernel was asked to tell
        os.kill(os.getpid(), signal.SIGKILL)
    return own


def _wait(fd: int) -> None:
    """Where the kernel does not do it: a thread, which C code that holds the lock can delay."""
    while os.read(fd, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
