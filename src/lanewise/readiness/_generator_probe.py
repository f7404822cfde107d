"""Let two threads advance one generator, as FT104 finds it, and see whether that ends the process.

Runs in a child process (``dependencies/_probe_child.py``) of the interpreter that is asked. Stdlib only.
"""

from __future__ import annotations

import contextlib
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
    rounds = 0
    while time.monotonic() < deadline:
        rounds += 1
        _round()
    return {"rounds": rounds}


def gil_enabled() -> bool:
    """Whether threads take turns here."""
    ask = getattr(sys, "_is_gil_enabled", None)
    return True if ask is None else bool(ask())


def _round() -> None:
    # lanewise: ok(FT104: that two threads advance it is what is to be seen)
    shared = _numbers()
    together = threading.Barrier(2)

    def advance() -> None:
        together.wait()
        for _ in range(_ADVANCES):
            with contextlib.suppress(ValueError, StopIteration):
                next(shared)

    threads = [threading.Thread(target=advance) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _numbers() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1
