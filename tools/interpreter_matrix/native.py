"""Where an ordinary interpreter of the machine's own may lie: on PATH, or in pyenv."""

from __future__ import annotations

import contextlib
import glob
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .machine import have, plain_env


def native_candidates(version: str) -> Iterator[str]:
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder:
            yield os.path.join(folder, f"python{version}")
    # pyenv's shim on PATH refuses a version that is not switched on, so look into
    # its folders too, the newest patch release first.
    pyenv = os.environ.get("PYENV_ROOT") or "~/.pyenv"
    if have("pyenv"):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            pyenv = subprocess.check_output(
                ["pyenv", "root"], env=plain_env(), text=True, stderr=subprocess.DEVNULL
            ).strip()
    pattern = str(Path(pyenv).expanduser() / "versions" / f"{version.rstrip('t')}.*")
    yield from (
        os.path.join(folder, "bin", f"python{version}")
        for folder in sorted(glob.glob(pattern), key=patch_release, reverse=True)
    )


def patch_release(folder: str) -> int:
    digits = "".join(c for c in folder.rsplit(".", 1)[1] if c.isdigit())
    return int(digits or -1)
