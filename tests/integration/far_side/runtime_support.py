"""Runtimes and plans for the tests of the runtime."""

import asyncio
import os
import threading

import pytest

from lanewise import (
    Plan,
    Runtime,
)
from lanewise.host.facts import gil_enabled

HERE = ("event_loop", "thread")
SHORT_S, LONG_S = 1e-5, 1e-2


needs_the_lock = pytest.mark.skipif(
    not gil_enabled(), reason="without the lock, threads that compute harm nobody"
)


def on_threads(threads=1, **options):
    return Runtime(lanes=HERE, threads=threads, **options)


def on_one_process(**options):
    return Runtime(processes=1, threads=2, **options)


def cost(size, wall_s, *, variant="default", held=1.0):
    return (
        f'{{variant = "{variant}", size = {size}, wall_s = {wall_s}, cpu_s = {wall_s}, '
        f"gil_held_share = {held}, gil_wait_p99_s = {wall_s * held}, "
        "args_bytes = 10, result_bytes = 10, pickle_s = 1e-6},"
    )


def plan_of(name, *costs, keys=""):
    """A plan as it stands in a file: short calls belong on the loop, long ones off it."""
    return Plan.parse(f"""
schema = 1
[host."a host"]
transfer_bytes_per_s = 5e8
[host."a host".lanes]
event_loop = {{dispatch_s = 1e-7, per_call_s = 1e-7}}
thread = {{dispatch_s = 6e-5, per_call_s = 2e-5}}
process = {{dispatch_s = 3e-4, per_call_s = 1e-4}}
[task."{name}"]
host = "a host"
usable_cores = 2
gil_enabled = true
loop_budget_s = 0.001
{keys}
costs = [
{chr(10).join(costs)}
]
""")


BY_SIZE = (cost(10, SHORT_S), cost(1000, LONG_S))
LOCATE = "runtime_jobs:locate"


def lane_of(where):
    """The lane that a place reported by runtime_jobs.place() belongs to."""
    _, pid, thread = where
    if pid != os.getpid():
        return "process"
    return "event_loop" if thread == threading.get_ident() else "thread"


async def settled(condition):
    """Let the loop turn until something has happened, there or in a thread, which may wait for a core."""
    try:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - because: nothing tells of it
                await asyncio.sleep(0)
    except TimeoutError:
        raise AssertionError("it never happened") from None
