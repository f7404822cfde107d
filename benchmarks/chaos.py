"""What crashes cost: calls in flight while workers are killed at random.

Keeps many calls in flight for a while and kills one process below this one every few milliseconds, chosen
at random by looking at the process table, so that it may be a worker that runs a call, one that has
queued ones, an idle or a starting one; with ``--victims all`` every twentieth is the process that starts
workers.
Every call writes down that it has begun. At the end:

* each call returned its right result, or failed as one that was running in a worker that died;
* no more calls failed than processes were killed, none began twice, none is still waiting;
* no process, descriptor or thread is left.

    python benchmarks/chaos.py --seconds 60
    python benchmarks/chaos.py --seconds 60 --loop uvloop --victims all
"""

import argparse
import asyncio
import collections
import contextlib
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from lanewise import LaneUnavailableError, Runtime, WorkerDiedError


def job(path, number, duration_s):
    """Say that this call has begun, keep a core for a while, return what only this call returns."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, b"%d\n" % number)
    os.close(fd)
    end = time.perf_counter() + duration_s
    while time.perf_counter() < end:
        pass
    return number * number


def below(root):
    """Return the processes below one, as (pid, depth)."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z":
                    parents[int(entry.name)] = int(fields[1])
    found = []
    for pid in parents:
        depth, at = 0, pid
        while at in parents and at != root:
            at = parents[at]
            depth += 1
        if at == root and depth:
            found.append((pid, depth))
    return found


class Killer(threading.Thread):
    """Kills from outside of the loop, so that nothing there can be in step with it."""

    def __init__(self, every_s, victims, seed):
        super().__init__(daemon=True)
        self.every_s, self.victims = every_s, victims
        self.dice = random.Random(seed)
        self.over = threading.Event()
        self.kills = collections.Counter()

    def run(self):
        """Kill until it is over."""
        for turn in itertools.count(1):
            if self.over.wait(self.every_s):
                return
            launcher = self.victims == "all" and turn % 20 == 0
            known = [one for one in below(os.getpid()) if (one[1] == 1) == launcher]
            if known:
                pid, depth = self.dice.choice(known)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.kills["worker" if depth > 1 else "launcher"] += 1


async def scenario(arguments, path):
    results = collections.Counter()
    wrong, numbers = [], iter(range(2**62))
    end = time.monotonic() + arguments.seconds

    async def caller(rt):
        while time.monotonic() < end:
            number = next(numbers)
            try:
                got = await rt.run(job, path, number, arguments.duration_ms / 1e3)
            except (WorkerDiedError, LaneUnavailableError) as error:
                results[type(error).__name__] += 1
            else:
                results["right" if got == number * number else "wrong"] += 1
                if got != number * number:
                    wrong.append((number, got))

    async with Runtime(
        processes=arguments.processes, lanes=("process",), max_queue=10**6, grace_s=30
    ) as rt:
        killer = Killer(arguments.every_ms / 1e3, arguments.victims, arguments.seed)
        killer.start()
        callers = [asyncio.create_task(caller(rt)) for _ in range(arguments.in_flight)]
        await asyncio.sleep(arguments.seconds)
        killer.over.set()
        killer.join()
        _, hanging = await asyncio.wait(callers, timeout=60)
        workers = rt.statistics().workers
        for one in hanging:
            one.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
    return results, wrong, killer.kills, len(hanging), workers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--in-flight", type=int, default=1_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--every-ms", type=float, default=50)
    parser.add_argument("--duration-ms", type=float, default=2, help="of each call")
    parser.add_argument("--victims", choices=("workers", "all"), default="workers")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    factory = None
    if arguments.loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
        factory().close()  # libuv opens a pipe with its first loop and keeps it
    before = {"fds": len(list(Path("/proc/self/fd").iterdir()))}
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/begun"
        with asyncio.Runner(loop_factory=factory) as runner:
            results, wrong, kills, hanging, workers = runner.run(scenario(arguments, path))
        begun = collections.Counter(Path(path).read_bytes().split())
    left = below(os.getpid())
    fds = len(list(Path("/proc/self/fd").iterdir())) - before["fds"]
    twice = sum(1 for count in begun.values() if count > 1)
    died = results["WorkerDiedError"]
    report = {
        "python": sys.version.split()[0],
        "loop": arguments.loop,
        "calls": dict(results),
        "begun": len(begun),
        "kills": dict(kills),
        "workers": str(workers),
        "hanging": hanging,
        "begun_twice": twice,
        "wrong": len(wrong),
        "left": {
            "processes": len(left),
            "descriptors": fds,
            "threads": threading.active_count() - 1,
        },
    }
    print(json.dumps(report, indent=1))
    ok = not (hanging or twice or wrong or left or fds > 0 or died > sum(kills.values()))
    ok = ok and not results["LaneUnavailableError"]
    print("held" if ok else "BROKEN")
    sys.exit(not ok)


if __name__ == "__main__":
    main()
