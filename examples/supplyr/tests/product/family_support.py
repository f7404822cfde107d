"""A server's whole family: every process that inherited a variable of the test's."""

import asyncio
import os
from pathlib import Path

# Five seconds, by looks and not by the clock: what a supervisor would allow before it starts anew.
# While this machine stands still nobody looks, and nobody can end either.
_EVERY_S = 0.05
_LOOKS = 100


def family_of(marker: str) -> dict[int, str]:
    """Return the living processes that inherited that variable, with their command lines."""
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if marker.encode() in (folder / "environ").read_bytes():
                found[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
    return found


async def left_of(marker: str) -> dict[int, str]:
    """Return the processes of that family that are still there after five seconds."""
    left = family_of(marker)
    for _ in range(_LOOKS):
        if not left:
            break
        await asyncio.sleep(_EVERY_S)
        left = family_of(marker)
    return left
