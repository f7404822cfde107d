"""Progress on standard error: a live bar in a terminal, a line a task elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from lanewise.measuring.progress import NoProgress, Progress

# A redraw costs CPU time that the measurement would see.
_REDRAW_EVERY_S = 0.5


class _Lines:
    """For logs and pipes: one line when a task begins and one when it ends."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def task(self, name: str, budget_s: float) -> None:
        self._started = time.monotonic()
        print(f"measuring {name} (budget {budget_s:g} s)", file=sys.stderr, flush=True)  # noqa: T201 - because: progress goes to the terminal

    def step(self, text: str, spent_s: float) -> None:
        pass

    def done(self, name: str) -> None:
        spent_s = time.monotonic() - self._started
        print(f"measured {name} in {spent_s:.1f} s", file=sys.stderr, flush=True)  # noqa: T201 - because: see above


class _Bar:
    """For terminals.

    Redraws are driven by the session and happen between measurements, never by a thread, which would
    take a core and the lock from what is being measured.
    """

    def __init__(self, bar: RichProgress) -> None:
        self._bar = bar
        self._id = None if not bar.tasks else bar.tasks[0].id
        self._drawn = 0.0

    def task(self, name: str, budget_s: float) -> None:
        self._id = self._bar.add_task(name, total=budget_s, step="starting")
        self._bar.refresh()

    def step(self, text: str, spent_s: float) -> None:
        now = time.monotonic()
        if self._id is not None and now - self._drawn >= _REDRAW_EVERY_S:
            self._drawn = now
            self._bar.update(self._id, completed=spent_s, step=text)
            self._bar.refresh()

    def done(self, name: str) -> None:
        if self._id is not None:
            task = self._bar.tasks[self._id]
            self._bar.update(self._id, completed=task.total, step=f"done: {name}")
            self._bar.refresh()


@contextmanager
def make_progress(*, quiet: bool) -> Iterator[Progress]:
    """Yield what suits the terminal."""
    if quiet:
        yield NoProgress()
        return
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[step]}"),
    )
    with RichProgress(*columns, console=Console(stderr=True), auto_refresh=False) as bar:
        yield _Bar(bar)
