"""What the tests of rare orders of events run in workers."""

import logging
import os
import resource
import signal
import sys
import time

import lanewise


def tagged(x):
    return "result of", x


class Bomb:
    """Ends the process that makes it again."""

    def __reduce__(self):
        return os._exit, (3,)


class Odd:
    """Cannot be made again in the process of that number."""

    def __init__(self, pid, data):
        self.pid, self.data = pid, data

    def __reduce__(self):
        return make_odd, (self.pid, self.data)


def make_odd(pid, data):
    if os.getpid() == pid:
        raise ValueError("cannot be made here")
    return Odd(pid, data)


def odd_or_dead(item):
    pid, what = item
    if what == "die":
        os._exit(3)
    if what == "odd":
        return Odd(pid, b"")
    if what == "large odd":
        return Odd(pid, bytes(100_000))
    return what


PACKED = [0]


class LastWord:
    """Ends the process when it is pickled for the fourth time: after the items, before the result."""

    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        PACKED[0] += 1
        if PACKED[0] > 3:
            os._exit(3)
        return LastWord, (self.x,)


def last_word(x):
    return LastWord(x)


def die_below_zero(x):
    if x < 0:
        os._exit(3)
    return x


def note_and_die_once(item):
    path, x = item
    with open(path, "a") as file:
        file.write(f"{x}\n")
    if x == 5:
        os._exit(3)
    return x


def count(_data, n):
    yield from range(n)


def exit_now():
    os._exit(3)


def fail():
    raise ValueError("too bad")


def fail_once_marked(path):
    if os.path.exists(path):
        raise ValueError("too late")


def limit_address_space(limit_bytes):
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


def first_of(array):
    return float(array[0])


def total_slowly(array):
    total = float(array.sum())
    time.sleep(0.2)  # longer than the watch over memory looks away
    return total


def calls_what_cannot_cross(path):
    import asyncio

    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")

    async def inner():
        async with lanewise.Runtime(processes=1, lanes=("process",)) as rt:
            await rt.run(lambda: 1)

    asyncio.run(inner())


def draw():
    import numpy as np

    return os.getpid(), float(np.random.random())


def add(a, b):
    return a + b


def logs_from_a_signal_handler():
    signal.signal(
        signal.SIGALRM, lambda *_: logging.getLogger("far.signal").warning("from the handler")
    )
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    for _ in range(40):
        yield bytes(60_000)
    signal.setitimer(signal.ITIMER_REAL, 0)


def forks_and_exits():
    pid = os.fork()
    if pid == 0:
        sys.exit(7)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def forks_and_returns(_item=None):
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return "of the worker"


def pid():
    return os.getpid()


def sleep_and_mark(path, duration_s):
    time.sleep(duration_s)
    with open(path, "a") as file:
        file.write("ended\n")


def nothing(_seconds=0.0):
    time.sleep(_seconds)


def import_and_call(module, *args):
    return __import__(module).answer(*args)


def exits_at_unpickling():
    return ExitsHere(os.getpid())


class ExitsHere:
    def __init__(self, pid):
        self.pid = pid

    def __reduce__(self):
        return sys.exit, (self.pid,)
