"""Functions of known kinds: in Python, in C with the lock, in C without it, waiting, crossing."""

import hashlib
import json
import random
import re
import time
import zlib

from lanewise import task


def _bytes(size):
    return (random.Random(1).randbytes(int(size)),)


@task(inputs=lambda n: (n,), size=lambda n: n)
def python_loop(n):
    """Pure Python: holds the lock throughout."""
    total = 0
    for i in range(n):
        total += i * i % 7
    return total


@task(inputs=lambda n: ([{"id": i, "name": f"item {i}"} for i in range(n)],), size=len)
def encode_json(rows):
    """C with the lock."""
    return len(json.dumps(rows))


@task(inputs=lambda n: ("a1b2 " * n,), size=lambda text: len(text) // 5)
def scan_text(text):
    """C with the lock; a string in, a number out."""
    return sum(1 for _ in re.finditer(r"[a-z]\d", text))


@task(inputs=_bytes)
def hash_bytes(data):
    """C without the lock from 2,048 bytes on."""
    return hashlib.sha256(data).hexdigest()


@task(inputs=_bytes)
def compress_bytes(data):
    """C without the lock."""
    return len(zlib.compress(data, 6))


@task(inputs=_bytes)
def count_bytes(data):
    """C with the lock, far cheaper than sending its argument anywhere."""
    return data.count(b"x")


@task(inputs=lambda n: (n * 1e-6,), size=lambda seconds: seconds * 1e6)
def wait(seconds):
    """No CPU at all."""
    time.sleep(seconds)


@task(inputs=lambda n: (n, bytes(200_000)), size=lambda n, data: n)
def half_and_half(n, data):
    """Some Python, some C without the lock."""
    total = 0
    for i in range(n):
        total += i
        if i % 500 == 0:
            hashlib.sha256(data).digest()
    return total


LADDERS = {
    "python_loop": (300, 3_000, 30_000, 300_000),
    "encode_json": (10, 100, 1_000, 10_000),
    "scan_text": (30, 300, 3_000, 30_000),
    "hash_bytes": (1_000, 30_000, 1_000_000, 10_000_000),
    "compress_bytes": (500, 5_000, 50_000, 500_000),
    "count_bytes": (10_000, 100_000, 1_000_000, 10_000_000),
    "wait": (50, 500, 5_000, 50_000),
    "half_and_half": (500, 5_000, 50_000),
}
