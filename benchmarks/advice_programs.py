"""Programs with one right answer each, and ways to run them where an advice would put their work; see advice.py.

What a function needs is given to it as an argument, and what it makes it returns: both cross for real where it runs
in another process or interpreter.
"""

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import json
import multiprocessing
import os
import re
import socket
import sqlite3
import sys
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

ROWS = {str(number): list(range(20)) for number in range(2000)}
TEXT = "alpha=1; beta=22; gamma=333; " * 8000
NUMBERS = [(number * 7919) % 100_003 for number in range(20_000)]
MEGABYTE = bytes(1_000_000)
QUERY = (
    "with recursive c(x) as (select 1 union all select x + 1 from c limit ?) select count(*) from c"
)
# How long the server of the benchmark takes to answer.
ANSWER_S = 0.02
PORT = "LANEWISE_BENCHMARK_PORT"
SHORT_INTERVAL_S = 0.0005
_OWN = threading.local()


def bytecode(numbers):
    total = 0
    for number in range(numbers):
        total += number * number % 7
    return total


def dumps(rows):
    return json.dumps(rows)


def dumps_faster(rows):
    import orjson

    return orjson.dumps(rows)


def search(text):
    return sum(1 for _ in re.finditer(r"(\w+)=(\d+)", text))


def order(numbers):
    return sorted(numbers)


def digest(data):
    return hashlib.sha256(data).digest()


def squeeze(data):
    return zlib.compress(data, 6)


def rest(seconds):
    time.sleep(seconds)


def mixture(data):
    bytecode(40_000)
    digest(data)


def work_and_rest(seconds):
    bytecode(50_000)
    time.sleep(seconds)


def ask(question):
    """One exchange with the benchmark's server, on this thread's own connection."""
    connection = getattr(_OWN, "connection", None)
    if connection is None:
        connection = _OWN.connection = socket.create_connection(
            ("127.0.0.1", int(os.environ[PORT]))
        )
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(question)
    return connection.recv(100)


def work_and_ask(question):
    bytecode(10_000)
    return ask(question)


def select(rows):
    """A query of SQLite's that computes for long."""
    database = getattr(_OWN, "database", None)
    if database is None:
        database = _OWN.database = sqlite3.connect(":memory:")
    return database.execute(QUERY, (rows,)).fetchone()


@dataclasses.dataclass(frozen=True)
class Program:
    """What a program does, and what is right for it.

    Attributes:
        work, argument: Called again and again.
        many: Threads or clients that do so at once; processes of kind "workers".
        kind: "threads"; "loop", handlers of one event loop; "workers", so many processes of two threads each;
            "hog", one thread that computes beside one that asks the server, whose answers are counted.
        right: The strategy that should come first.
        variant: Another library for the same, where that is right.
    """

    work: Callable[[Any], Any]
    argument: Any
    many: int
    kind: str
    right: str
    variant: Callable[[Any], Any] | None = None


PROGRAMS = {
    "bytecode in 2 threads": Program(bytecode, 100_000, 2, "threads", "process"),
    "bytecode in 4 threads": Program(bytecode, 100_000, 4, "threads", "process"),
    "json in 2 threads": Program(dumps, ROWS, 2, "threads", "variant", dumps_faster),
    "regular expressions in 2": Program(search, TEXT, 2, "threads", "process"),
    "sorting in 2 threads": Program(order, NUMBERS, 2, "threads", "process"),
    "bytecode and sha256 in 2": Program(mixture, MEGABYTE, 2, "threads", "process"),
    "sha256 in 2 threads": Program(digest, MEGABYTE, 2, "threads", "stay"),
    "zlib in 2 threads": Program(squeeze, MEGABYTE, 2, "threads", "stay"),
    "sha256 in 1 thread": Program(digest, MEGABYTE, 1, "threads", "thread"),
    "bytecode in 1 thread": Program(bytecode, 100_000, 1, "threads", "stay"),
    "sleep in 8 threads": Program(rest, 0.02, 8, "threads", "stay"),
    "database in 8 threads": Program(ask, b"q\n", 8, "threads", "stay"),
    "work and database in 8": Program(work_and_ask, b"q\n", 8, "threads", "stay"),
    "work and sleep in 2": Program(work_and_rest, 0.015, 2, "threads", "stay"),
    "database beside a hog": Program(ask, b"now\n", 1, "hog", "switch_interval"),
    "loop, blocked by sleep": Program(rest, 0.1, 4, "loop", "thread"),
    "loop, blocked by database": Program(ask, b"q\n", 4, "loop", "thread"),
    "loop, blocked by sqlite": Program(select, 50_000, 4, "loop", "thread"),
    "loop, blocked by bytecode": Program(bytecode, 100_000, 4, "loop", "process"),
    "loop, blocked by sha256": Program(digest, MEGABYTE, 4, "loop", "thread"),
    "loop, blocked by json": Program(dumps, ROWS, 4, "loop", "variant", dumps_faster),
    "threads of 2 processes": Program(bytecode, 100_000, 2, "workers", "stay"),
}


def until(stop, work, argument):
    count = 0
    while time.monotonic() < stop:
        work(argument)
        count += 1
    return count


def in_threads(work, argument, many, seconds):
    stop = time.monotonic() + seconds
    with concurrent.futures.ThreadPoolExecutor(many) as pool:
        jobs = [pool.submit(until, stop, work, argument) for _ in range(many)]
        return sum(job.result() for job in jobs) / seconds


def who(seconds):
    time.sleep(seconds)
    return os.getpid()


@contextlib.contextmanager
def pool_of(where, many):
    """A pool whose workers have all started."""
    if where == "thread":
        pool = concurrent.futures.ThreadPoolExecutor(many)
    elif where == "interpreter":
        pool = concurrent.futures.InterpreterPoolExecutor(many)
    else:
        context = multiprocessing.get_context("spawn")
        pool = concurrent.futures.ProcessPoolExecutor(many, mp_context=context)
    with pool:
        if where == "process":
            while len(set(pool.map(who, [0.1] * many))) < many:
                pass
        else:
            list(pool.map(who, [0.1] * many))
        yield pool


def through_pool(work, argument, many, seconds, where):
    """As many threads as before, each of which hands its calls over and waits for what comes back."""
    with pool_of(where, max(many, cores())) as pool:
        handed = max(many, cores()) if many == 1 else many
        return in_threads(
            lambda given: pool.submit(work, given).result(), argument, handed, seconds
        )


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


async def handlers(work, argument, many, seconds, pool):
    """So many clients, each of which asks again as soon as it was answered."""
    loop, stop, served = asyncio.get_running_loop(), time.monotonic() + seconds, 0

    async def client():
        nonlocal served
        while time.monotonic() < stop:
            if pool is None:
                work(argument)
            else:
                await loop.run_in_executor(pool, work, argument)
            served += 1
            await asyncio.sleep(0)

    await asyncio.gather(*(client() for _ in range(many)))
    return served / seconds


def on_a_loop(work, argument, many, seconds, where):
    if where not in {"thread", "process", "interpreter"}:
        return asyncio.run(handlers(work, argument, many, seconds, None))
    with pool_of(where, many) as pool:
        return asyncio.run(handlers(work, argument, many, seconds, pool))


def one_worker(results, work, argument, seconds, where):
    if where in {"process", "interpreter"}:
        results.put(through_pool(work, argument, 2, seconds, where))
    else:
        results.put(in_threads(work, argument, 2, seconds))


def in_workers(work, argument, many, seconds, where):
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    workers = [
        context.Process(target=one_worker, args=(results, work, argument, seconds, where))
        for _ in range(many)
    ]
    for worker in workers:
        worker.start()
    total = sum(results.get() for _ in workers)
    for worker in workers:
        worker.join()
    return total


def beside_a_hog(work, argument, seconds, where):
    """What the one that asks gets done; with "process" the one that computes does so elsewhere."""
    stop = time.monotonic() + seconds
    if where == "process":
        with pool_of("process", 1) as pool:
            stop = time.monotonic() + seconds
            pool.submit(until, stop, bytecode, 100_000)
            return until(stop, work, argument) / seconds
    threading.Thread(target=until, args=(stop, bytecode, 100_000), daemon=True).start()
    return until(stop, work, argument) / seconds


def run(name, where, seconds):
    """Throughput of a program as it is ("now"), or with its work where a strategy puts it."""
    program = PROGRAMS[name]
    work = program.variant if where == "variant" and program.variant else program.work
    if where == "switch_interval":
        sys.setswitchinterval(SHORT_INTERVAL_S)
    if program.kind == "loop":
        return on_a_loop(work, program.argument, program.many, seconds, where)
    if program.kind == "workers":
        return in_workers(work, program.argument, program.many, seconds, where)
    if program.kind == "hog":
        return beside_a_hog(work, program.argument, seconds, where)
    if where in {"process", "interpreter"}:
        return through_pool(work, program.argument, program.many, seconds, where)
    if where == "thread":
        return in_threads(work, program.argument, max(program.many, cores()), seconds)
    return in_threads(work, program.argument, program.many, seconds)


async def serve():
    """A server that answers "now" at once and everything else after ANSWER_S; it prints its port."""

    async def answer(reader, writer):
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                if line != b"now\n":
                    await asyncio.sleep(ANSWER_S)
                writer.write(b"answer\n")

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()
