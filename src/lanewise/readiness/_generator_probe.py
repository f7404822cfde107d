"""Let two threads advance one generator, as FT104 finds it, and see whether that ends the process.

Runs in a child process (``dependencies/_probe_child.py``) of the interpreter that is asked. Stdlib only.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

_ADVANCES = 2_000


def prepare(_options: dict[str, Any]) -> dict[str, Any]:
    """Say which interpreter this is."""
    return {
        "version": ".".join(str(part) for part in sys.version_info[:3]),
        "gil_enabled": gil_enabled(),
    }


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Try for so many seconds; who is there to answer has survived."""
    deadline = time.monotonic() + question["seconds"]
    rounds = refused = 0
    while time.monotonic() < deadline:
        rounds += 1
        refused += _round()
    return {"rounds": rounds, "refused": refused}


def gil_enabled() -> bool:
    """Whether threads take turns here."""
    ask = getattr(sys, "_is_gil_enabled", None)
    return True if ask is None else bool(ask())


def _round() -> int:
    """Return how often a thread was told that the generator runs already."""
    shared = _numbers()
    together = threading.Barrier(2)
    refused = [0, 0]

    def advance(index: int) -> None:
        together.wait()
        for _ in range(_ADVANCES):
            try:
                next(shared)
            except ValueError:
                refused[index] += 1
            except StopIteration:
                return

    threads = [threading.Thread(target=advance, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(refused)


def _numbers() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1
