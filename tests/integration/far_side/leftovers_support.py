"""Shared by tests of the process lane: what must be gone afterwards, and waiting for what calls leave."""

import asyncio
import contextlib
import gc
from pathlib import Path

import pytest

from lanewise.testing import Leftovers

PATIENCE_S = 60


@pytest.fixture(autouse=True)
def nothing_is_left():
    """Afterwards there is no process and no descriptor that was not there before."""
    before, fds = Leftovers.now(), descriptors()
    yield
    gc.collect()
    left = Leftovers.now().since(before)
    lost = {fd: to for fd, to in descriptors().items() if fd not in fds and "lanewise" in to}
    assert not left.processes, str(left)
    assert not lost, lost


def descriptors():
    found = {}
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found[link.name] = str(link.readlink())
    return found


async def lines_of(path, at_least=1):
    """Wait until calls have left so many lines. Nothing in asyncio tells that a file has changed."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            lines = path.read_text().splitlines() if path.exists() else []
            if len(lines) >= at_least:
                return lines
            await asyncio.sleep(0.005)
