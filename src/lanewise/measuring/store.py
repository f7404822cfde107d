"""Write results so that a reader, or a crash, never meets a half-written file."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from lanewise.errors import MeasureError


def check_writable(path: Path) -> None:
    """Make sure that a result can be written before an hour is spent on it.

    Raises:
        MeasureError: The directory is missing or read-only, or the path is a directory.
    """
    try:
        if path.is_dir():
            raise MeasureError(f"{path} is a directory: give the name of a file in it")
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise MeasureError(
            f"nothing can be written to {path.parent}/ ({error.strerror}): "
            "make it first, or give a path in a directory that you may write to"
        ) from error
    os.close(descriptor)
    Path(name).unlink()


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content in one step, keeping its permissions.

    Raises:
        MeasureError: It cannot be written; the old content is still there.
    """
    name = ""
    path = Path(os.path.realpath(path))  # through a link to the file that it stands for
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files for their owner alone; a result is as readable as any other file.
        Path(name).chmod(path.stat().st_mode if path.exists() else 0o666 & ~_umask())
        Path(name).replace(path)
    except (OSError, UnicodeError) as error:
        if name:
            with contextlib.suppress(OSError):
                Path(name).unlink()
        raise MeasureError(f"{path} could not be written ({error}); it is as it was") from error


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
