"""Functions of which it is known how long they hold the interpreter's lock."""

import hashlib
import json
import time

from lanewise import task

ONE_MEGABYTE = bytes(1_000_000)
ROWS = [{"name": f"row {n}", "value": n} for n in range(300)]


@task(inputs=lambda n: (n,), size=lambda n: n)
def pure_python(n):
    """Never gives the lock up of its own accord."""
    return sum(i * i for i in range(10_000))


@task(inputs=lambda n: (n,), size=lambda n: n)
def sleeps(n):
    """Gives the lock up for all but microseconds."""
    time.sleep(0.002)


@task(inputs=lambda n: (n,), size=lambda n: n)
def hashes_a_megabyte(n):
    """Computes without the lock: hashlib gives it up for long data."""
    return hashlib.sha256(ONE_MEGABYTE).digest()


@task(inputs=lambda n: (n,), size=lambda n: n)
def dumps_json(n):
    """C code that keeps the lock."""
    return json.dumps(ROWS)


@task(inputs=lambda n: (bytes(int(n)),), size=len)
def sha256(data):
    """Gives the lock up from HASHLIB_GIL_MINSIZE on (Modules/hashlib.h)."""
    return hashlib.sha256(data).digest()


def arrays(n):
    import numpy as np

    return np.ones(int(n)), np.ones(int(n))


@task(inputs=arrays, size=lambda left, right: left.size)
def add_arrays(left, right):
    """Gives the lock up above 500 items (NPY_BEGIN_THREADS_THRESHOLDED)."""
    return left + right
