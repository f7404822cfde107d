"""Entry of the bench process: ``python -m lanewise.cli.bench_process COMMANDS_FD TICKS_FD``.

Lives here, at the top of the layers, because it is where the measuring side meets the real lanes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
from pathlib import Path

from lanewise.lanes.event_loop import EventLoopLane
from lanewise.lanes.interpreter import InterpreterLane
from lanewise.lanes.process import ProcessLane
from lanewise.lanes.thread import ThreadLane
from lanewise.measuring.bench_server import BenchServer

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve the session that started this process."""
    commands_fd, ticks_fd = (int(text) for text in sys.argv[1:3])
    _die_with_the_session()
    # The directory that lanewise was called from comes first, as for ``python -m``.
    sys.path.insert(0, str(Path.cwd()))
    BenchServer(
        socket.socket(fileno=commands_fd),
        socket.socket(fileno=ticks_fd),
        {
            "event_loop": lambda _workers: EventLoopLane(),
            "thread": ThreadLane,
            "process": ProcessLane,
            "interpreter": InterpreterLane,
        },
    ).serve()


def _die_with_the_session() -> None:
    """End this process when the session is killed, also in the middle of a call that never ends.

    PR_SET_PDEATHSIG follows the thread that started this process, which for the command line is
    its main thread. Where the call is missing, the closed channel ends the process after the call.
    """
    session = os.getppid()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != session:  # it died between the two calls above
        os._exit(1)


if __name__ == "__main__":
    main()
