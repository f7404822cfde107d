"""Becoming an interpreter that was found: the last thing that `run` and `venv` do."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from .chroot import chroot_binds, chroot_command, chroot_env
from .versions import Interpreter


def execute(
    found: Interpreter, python: str, args: list[str], cwd: str, binds: list[str]
) -> NoReturn:
    """Become the python: nothing of this script is left that could forget to tidy up."""
    # Python ignores these two, and an ignored signal stays ignored over exec.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    sys.stdout.flush()
    if found.root is None:
        os.chdir(cwd)
        os.execv(python, [python, *args])
    visible = chroot_binds([cwd, *binds])
    command = chroot_command(Path(found.root), visible, cwd, [python, *args])
    os.execvpe(command[0], command, chroot_env())
