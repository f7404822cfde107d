"""What the process lane's tests run in workers."""

import contextvars
import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings

import lanewise

REQUEST = contextvars.ContextVar("request", default="none")


class Client:
    def __init__(self):
        self.name = "x"
        self._lock = threading.Lock()


class Stubborn:
    """Pickles, and cannot be made again."""

    def __reduce__(self):
        return (explode, ())


def explode():
    raise RuntimeError("cannot be made again")


class OddError(Exception):
    def __init__(self, first, second):
        super().__init__(first)
        self.second = second


def square(n):
    return n * n


def segfault():
    ctypes.string_at(0)


def exit_with(code):
    os._exit(code)


def kill_self(number=signal.SIGKILL):
    os.kill(os.getpid(), number)


def hold_the_lock_in_c(path=None):
    if path is not None:
        mark(path)
    re.match(r"(a+)+$", "a" * 64 + "b")


def burn(path):
    mark(path)
    while True:
        pass


@lanewise.task(idempotent=True)
def burn_again(path):
    burn(path)


def mark(path):
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")


def grow(step_bytes):
    held = []
    while True:
        held.append(b"x" * step_bytes)


def returns_lock():
    return {"rows": [1, Client()]}


def returns_stubborn():
    return Stubborn()


def raises_odd():
    raise OddError("first", "second")


def raises_with_cause():
    try:
        {}["missing"]
    except KeyError as error:
        raise ValueError("outer") from error


def prints_from_c():
    libc = ctypes.CDLL(None)
    libc.puts(b"said by C")
    libc.fflush(None)
    print("said by Python")
    print("to stderr", file=sys.stderr)


def says_and_dies():
    print("famous last words", file=sys.stderr, flush=True)
    os._exit(9)


def logs_and_warns():
    logging.getLogger("far.away").error("order %d failed", 7, extra={"tenant": "acme"})
    warnings.warn("mind the gap", DeprecationWarning, stacklevel=1)


def starts_a_family(path):
    """Start a child in a session of its own and a daemon that left its parent; then compute for ever."""
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
    )
    if os.fork() == 0:
        os.setsid()
        daemon = os.fork()
        if daemon == 0:
            time.sleep(600)
            os._exit(0)
        with open(path, "w") as file:
            file.write(f"{os.getppid()} {child.pid} {daemon}")
        os._exit(0)
    os.wait()
    mark(path + ".done")
    while True:
        pass


def remaining_s():
    return lanewise.deadline()


def read_request():
    return REQUEST.get()


def count_up(stop, path=None):
    try:
        yield from range(stop)
    finally:
        if path is not None:
            mark(path)


def count_up_noting(stop, path):
    for n in range(stop):
        mark_call(path, n)
        yield n


def fails_midway(items):
    yield from range(items)
    raise ValueError("midway")


def crash_at(n):
    if n == 37:
        os._exit(5)
    return n


def log_then_square(path, n):
    mark_call(path, n)
    time.sleep(0.002)
    return n * n


def mark_call(path, n):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{n}\n".encode())
    os.close(fd)


def total(values):
    return float(sum(values))


def length(value):
    return len(value)


def is_writable(array):
    return bool(array.flags.writeable)


def change_first(array):
    array[0] = -1
    return float(array[0])


KEPT = []


def keep(array):
    KEPT.append(array)
    return len(KEPT)


def kept_sum(index):
    return float(KEPT[index].sum())


def zeros(length):
    import numpy as np

    return np.zeros(length)


def nested(depth):
    import asyncio

    async def inner():
        async with lanewise.Runtime(processes=1, lanes=("process",)) as rt:
            if depth:
                return await rt.run(nested, depth - 1)
            return await rt.run(square, 3)

    return asyncio.run(inner())


def pid():
    return os.getpid()
