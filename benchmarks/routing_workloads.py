"""Calls of every kind that a service makes, for routing.py. Sizes are declared, so that plans can read them."""

import hashlib
import json
import time
import zlib
from dataclasses import dataclass
from functools import cache

from lanewise import task


@task(inputs=lambda n: (n,), size=lambda n: n)
def loop(n):
    """Pure Python: the lock throughout. About 45 ns a step."""
    total = 0
    for i in range(n):
        total += i * i % 7
    return total


@task(inputs=lambda n: (rows(n),), size=len)
def encode(some):
    """C with the lock; a large argument of many objects."""
    return len(json.dumps(some))


@task(inputs=lambda n: (n,), size=lambda n: n)
def encode_made_there(n):
    """C with the lock; nothing that must cross."""
    return len(json.dumps(rows(n)))


@task(inputs=lambda n: (data(n),), size=len)
def compress(some):
    """C without the lock."""
    return len(zlib.compress(some, 6))


@task(inputs=lambda n: (data(n),), size=len)
def digest(some):
    """C without the lock, about 1 GB/s: crossing costs as much as the work."""
    return hashlib.sha256(some).hexdigest()


@task(inputs=lambda n: (n,), size=lambda n: n)
def half_and_half(n):
    """Python and C without the lock, in turns of about a tenth of a millisecond."""
    some, total = data(8_000), 0
    for _ in range(n):
        for i in range(2_000):
            total += i
        total += len(zlib.compress(some, 6))
    return total


@task(inputs=lambda n: (n * 1e-6,), size=lambda seconds: seconds * 1e6)
def wait(seconds):
    """No core at all."""
    time.sleep(seconds)


@task(inputs=lambda n: (n,), size=lambda n: n)
def make(n):
    """A small argument and a large result."""
    return bytes(n)


@cache
def rows(n):
    return [{"id": i, "name": f"supplier {i}", "city": "Basel"} for i in range(n)]


@cache
def data(n):
    return (b"".join(b"%d supplier %d\n" % (i % 97, i) for i in range(n // 12 + 1)))[:n]


@dataclass(frozen=True)
class Workload:
    """So many calls, made by some callers that each wait for their results.

    Attributes:
        parts: Which calls, one part after another: a task, its argument, how many calls.
    """

    name: str
    callers: int
    parts: tuple

    @property
    def calls(self):
        """Every call, in order."""
        return [(task, argument) for task, argument, count in self.parts for _ in range(count)]


def of(name, callers, *parts):
    return Workload(f"{name} ×{callers}", callers, parts)


def all_workloads():
    return [
        of("Python 20 µs", 1, (loop, 450, 20_000)),
        of("Python 20 µs", 8, (loop, 450, 20_000)),
        of("Python 200 µs", 1, (loop, 4_500, 4_000)),
        of("Python 200 µs", 8, (loop, 4_500, 6_000)),
        of("Python 2 ms", 1, (loop, 45_000, 500)),
        of("Python 2 ms", 2, (loop, 45_000, 900)),
        of("Python 20 ms", 1, (loop, 450_000, 60)),
        of("Python 20 ms", 8, (loop, 450_000, 120)),
        of("Python 300 ms", 2, (loop, 6_700_000, 10)),
        of("JSON of 100 rows sent", 2, (encode, rows(100), 4_000)),
        of("JSON of 10,000 rows sent", 2, (encode, rows(10_000), 60)),
        of("JSON of 10,000 rows made there", 2, (encode_made_there, 10_000, 200)),
        of("zlib 2 KB", 2, (compress, data(2_000), 20_000)),
        of("zlib 100 KB", 1, (compress, data(100_000), 500)),
        of("zlib 100 KB", 8, (compress, data(100_000), 1_000)),
        of("zlib 4 MB", 2, (compress, data(4_000_000), 24)),
        of("sha256 100 B", 1, (digest, data(100), 60_000)),
        of("sha256 1 MB", 2, (digest, data(1_000_000), 1_500)),
        of("sha256 50 MB", 2, (digest, data(50_000_000), 30)),
        of("half and half 5 ms", 2, (half_and_half, 25, 350)),
        of("wait 1 ms", 8, (wait, 0.001, 5_000)),
        of("wait 20 ms", 8, (wait, 0.020, 400)),
        of("wait 300 ms", 8, (wait, 0.300, 40)),
        of("5 MB results", 2, (make, 5_000_000, 3_000)),
        of("Python 40 µs, then 10 ms", 2, (loop, 900, 8_000), (loop, 225_000, 100)),
        of("Python 10 ms, then 40 µs", 2, (loop, 225_000, 100), (loop, 900, 8_000)),
        of("wait 5 ms, then compute 5 ms", 2, (wait, 0.005, 200), (loop, 110_000, 200)),
        of(
            "zlib 2 KB, then 1 MB",
            2,
            (compress, data(2_000), 10_000),
            (compress, data(1_000_000), 60),
        ),
    ]


# What `lanewise measure` is to measure for the plan.
TARGETS = {
    "loop": "450,4500,45k,450k,6700k",
    "encode": "100,1000,10k",
    "encode_made_there": "1000,10k",
    "compress": "2000,20k,100k,1M,4M",
    "digest": "100,10k,1M,50M",
    "half_and_half": "1,5,25",
    "wait": "1000,5000,20k,300k",
    "make": "100k,5M",
}
