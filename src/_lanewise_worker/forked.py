"""What a call forks and what then comes back from the call: it is not the worker, and must not answer."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn


class Forked:
    """Whether this process is a copy of the worker. Owner: the worker's main thread.

    Attributes:
        here: True in what the worker's calls forked. Written once, in the copy, before its first line.
    """

    __slots__ = ("here",)

    def __init__(self) -> None:
        self.here = False
        os.register_at_fork(after_in_child=self._note)

    def _note(self) -> None:
        self.here = True

    @staticmethod
    def end(error: BaseException | None = None) -> NoReturn:
        """End the copy as a program ends that returned, exited or raised."""
        code = 0
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        elif error is not None:
            import traceback  # noqa: PLC0415 - because: rare

            traceback.print_exception(error)
            code = 1
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)
