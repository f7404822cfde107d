"""What `works.noted` wrote down: when which job really began and ended, in whichever process."""

from pathlib import Path
from typing import NamedTuple


class Ran(NamedTuple):
    """One job that began; moments are of time.monotonic, `end_s` is None where it never ended."""

    label: str
    pid: int
    begin_s: float
    end_s: float | None


def read(folder: Path) -> list[Ran]:
    """Return the jobs that have begun, in order."""
    path = folder / "notes.log"
    if not path.exists():
        return []
    begun: dict[tuple[str, str], Ran] = {}
    for line in path.read_text("ascii").splitlines():
        at, what, label, pid = line.split()
        if what == "begin":
            begun[label, pid] = Ran(label, int(pid), float(at), None)
        elif (label, pid) in begun:
            begun[label, pid] = begun[label, pid]._replace(end_s=float(at))
    return sorted(begun.values(), key=lambda ran: ran.begin_s)


def clear(folder: Path) -> None:
    """Forget what was noted."""
    (folder / "notes.log").unlink(missing_ok=True)
