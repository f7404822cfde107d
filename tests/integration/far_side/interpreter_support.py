"""What the tests of the interpreter lane have in common."""

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from lanewise.host.interpreters import standard_interpreters
from lanewise.lanes.interpreter import InterpreterLane
from lanewise.testing.leftovers import Leftovers

PATIENCE_S = 60
LARGE_BYTES = 10_000_000


@contextlib.asynccontextmanager
async def opened(count=2, **options):
    lane = InterpreterLane(count, **options)
    await lane.open()
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield lane
    finally:
        await lane.close()


async def run(lane, function, *args, **kwargs):
    return await lane.run(function, "default", args, kwargs)


async def raised(awaitable):
    try:
        result = await awaitable
    except asyncio.CancelledError as error:
        return error
    except Exception as error:
        return error
    raise AssertionError(f"nothing was raised; the result was {result!r}")


def program(source, **options):
    """Run a program of its own, to its end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", textwrap.dedent(source)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        **options,
    )


def open_descriptors():
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


@pytest.fixture(autouse=True)
def no_interpreter_is_left():
    """Interpreters, threads and descriptors are as they were."""
    ids = {one.id for one in standard_interpreters().list_all()}
    before, descriptors = Leftovers.now(), open_descriptors()
    yield
    gc.collect()
    for thread in threading.enumerate():  # what was let go by the test's last line
        if thread.name.startswith("lanewise-interpreter"):
            thread.join(PATIENCE_S)
    assert {one.id for one in standard_interpreters().list_all()} == ids
    assert not Leftovers.now().since(before)
    assert len(open_descriptors() - descriptors) <= 1  # the listing's own
