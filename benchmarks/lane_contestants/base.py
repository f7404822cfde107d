"""What is measured in each row, for whoever can say ``await call(function, *arguments)``."""

import asyncio
import contextlib
import itertools
import os
import random
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lane_contestants import jobs

# Of the array and the no-op by turns, in one round.
_TURNS = 30


@dataclass(frozen=True)
class Sizes:
    """How much is done in one round."""

    window_s: float = 0.3
    in_flight: int = 64
    map_items: int = 200_000
    spin_iterations: int = 500
    chunk_sizes: tuple[int, ...] = (64, 256, 1024, 4096)
    array_bytes: int = 100_000_000
    many_workers: int = 64
    sleep_s: float = 0.01
    sleep_window_s: float = 1.0
    kills: int = 3
    # Between two kills, so that whoever starts a new worker behind the scenes can do so: what is
    # asked for is what one kill costs, not how many of them can be borne in a row.
    settle_s: float = 0.3


class Contestant:
    """One way to run functions in other processes, on an event loop of its own.

    Rows are methods ``row1`` to ``row8``; each runs one round and returns its figures: ``value`` is
    what the row is about, in seconds or calls a second.
    """

    loop = "asyncio"
    # Whether it uses the processor while nobody calls it: it then runs alone, after all others.
    restless = False

    def __init__(self, row, sizes):
        self.row = row
        self.sizes = sizes
        self.stack = contextlib.AsyncExitStack()
        # What should stand beside the results: settings that were chosen, versions.
        self.notes = {}
        # Set by open(): takes a function and arguments, returns something to await.
        self.call = None

    # --- lifetime -------------------------------------------------------------------------------

    async def open(self):
        """Start the workers; what is entered in ``self.stack`` is left at the end."""

    async def warm(self):
        """Run once what will be timed."""
        if self.row == 7:
            for workers in (2, self.sizes.many_workers):
                await self.all_there(workers)
        await self.measure()

    async def close(self):
        """End the workers."""
        await self.stack.aclose()

    async def measure(self):
        """Run one round."""
        return await getattr(self, f"row{self.row}")()

    # --- what differs between asyncio and trio --------------------------------------------------

    def drive(self, main):
        """Run ``await main()`` on the kind of loop that this contestant needs."""
        if self.loop == "uvloop":
            import uvloop

            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(main())
        else:
            asyncio.run(main())

    async def readable(self, fd):
        """Wait until something can be read."""
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(fd, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_reader(fd)

    async def sleep(self, seconds):
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def together(self, count, caller):
        """Run ``await caller()`` so many times at once."""
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(caller())

    # --- rows -----------------------------------------------------------------------------------

    async def row1(self):
        """No-op calls, one after another."""
        return {"value": await self.call_s(self.sizes.window_s, jobs.noop)}

    async def row2(self):
        """No-op calls, many in flight."""
        calls, elapsed_s = await self.flood(
            self.call, self.sizes.in_flight, self.sizes.window_s, jobs.noop
        )
        return {"value": calls / elapsed_s}

    async def row3(self):
        """A map over short calls."""
        items = [self.sizes.spin_iterations] * self.sizes.map_items
        started = time.perf_counter()
        count = await self.map_all(jobs.spin, items)
        elapsed_s = time.perf_counter() - started
        _insist(count == len(items), f"{count} results for {len(items)} items")
        return {"value": len(items) / elapsed_s}

    async def map_all(self, fn, items):
        """Map, take every result, and count them."""
        raise NotImplementedError

    async def row4(self):
        """A large array as argument. A new one each time: whoever remembers arrays has no use of it."""
        import numpy as np

        pattern = np.arange(self.sizes.array_bytes // 8, dtype=np.float64)
        numbers = itertools.count(time.monotonic_ns() % 1_000_000)
        times_s = []
        while len(times_s) < 2 or sum(times_s) < self.sizes.window_s:
            array = pattern.copy()
            array[0] = next(numbers)
            started = time.perf_counter()
            got = await self.call(jobs.first_and_last, array)
            times_s.append(time.perf_counter() - started)
            _insist(got == array[0] + array[-1], f"{got} is not the right sum")
        return {"value": statistics.fmean(times_s)}

    async def row5(self):
        """The same array as result."""
        times_s = []
        while len(times_s) < 2 or sum(times_s) < self.sizes.window_s:
            started = time.perf_counter()
            result = await self.call(jobs.kept_array, self.sizes.array_bytes)
            times_s.append(time.perf_counter() - started)
            _insist(result.nbytes == self.sizes.array_bytes // 8 * 8, "an array of another size")
            _insist(result[-1] == len(result) - 1, "an array of another content")
            del result  # untimed, and not alive beside the next one
        return {"value": statistics.fmean(times_s)}

    async def row6(self):
        """A call on an array that workers hold already, and a no-op call beside it."""
        shared = await self.shared_array()
        calls = {"shared": (jobs.first_and_last, shared), "noop": (jobs.noop,)}
        await self.call(*calls["shared"])
        # In turns of a few dozen calls: what the machine does for some milliseconds meets both alike.
        turns, window_s = [], self.sizes.window_s / (2 * _TURNS)
        for _ in range(_TURNS):
            turn = {}
            for what in random.sample(tuple(calls), 2):
                turn[what] = await self.call_s(window_s, *calls[what])
            turns.append(turn)
        return {
            "value": statistics.median(turn["shared"] for turn in turns),
            "noop_s": statistics.median(turn["noop"] for turn in turns),
            "relative": statistics.median(turn["shared"] / turn["noop"] for turn in turns),
        }

    async def shared_array(self):
        """Return what stands for the array in calls; made once."""
        raise NotImplementedError

    async def row7(self):
        """The parent's processor time for a call, with many workers and with two."""
        cpu_s = {}
        for workers in random.sample((2, self.sizes.many_workers), 2):
            call = await self.call_with(workers)
            before_s = time.process_time()
            calls, _ = await self.flood(
                call, workers, self.sizes.sleep_window_s, jobs.sleep, self.sizes.sleep_s
            )
            cpu_s[workers] = (time.process_time() - before_s) / calls
        many_s, few_s = cpu_s[self.sizes.many_workers], cpu_s[2]
        return {"value": many_s, "few_s": few_s, "relative": many_s / few_s}

    async def all_there(self, workers, within_s=30.0):
        """Call until so many processes have answered: pools may start theirs in the background.

        Raises:
            RuntimeError: They have not.
        """
        call = await self.call_with(workers)
        seen = set()

        async def caller():
            seen.add(await call(jobs.worker, self.sizes.sleep_s))

        end = time.monotonic() + within_s
        while len(seen) < workers:
            if time.monotonic() > end:
                raise RuntimeError(f"{len(seen)} of {workers} workers answer after {within_s:g} s")
            await self.together(workers, caller)

    async def call_with(self, workers):
        """Return what calls a pool of so many workers; made once."""
        raise NotImplementedError

    async def row8(self):
        """Kill the running call of the only worker, then run the next one."""
        times_s = []
        with Started() as started:
            for _ in range(self.sizes.kills):
                await self.sleep(self.sizes.settle_s)
                times_s.append(await self.kill_once(started))
                await self.gone(started.pid)
        return {"value": statistics.median(times_s)}

    async def kill_once(self, started):
        """Return the seconds from the cancellation to the next call's result."""
        running = self.begin(jobs.spin_until_killed, started.path)
        readable = asyncio.ensure_future(self.readable(started.fd))
        waited = asyncio.wrap_future(running) if not asyncio.isfuture(running) else running
        await asyncio.wait((waited, readable), return_when=asyncio.FIRST_COMPLETED)
        if not readable.done():
            readable.cancel()
            raise RuntimeError(f"the call to be killed ended before: {waited!r}")
        started.read()
        begun = time.perf_counter()
        running.cancel()
        await self.call(jobs.noop)
        elapsed_s = time.perf_counter() - begun
        await asyncio.wait((waited,))
        return elapsed_s

    def begin(self, fn, *args):
        """Start a call and return what has a ``cancel()``."""
        return asyncio.ensure_future(self.call(fn, *args))

    async def gone(self, pid, within_s=5.0):
        """Make sure that a process was really killed.

        Raises:
            RuntimeError: It still runs.
        """
        end = time.monotonic() + within_s
        while _runs(pid):
            if time.monotonic() > end:
                raise RuntimeError("the cancelled call's process was not killed: it still runs")
            await self.sleep(0.002)

    # --- loops ----------------------------------------------------------------------------------

    async def call_s(self, window_s, fn, *args):
        """Return the seconds of one call, of those that follow one another for a while."""
        call, clock = self.call, time.perf_counter
        calls = 0
        started = now = clock()
        end = started + window_s
        while now < end:
            await call(fn, *args)
            calls += 1
            now = clock()
        return (now - started) / calls

    async def flood(self, call, callers, window_s, fn, *args):
        """Have several callers call in closed loops.

        Returns:
            The number of calls, and the seconds until the last of them had its result.
        """
        clock = time.perf_counter
        counts = []
        started = clock()
        end = started + window_s

        async def caller():
            calls = 0
            while clock() < end:
                await call(fn, *args)
                calls += 1
            counts.append(calls)

        await self.together(callers, caller)
        return sum(counts), clock() - started


class Started:
    """A named pipe on which a call tells that it runs, and in which process."""

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory()
        self.path = str(Path(self._folder.name) / "started")
        os.mkfifo(self.path)
        # Also open for writing, or the end of the first writer would be the end of the file.
        self.fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self.pid = None
        return self

    def __exit__(self, *_):
        os.close(self.fd)
        self._folder.cleanup()

    def read(self):
        """Take the process id that was told."""
        self.pid = int(os.read(self.fd, 100))


def _insist(holds, message):
    if not holds:
        raise RuntimeError(f"a wrong result: {message}")


def _runs(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (
        FileNotFoundError,
        ProcessLookupError,
    ):  # gone before it was opened, or while it is read
        if Path("/proc/self/stat").exists():
            return False
    else:
        return state not in "ZX"
    try:  # without /proc
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def best_chunk_size(contestant):
    """Try the map with a few chunk sizes and keep the best one in ``contestant.chunk_size``."""
    found = {}
    for size in contestant.sizes.chunk_sizes:
        contestant.chunk_size = size
        found[size] = (await contestant.measure())["value"]
    contestant.chunk_size = max(found, key=found.get)
    contestant.notes["chunk_size"] = contestant.chunk_size
