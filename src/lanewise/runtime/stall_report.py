"""From what was seen in a stall to what is told about it: the :class:`Stall` and one line in the log."""

from __future__ import annotations

import linecache
import logging
import math
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import _lanewise_worker
from lanewise.host.facts import gil_enabled
from lanewise.model.units import format_seconds
from lanewise.runtime.loop_lag import Stall
from lanewise.runtime.stall_advice import (
    STARVED_SHARE,
    Scene,
    advise,
    advise_collection,
    advise_idle,
    advise_starved,
)
from lanewise.runtime.stalls import (
    Blame,
    Frame,
    Look,
    Roots,
    Runner,
    Stack,
    blame,
    holder,
    origin,
)

_log = logging.getLogger("lanewise")

_LOG_EVERY_S = 60.0
# Places whose last line in the log is remembered, and frames kept of a stack.
_MOST_PLACES = 256
_MOST_FRAMES = 60


class Late(NamedTuple):
    """A beat that came as late as a stall is long.

    Attributes:
        due_s: When it was due (``time.monotonic()``).
        late_s: How long after that it came.
        at_s: When it was due, by the wall clock.
        gc_s: How long the garbage collector ran since the beat before.
    """

    due_s: float
    late_s: float
    at_s: float
    gc_s: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What the watchdog saw of one stall.

    Attributes:
        looks: Those that were kept, and ``count`` how many there were.
        runner: What the loop's callbacks run upon.
        busy_share: Share of the time since all was well that the loop's thread spent on a core, or ready
            to run without one; None where unknown, or where it may have waited for the lock.
        cpu_s: CPU time of all threads in that time, by identity, where known.
        ran: Whether the process used a core at all.
        starved_share: The part of ``busy_share`` in which that thread was ready to run and had no core.
    """

    looks: tuple[Look, ...]
    count: int
    runner: Runner | None
    busy_share: float | None
    cpu_s: Mapping[int, float]
    ran: bool
    starved_share: float = 0.0


def code_roots() -> Roots:
    """Find out where code lies that is not the user's."""
    packages = (Path(__file__).parent.parent, Path(_lanewise_worker.__file__).parent)
    standard = (Path(os.__file__).parent, Path(threading.__file__).parent)
    return Roots(
        own=tuple(f"{path}{os.sep}" for path in packages),
        library=(),
        standard=tuple(f"{path}{os.sep}" for path in standard),
    )


def stall_of(late: Late, seen: Seen, roots: Roots) -> Stall:
    """Say what happened and what to do about it. Reads the source files that the stack names."""
    found = blame(seen.looks, seen.runner, roots)
    collected = late.gc_s >= late.late_s / 2
    frame = None if collected else found.frame
    advice = advise_collection(late.gc_s) if collected else _advice(found, seen, roots)
    return Stall(
        at_s=late.at_s,
        duration_s=late.late_s,
        where=str(frame) if frame else "",
        advice=advice,
        stack=tuple(map(str, found.stack[-_MOST_FRAMES:])),
        samples=seen.count,
        where_share=found.share if frame else 0.0,
    )


def _advice(found: Blame, seen: Seen, roots: Roots) -> str:
    frame = found.frame
    if frame is None:
        culprit = holder(seen.looks, seen.cpu_s)
        gil = gil_enabled()
        return advise_idle(culprit, seen.busy_share, seen=seen.count > 0, ran=seen.ran, gil=gil)
    if seen.starved_share >= STARVED_SHARE:
        return advise_starved(seen.starved_share)
    scene = Scene(
        frame=frame,
        line=linecache.getline(frame.file, frame.line).strip(),
        callback=found.callback,
        entry=_entry(found.callback, roots),
        share=found.share,
        busy_share=seen.busy_share,
    )
    return advise(scene, roots)


def _entry(callback: Stack, roots: Roots) -> str:
    """The outermost function of the user's that is called by no other of theirs but coroutines."""
    entry = ""
    for frame in callback:
        if origin(frame.file, roots) != "user" or frame.function.startswith("<"):
            continue
        if _is_coroutine(frame):
            entry = ""
        elif not entry:
            entry = frame.function
    return entry


def _is_coroutine(frame: Frame) -> bool:
    """Whether its definition, the nearest of that name above its line, begins with async."""
    definition = re.compile(rf"\s*(async\s+)?def\s+{re.escape(frame.function)}\b")
    for line in reversed(linecache.getlines(frame.file)[: frame.line]):
        if found := definition.match(line):
            return found[1] is not None
    return False


class StallLog:
    """Writes each place to the log once a minute. Owned by one thread."""

    def __init__(self) -> None:
        # By place: when it was last told, and how often it was passed over since.
        self._told: dict[str, tuple[float, int]] = {}

    def tell(self, stall: Stall, now_s: float) -> None:
        """Write it, unless its place has been told within the last minute.

        Args:
            stall: What to tell.
            now_s: ``time.monotonic()``.
        """
        # Lines of one function are one place; without a place the advice says what kind of stall it was.
        place = re.sub(r":\d+ ", " ", stall.where) or stall.advice[:40]
        told_s, passed_over = self._told.get(place, (-math.inf, 0))
        if now_s - told_s < _LOG_EVERY_S:
            self._told[place] = (told_s, passed_over + 1)
            return
        if len(self._told) >= _MOST_PLACES:
            self._told.clear()
        self._told[place] = (now_s, 0)
        _log.warning(
            "the event loop stood still for %s%s: %s%s",
            format_seconds(stall.duration_s),
            f" at {stall.where}" if stall.where else "",
            stall.advice,
            f" ({passed_over} more since it was last told)" if passed_over else "",
        )
