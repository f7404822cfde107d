"""Programs whose truth is known by construction, to be diagnosed; see diagnose_truth.py.

usage: diagnose_programs.py PROGRAM THREADS PERIOD_US SECONDS
It prints its pid and the native ids of its threads, and computes until it is killed or the time is over.
"""

import asyncio
import contextlib
import ctypes
import gc
import hashlib
import json
import os
import socket
import sqlite3
import sys
import threading
import time

MEGABYTE = bytes(1_000_000)
DOCUMENT = {str(number): list(range(20)) for number in range(200)}
STALL_S = 0.2
EVERY_S = 0.5
STATE = {}


def spin(share):
    """C that spins with the lock for this share of each period, and without it for the rest."""
    library = os.environ["LANEWISE_SPIN_LIBRARY"]
    held, free = ctypes.PyDLL(library).spin_us, ctypes.CDLL(library).spin_us
    for function in (held, free):
        function.argtypes, function.restype = [ctypes.c_double], None

    def work(period_us):
        if share:
            held(period_us * share)
        if share < 1:
            free(period_us * (1 - share))

    return work


def burst(period_us):
    """Hold the lock for a fifth of each period, and sleep for the rest."""
    STATE["burst"](period_us / 5)
    time.sleep(period_us * 0.8e-6)


def pure_python(period_us):
    total = 0
    for number in range(2_000):
        total += number * number % 7
    return total


def sha256(period_us):
    hashlib.sha256(MEGABYTE).digest()


def dumps(period_us):
    json.dumps(DOCUMENT)


def sleeps(period_us):
    time.sleep(0.01)


def socket_waits(period_us):
    with contextlib.suppress(TimeoutError):
        STATE["socket"].recv(1)


def lock_waits(period_us):
    STATE["lock"].acquire(timeout=0.02)


def loop_cpu():
    stop = time.perf_counter() + STALL_S
    while time.perf_counter() < stop:
        pass


def loop_sleep():
    time.sleep(STALL_S)


def loop_database():
    STATE["database"].execute(QUERY, (STATE["rows"],)).fetchall()


def loop_gc():
    gc.collect()


QUERY = (
    "with recursive c(x) as (select 1 union all select x + 1 from c limit ?) select count(*) from c"
)


def prepare_loop(name):
    """Find out how much makes 0.2 s."""
    if name == "loop_database":
        STATE["database"], STATE["rows"] = sqlite3.connect(":memory:"), 100_000
        began = time.perf_counter()
        loop_database()
        STATE["rows"] = int(100_000 * STALL_S / (time.perf_counter() - began))
    if name == "loop_gc":
        gc.disable()
        STATE["objects"] = [[number] for number in range(400_000)]
        began = time.perf_counter()
        gc.collect()
        wanted = int(400_000 * STALL_S / (time.perf_counter() - began))
        STATE["objects"] = [[number] for number in range(wanted)]


async def stalled_loop(name, seconds):
    """Block the loop for 0.2 s every 0.5 s, and tell at the end for which share it really was."""
    blocked_s = 0.0
    began = due = time.monotonic()
    while time.monotonic() < began + seconds:
        before = time.monotonic()
        globals()[name]()
        blocked_s += time.monotonic() - before
        due += EVERY_S
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    print(blocked_s / (time.monotonic() - began), flush=True)


def main(name, threads, period_us, seconds):
    if name.startswith("loop_"):
        prepare_loop(name)
        print(os.getpid(), flush=True)
        asyncio.run(stalled_loop(name, seconds))
        return
    if name == "burst":
        STATE["burst"] = ctypes.PyDLL(os.environ["LANEWISE_SPIN_LIBRARY"]).spin_us
        STATE["burst"].argtypes, STATE["burst"].restype = [ctypes.c_double], None
    STATE["socket"], STATE["other_end"] = socket.socketpair()
    STATE["socket"].settimeout(0.02)
    STATE["lock"] = threading.Lock()
    STATE["lock"].acquire()
    work = spin(float(name.removeprefix("spin_"))) if name.startswith("spin_") else globals()[name]
    stop = time.monotonic() + seconds
    started = threading.Barrier(threads + 1)

    def run():
        started.wait()
        while time.monotonic() < stop:
            work(period_us)

    workers = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    started.wait()
    print(os.getpid(), *(worker.native_id for worker in workers), flush=True)
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
