"""What every part needs of the machine: stderr, the cache's place, the tools' environment."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

# debootstrap, chroot and mount are in sbin, which a plain user's PATH may lack.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def say(text: str) -> None:
    """Progress goes to stderr: stdout is for the answer, and for `run`'s own output."""
    print(text, file=sys.stderr, flush=True)


def cache_dir() -> Path:
    chosen = os.environ.get("LANEWISE_INTERPRETERS")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "lanewise-interpreters"


def plain_env() -> dict[str, str]:
    """For the tools run here: a full PATH, and messages in the C locale."""
    path = os.environ.get("PATH", "")
    return {**os.environ, "PATH": f"{path}:{SYSTEM_PATH}".lstrip(":"), "LC_ALL": "C.UTF-8"}


def have(tool: str) -> bool:
    return shutil.which(tool, path=plain_env()["PATH"]) is not None
