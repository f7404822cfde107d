"""The thread and the interpreter in which calls run."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import pickle
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

from _lanewise_worker.main_module import describe_main
from _lanewise_worker.replay import collect_levels
from lanewise.host.facts import usable_cores
from lanewise.host.interpreters import standard_interpreters
from lanewise.lanes.interpreter import hazards

_log = logging.getLogger("lanewise")

# How long an interpreter looks for the next call before it sleeps, as worker processes do.
_AWAKE_S = 0.000_2
# The interpreter's own path first: it may have been started with another one than the program has now.
_PROGRAM = """
import sys
sys.path[:] = lanewise_path
from _lanewise_worker.interpreter import main
main(*lanewise_arguments)
"""
# One number for one thread, for its name: itertools.count hands each out once, to whatever thread asks.
_numbers = itertools.count(1)


class Home:
    """One interpreter and the thread that lives in it, from the first call to the last.

    The thread enters the interpreter once and stays. To enter it for each call would take this
    interpreter's lock before and after every call, for which a busy program makes it wait, and costs more
    than the wake-up of a thread that waits inside for its socket.

    Threads: everything belongs to the loop that made it, but for ``_live``, which runs in the thread, and
    :meth:`hang_up`, which any may call. What the thread tells stands in ``trouble`` before the loop hears
    of its end.

    Args:
        on_end: Called on the loop when interpreter and thread are gone.

    Raises:
        OSError: There are no descriptors for one more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_end: Callable[[], None]) -> None:
        interpreters = standard_interpreters()
        self.inbox = interpreters.create_queue()
        self.outbox = interpreters.create_queue()
        self.channel, far = socket.socketpair()
        self.channel.setblocking(False)
        self.trouble: str | None = None
        self.ended: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._on_end = on_end
        options = {
            "log_levels": collect_levels(),
            "main": describe_main(),
            "awake_s": _AWAKE_S
            if usable_cores() > 1
            else 0.0,  # on one it would keep the loop waiting
        }
        program = (
            tuple(str(place) for place in sys.path),
            (far.detach(), self.inbox.id, self.outbox.id, pickle.dumps(options, 5)),
        )
        self._thread = threading.Thread(
            target=self._live,
            args=(interpreters, *program),
            name=f"lanewise-interpreter-{next(_numbers)}",
        )
        try:
            hazards.lives(self)
            self._thread.start()
        except BaseException:
            hazards.has_ended(self)
            self.channel.close()
            socket.close(program[1][0])
            raise

    def hang_up(self) -> None:
        """Say that nothing more comes: the thread ends after the call that it runs."""
        with contextlib.suppress(OSError):  # it is closed, or the other side was first
            self.channel.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        """Wait for the thread, which has said that it ends."""
        self._thread.join()

    def _live(
        self, interpreters: Any, path: tuple[str, ...], arguments: tuple[int, int, int, bytes]
    ) -> None:
        """Make the interpreter, live in it, destroy it. In the thread, for its whole life."""
        try:
            interpreter = interpreters.create()
            try:
                interpreter.prepare_main(lanewise_path=path, lanewise_arguments=arguments)
                interpreter.exec(_PROGRAM)
            finally:
                # Runs what the user's modules registered for the end, and waits for their threads.
                interpreter.close()
        except BaseException as error:  # noqa: BLE001 - because: whatever it is, the loop must know
            self.trouble = f"{type(error).__name__}: {error}"
        hazards.has_ended(self)
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits
            self._loop.call_soon_threadsafe(self._over)

    def _over(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        self._on_end()
