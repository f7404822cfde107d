"""The work of one `ensure` in the cache: logged commands, scratch folders, one rename.

Whatever interrupts it, the cache holds only complete interpreters, and the scratch
folder of a killed one is cleared by the next.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from .machine import plain_env
from .versions import Unavailable


class Job:
    """One `ensure`: its scratch folder, its log, and the lock that it holds."""

    def __init__(self, cache: Path, lock: int) -> None:
        self.cache, self.lock = cache, lock

    def call(self, log: Path, *command: str, cwd: Optional[Path] = None) -> None:
        """Run a long command into `log`; Unavailable, with its last words, if it fails.

        The command has a process group of its own, so that an interrupt ends all of
        it (make's compilers too) before the scratch folder under it is removed.  It
        inherits the lock: should this script be killed outright, then whatever goes
        on writing keeps the next `ensure` waiting.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            out.write(f"$ {' '.join(command)}\n".encode())
            out.flush()
            process = subprocess.Popen(
                command, cwd=cwd, env=plain_env(), stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True, pass_fds=(self.lock,),
            )  # fmt: skip
            try:
                status = process.wait()
            except BaseException:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
        if status:
            lines = log.read_text(errors="replace").split("\n")
            words = [s.strip() for s in lines if s.startswith(("E: ", "W: ", "configure: error"))]
            last = words or [s.strip() for s in lines if s.strip()]
            raise Unavailable(f"{command[0]} failed ({last[-1]}); its log is {log}")

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder on the cache's own file system, so that a rename ends the work."""
        folder = Path(tempfile.mkdtemp(prefix=".partial-", dir=self.cache))
        try:
            yield folder
        finally:
            remove_tree(folder)


def remove_tree(folder: Path) -> None:
    # One file system only: never follow a mount out of a half-made chroot.
    subprocess.run(["rm", "-rf", "--one-file-system", "--", str(folder)], check=False)


def put_in_place(made: Path, place: Path, job: Job) -> None:
    """Rename; what was there before goes away only after the new one stands."""
    if place.exists():
        with job.scratch() as folder:
            place.rename(folder / "old")
            made.rename(place)
    else:
        made.rename(place)
