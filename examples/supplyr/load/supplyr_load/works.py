"""The heavy work that requests ask for: SUPPLYR's tasks, with arguments of a size."""

import os
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from lanewise import Task, task

from supplyr.tasks import (
    export_pdf,
    find_duplicates,
    hash_password,
    import_csv,
    make_thumbnails,
    rank_suppliers,
)


@lru_cache(maxsize=4)
def _rows(count: int) -> tuple[Any, ...]:
    return tuple(_inputs(export_pdf)(count)[0])


@task(size=int, inputs=lambda rows: (rows,))
def price_list(rows: int) -> bytes:
    """Make the PDF of a price list whose rows the worker has: Python, which holds the lock.

    A number goes there and bytes come back. To send a thousand rows as objects instead costs the
    event loop several milliseconds of pickling, which no lane can save it.
    """
    return export_pdf(_rows(rows))


WORKS: dict[str, Task[..., Any]] = {
    "price-list": price_list,
    "import": import_csv,
    "thumbnails": make_thumbnails,
    "duplicates": find_duplicates,
    "ranking": rank_suppliers,
    "password": hash_password,
}


@lru_cache(maxsize=32)
def arguments(work: str, size: int) -> tuple[Any, ...]:
    """Return the arguments of a call; made once, as if the request had brought them."""
    return _inputs(WORKS[work])(size)


def _inputs(work: Task[..., Any]) -> Callable[[int], tuple[Any, ...]]:
    assert work.inputs is not None
    made: Callable[[int], tuple[Any, ...]] = work.inputs
    return made


@task(isolation="required")
def noted(notes: str, label: str, rows: int) -> int:
    """Make a price list, and write down when it began and ended, whoever asked for it.

    What a pool really starts cannot be seen from the process that asked it to. Appending a short
    line is atomic, and the monotonic clock is the same in all processes of a machine.
    """
    _note(notes, "begin", label)
    pages = price_list(rows)
    _note(notes, "end", label)
    return len(pages)


def _note(notes: str, what: str, label: str) -> None:
    line = f"{time.monotonic():.6f} {what} {label} {os.getpid()}\n"
    handle = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def summary(result: Any) -> int:
    """Return how much there is of a result, which is what the answer tells."""
    return len(result) if hasattr(result, "__len__") else 1
