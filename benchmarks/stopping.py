"""How long cancelled work goes on burning: many calls that compute, all cancelled or timed out at once.

Half of them loop in Python, half sit in C code that holds the lock. Measured from the cancellation (or the
deadline) until none of the processes that ran them is left, by pidfd.

    python benchmarks/stopping.py
    python benchmarks/stopping.py --processes 200 --calls 200 --loop uvloop
"""

import argparse
import asyncio
import os
import re
import select
import sys
import tempfile
import time
from pathlib import Path

from lanewise import OverloadedError, Runtime, TaskTimeoutError, WorkerDiedError


def burn(path, in_c):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, b"%d\n" % os.getpid())
    os.close(fd)
    while not in_c:
        pass
    re.match(r"(a+)+$", "a" * 64 + "b")


def _enough(path, running):
    return Path(path).exists() and len(Path(path).read_text().split()) >= running


async def scenario(arguments, how, path):
    timeout_s = arguments.after_s if how == "timeout" else None
    async with Runtime(
        processes=arguments.processes, lanes=("process",), max_queue=10**6, preload=["__main__"]
    ) as rt:
        view = rt.with_options(timeout_s=timeout_s) if timeout_s else rt
        submitted = time.monotonic()
        last = submitted  # each call's time counts from its own submission

        async def call(n):
            nonlocal last
            last = time.monotonic()
            await view.run(burn, path, bool(n % 2))

        calls = [asyncio.create_task(call(n)) for n in range(arguments.calls)]
        running = min(arguments.processes, arguments.calls)
        # With a timeout, those that have begun by then are those that must be stopped.
        patience = submitted + (timeout_s - 0.5 if timeout_s else 60)
        while time.monotonic() < patience and not _enough(path, running):
            await asyncio.sleep(0.01)
        pids = {int(pid) for pid in Path(path).read_text().split()}
        watched = {os.pidfd_open(pid) for pid in pids}
        if how == "cancel":
            begun = time.monotonic()
            for one in calls:
                one.cancel()
        else:
            begun = last + timeout_s
            await asyncio.sleep(max(0, begun - time.monotonic()))
        poller = select.poll()
        for fd in watched:
            poller.register(fd, select.POLLIN)
        while watched:
            await asyncio.sleep(0.001)
            for fd, _ in poller.poll(0):
                poller.unregister(fd)
                watched.discard(fd)
                os.close(fd)
        freed_s = time.monotonic() - begun
        ends = await asyncio.gather(*calls, return_exceptions=True)
        # Of calls with a deadline the last may be refused at once: those before them use it up.
        timed_out = (TaskTimeoutError, OverloadedError)
        expected = timed_out if how == "timeout" else (asyncio.CancelledError,)
        wrong = [end for end in ends if not isinstance(end, (*expected, WorkerDiedError))]
        began = time.monotonic()
        assert await rt.run(abs, -1) == 1
        return freed_s, time.monotonic() - began, len(pids), wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--after-s", type=float, default=3.0, help="the timeout")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    arguments = parser.parse_args()
    factory = None
    if arguments.loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    slow = False
    for how in ("cancel", "timeout"):
        with (
            tempfile.TemporaryDirectory() as folder,
            asyncio.Runner(loop_factory=factory) as runner,
        ):
            freed_s, next_s, pids, wrong = runner.run(scenario(arguments, how, f"{folder}/begun"))
        print(
            f"{how}: {arguments.calls} calls on {pids} processes: cores free after {freed_s:.3f} s, "
            f"the next call took {next_s:.3f} s{f', WRONG: {wrong[:2]}' if wrong else ''}"
        )
        slow = slow or freed_s > 0.2 or bool(wrong)
    sys.exit(slow)


if __name__ == "__main__":
    main()
