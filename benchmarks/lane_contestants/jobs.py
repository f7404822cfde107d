"""Functions that contestants call in their workers. Imports little: every worker pays for it."""

import os
import time

# Whoever is not killed ends by itself, so that a broken contestant leaves no load behind.
_AT_MOST_S = 90.0

_kept = {}


def noop():
    """Nothing: what is left is the call itself."""


async def async_noop():
    """Nothing, for pools that take coroutine functions only."""


def spin(iterations):
    """Hold a core for a time that :func:`calibrated_iterations` has set."""
    for _ in range(iterations):
        pass
    return iterations


def sleep(seconds):
    time.sleep(seconds)


def worker(seconds):
    """Sleep, so that others get the next call, and tell the process."""
    time.sleep(seconds)
    return os.getpid()


def first_and_last(array):
    """Touch both ends; a plain float back, since numpy's own costs more to send."""
    return float(array[0]) + float(array[-1])


def kept_array(size_bytes):
    """Return an array that this worker holds anyway."""
    if size_bytes not in _kept:
        import numpy as np

        _kept.clear()
        _kept[size_bytes] = np.arange(size_bytes // 8, dtype=np.float64)
    return _kept[size_bytes]


def spin_until_killed(fifo):
    """Tell that it has started, with the process id, and then hold a core."""
    with open(fifo, "wb", buffering=0) as pipe:  # noqa: PTH123 - because: pathlib is one import more
        pipe.write(b"%d\n" % os.getpid())
    end = time.monotonic() + _AT_MOST_S
    while time.monotonic() < end:
        for _ in range(100_000):
            pass


def calibrated_iterations(target_s=10e-6, repeats=15):
    """Find the argument with which :func:`spin` takes ``target_s`` of an undisturbed core."""
    few, many = 50, 2_050
    few_s, many_s = _least_s(few, repeats), _least_s(many, repeats)
    each_s = (many_s - few_s) / (many - few)
    return max(1, round(few + (target_s - few_s) / each_s))


def _least_s(iterations, repeats, calls=200):
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        for _ in range(calls):
            spin(iterations)
        best = min(best, (time.perf_counter() - started) / calls)
    return best
