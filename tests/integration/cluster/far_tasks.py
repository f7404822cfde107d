"""What tests of the cluster lane run on nodes."""

import contextvars
import logging
import os
import signal
import sys
import time
import warnings
from pathlib import Path

from lanewise import task

REQUEST = contextvars.ContextVar("request", default="none")


def say(word):
    print(f"printed {word}")
    print(f"complained {word}", file=sys.stderr)
    logging.getLogger("far").warning("logged %s", word)
    warnings.warn(f"warned {word}", stacklevel=1)
    return REQUEST.get()


def pid():
    return os.getpid()


def note(path):
    """Leave a line where calls of every node can be counted, then go on for ever."""
    with Path(path).open("a") as file:
        file.write(f"{os.getpid()}\n")
    signal.pause()


@task(idempotent=True)
def note_or_return(path, calls):
    """Go on for ever until it has been called so often."""
    with Path(path).open("a") as file:
        file.write(f"{os.getpid()}\n")
    if len(Path(path).read_text().split()) < calls:
        signal.pause()
    return "at last"


def crash(how):
    os.kill(os.getpid(), how)


def crash_at(item):
    if item == 5:
        os._exit(3)
    return item


@task(resources={"cpus": 2})
def wide():
    return "wide"


@task(resources={"cpus": 64})
def too_wide():
    return "too wide"


def total(array):
    return float(array.sum()), array.flags.writeable


def change(array):
    array[0] = 7
    return array


def busy(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass
    return os.getpid()
