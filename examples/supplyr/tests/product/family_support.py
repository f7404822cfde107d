"""A server's whole family: every process that inherited a variable of the test's."""

import asyncio
import os
import time
from pathlib import Path

# Processes that are left without their server end by themselves, in a moment or after their grace
# of some seconds. Where cores are short that takes longer; what nobody has told stays for ever.
PATIENCE_S = 60.0


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
    """Wait until no such process lives any more; return those that do not end."""
    until_s = time.monotonic() + PATIENCE_S
    while (left := family_of(marker)) and time.monotonic() < until_s:
        await asyncio.sleep(0.05)
    return left
