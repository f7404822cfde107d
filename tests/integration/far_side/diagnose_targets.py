"""Programs to look at: what each does with the lock is known from how it is made.

usage: diagnose_targets.py NAME SECONDS
They say that they have begun by a line on standard output.
"""

import asyncio
import ctypes
import json
import subprocess
import sys
import threading
import time

ROWS = {str(number): list(range(20)) for number in range(200)}
# The C library's own sleep, called with the lock kept and with the lock given up.
sleep_with_the_lock = ctypes.PyDLL(None).usleep
sleep_without_the_lock = ctypes.CDLL(None).usleep


def half_the_time(stop):
    while time.monotonic() < stop:
        # So long that what a busy machine adds to each sleep is little beside it.
        sleep_with_the_lock(40_000)
        sleep_without_the_lock(40_000)


def bytecode(stop):
    total = 0
    while time.monotonic() < stop:
        for number in range(1_000):
            total += number * number


def encode(stop):
    while time.monotonic() < stop:
        json.dumps(ROWS)


def threads_of(function, count, seconds):
    stop = time.monotonic() + seconds
    threads = [
        threading.Thread(target=function, args=(stop,), name=f"{function.__name__}-{number}")
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    print("begun", flush=True)
    for thread in threads:
        thread.join()


async def blocked_loop(seconds):
    stop = time.monotonic() + seconds
    print("begun", flush=True)
    while time.monotonic() < stop:
        blocking_handler()
        await asyncio.sleep(0.15)


def blocking_handler():
    time.sleep(0.15)


async def deeply_blocked_loop(seconds):
    stop = time.monotonic() + seconds
    print("begun", flush=True)
    while time.monotonic() < stop:
        recursive_handler(600)
        await asyncio.sleep(0.15)


def recursive_handler(depth):
    if depth:
        recursive_handler(depth - 1)
    else:
        blocking_handler()


def parent(seconds):
    child = subprocess.Popen([sys.executable, __file__, "bytecode", str(seconds)])
    print("begun", flush=True)
    child.wait()


def main(name, seconds):
    if name == "half":
        threads_of(half_the_time, 1, seconds)
    elif name == "bytecode":
        threads_of(bytecode, 2, seconds)
    elif name == "encode":
        threads_of(encode, 1, seconds)
    elif name == "loop":
        asyncio.run(blocked_loop(seconds))
    elif name == "deep":
        asyncio.run(deeply_blocked_loop(seconds))
    else:
        parent(seconds)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
