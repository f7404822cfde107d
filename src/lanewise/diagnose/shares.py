"""From looks and counters to seconds: where each thread's time went. Pure.

The kernel counts exactly how long a thread ran and how long it waited for a core; the rest it
slept. Looks only
divide these three: what ran, into bytecode and native code with and without the lock; what slept,
    into waiting for
the lock, for another lock, and for anything else. So a sampler that is late, or that wakes when its
target sleeps, does not shift time between running and sleeping.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from lanewise.diagnose.session import ProcessRecord
from lanewise.diagnose.states import COLUMNS, Column, Look, Shares, no_shares
from lanewise.measuring.statistics import batch_means_error

_BATCHES = 20
# A thread that was woken because the lock is free takes it within microseconds of having a core.
_JUST_WOKEN = 0.1
# Looks at one place say more than those in one state, once there are more than so many.
_PLACE_PRIOR = 4
_LEAST_LIKELY = 1e-3
_HALVINGS = 40


class Spent(NamedTuple):
    """Seconds of a thread that one of its looks stands for.

    Attributes:
        thread: Its position among the record's.
        look: Its position among the record's; -1 where nothing was seen of that time.
    """

    thread: int
    look: int
    column: Column
    seconds: float
    holds: bool


class ThreadTime(NamedTuple):
    """Where one thread's time went.

    Attributes:
        thread: Its position among the record's.
        alive_s: How long it was watched; the shares are of this, and add up to 1.
        errors: Standard error of each share.
        looks: How many it rests on.
    """

    thread: int
    alive_s: float
    shares: Shares
    errors: Shares
    looks: int


def spent(record: ProcessRecord) -> list[Spent]:
    """Divide every thread's time among its looks."""
    of_thread: dict[int, list[int]] = defaultdict(list)
    for at, look in enumerate(record.looks):
        of_thread[look.thread].append(at)
    found: list[Spent] = []
    for index, thread in enumerate(record.threads):
        alive_s = (thread.last_us - thread.first_us) / 1e6
        if alive_s > 0:
            run_s, queued_s = _fitted(thread.run_ns / 1e9, thread.queued_ns / 1e9, alive_s)
            times = (run_s, queued_s, max(0.0, alive_s - run_s - queued_s))
            divided = _of_thread(record.looks, of_thread[index], times, python=thread.python)
            found += (one._replace(thread=index) for one in divided)
    return found


def _fitted(run_s: float, queued_s: float, alive_s: float) -> tuple[float, float]:
    """Counters are read at other moments than the looks, so they may exceed the time by a little."""
    excess = (run_s + queued_s) / alive_s
    return (run_s / excess, queued_s / excess) if excess > 1 else (run_s, queued_s)


def _of_thread(
    looks: Sequence[Look], mine: Sequence[int], times: tuple[float, float, float], *, python: bool
) -> Iterator[Spent]:
    run_s, queued_s, asleep_s = times
    runnable = [at for at in mine if looks[at].runnable]
    asleep = [at for at in mine if not looks[at].runnable]
    busy_s = run_s + queued_s
    expected = len(runnable) * run_s / busy_s if busy_s else 0.0
    on_core = dict(zip(mine, _on_core([looks[at] for at in mine], expected), strict=True))
    ran = sum(on_core[at] for at in runnable)
    queued = len(runnable) - ran
    slept = sum(looks[at].moments for at in asleep)
    for at in runnable:
        if ran > 0:
            yield Spent(-1, at, looks[at].state, run_s * on_core[at] / ran, looks[at].holds)
        if queued > 0:
            waited_s = queued_s * (1 - on_core[at]) / queued
            yield Spent(-1, at, "run_queue", waited_s, looks[at].holds)
    for at in asleep:
        look = looks[at]
        yield Spent(-1, at, look.state, asleep_s * look.moments / slept, look.holds)
    # Too short to have been seen: of a thread that the interpreter knows it is most likely
    # bytecode.
    if ran == 0 and run_s:
        yield Spent(-1, -1, "python_gil" if python else "native_free", run_s, python)
    if queued == 0 and queued_s:
        yield Spent(-1, -1, "run_queue", queued_s, holds=False)
    if slept == 0 and asleep_s:
        yield Spent(-1, -1, "io_sleep", asleep_s, holds=False)


def _on_core(looks: Sequence[Look], expected: float) -> list[float]:
    """For each look, how likely a runnable thread was on a core rather than waiting for one.

    Of the looks for which that is not known, the counters say how many were (``expected``, of all
    runnable looks); which ones those are, looks at the same place of which it is known, and the
    counters' rises around each look. A thread that waited for the lock a moment ago and does not
    have it yet has just been woken: it most likely waits.
    """
    result = [1.0 if look.on_core == 1 else 0.0 for look in looks]
    doubtful = [at for at, look in enumerate(looks) if look.runnable and look.on_core < 0]
    likely = _counted(looks)
    for at in doubtful:
        if at and not looks[at].holds and looks[at - 1].state == "gil_wait":
            likely[at] *= _JUST_WOKEN
    by_state, by_place = _Known(), _Known()
    for look in looks:
        if look.runnable and look.on_core >= 0:
            by_state.add((look.state,), look.on_core)
            by_place.add((look.state, look.stack), look.on_core)
    for at in doubtful:
        look = looks[at]
        guess = by_state.share((look.state,), likely[at], 1)
        likely[at] = by_place.share((look.state, look.stack), guess, _PLACE_PRIOR)
    scaled = _filled_up([likely[at] for at in doubtful], expected - sum(result))
    for at, value in zip(doubtful, scaled, strict=True):
        result[at] = value
    return result


class _Known:
    """How often looks of a kind were on a core."""

    def __init__(self) -> None:
        self._counts: dict[tuple[object, ...], tuple[int, int]] = {}

    def add(self, kind: tuple[object, ...], on_core: int) -> None:
        ran, count = self._counts.get(kind, (0, 0))
        self._counts[kind] = ran + on_core, count + 1

    def share(self, kind: tuple[object, ...], guess: float, strength: int) -> float:
        """The share of them, where ``guess`` weighs as much as so many looks."""
        ran, count = self._counts.get(kind, (0, 0))
        return (ran + guess * strength) / (count + strength)


def _counted(looks: Sequence[Look]) -> list[float]:
    """What the counters' rises around each look say: the share of running in running and queueing.

    Of a thread without the lock that slept a moment before or after, the lesser of both sides counts:
    it runs as soon as it has a core and the lock, which says nothing about the moment in between.
    """
    pairs = list(itertools.pairwise(looks))
    lengths = [max(later.start_us - earlier.end_us, 1) * 1000 for earlier, later in pairs]
    run = _placed([later.run_ns - earlier.run_ns for earlier, later in pairs], lengths)
    queued = _placed([later.queued_ns - earlier.queued_ns for earlier, later in pairs], lengths)
    result = []
    for at, look in enumerate(looks):
        around = range(max(at - 1, 0), min(at + 1, len(pairs)))
        sides = [(run[gap], queued[gap]) for gap in around]
        slept = any(not one.runnable for one in looks[max(at - 1, 0) : at + 2])
        if look.holds or not slept:
            sides = [(sum(side[0] for side in sides), sum(side[1] for side in sides))]
        result.append(min((_ran(*side) for side in sides), default=1.0))
    return result


def _ran(run: float, queued: float) -> float:
    return run / (run + queued) if run + queued else 0.0


def _filled_up(weights: Sequence[float], total: float) -> list[float]:
    """Scale weights so that they add up to a total and none exceeds 1."""
    total = min(max(total, 0.0), float(len(weights)))
    floor = [max(weight, _LEAST_LIKELY) for weight in weights]
    low, high = 0.0, 1 / _LEAST_LIKELY
    for _ in range(_HALVINGS):
        factor = (low + high) / 2
        if sum(min(1.0, factor * weight) for weight in floor) < total:
            low = factor
        else:
            high = factor
    return [min(1.0, high * weight) for weight in floor]


def _placed(rises: Sequence[int], lengths: Sequence[int]) -> list[float]:
    """How much of each gap between looks a counter's rises fill, from the end of the gap backwards."""
    filled = [0.0] * len(rises)
    for at, rise in enumerate(rises):
        left = float(max(rise, 0))
        gap = at
        while left > 0 and gap >= 0:
            room = lengths[gap] - filled[gap]
            taken = min(left, room)
            filled[gap] += taken
            left -= taken
            if room - taken > 0:
                break
            gap -= 1
    return filled


def thread_times(record: ProcessRecord, seconds: Iterable[Spent]) -> list[ThreadTime]:
    """Sum up each thread's columns, with their standard errors."""
    of_thread: dict[int, list[Spent]] = defaultdict(list)
    for one in seconds:
        of_thread[one.thread].append(one)
    found = []
    for index, thread in enumerate(record.threads):
        alive_s = (thread.last_us - thread.first_us) / 1e6
        if alive_s <= 0:
            continue
        shares = no_shares()
        for one in of_thread[index]:
            shares[one.column] += one.seconds / alive_s
        errors = {
            column: series_error(
                record,
                [one for one in of_thread[index] if one.column == column],
                thread.first_us,
                thread.last_us,
            )
            for column in COLUMNS
        }
        seen = {one.look for one in of_thread[index] if one.look >= 0}
        looks = sum(record.looks[at].moments for at in seen)
        found.append(ThreadTime(index, alive_s, shares, errors, looks))
    return found


def held_share(record: ProcessRecord, seconds: Sequence[Spent]) -> tuple[float, float]:
    """The share of the process's time in which some thread held the lock, and its standard error.

    A holder that stands in the run queue holds it too, and keeps everybody else from it.
    """
    holding = [one for one in seconds if one.holds]
    share = sum(one.seconds for one in holding) / record.wall_s
    return min(share, 1.0), series_error(record, holding, record.start_us, record.end_us)


def series_error(
    record: ProcessRecord, seconds: Sequence[Spent], start_us: int, end_us: int
) -> float:
    """Standard error of the share of a span that these seconds make up, from the means of its parts."""
    length_us = max((end_us - start_us) / _BATCHES, 1)
    parts = [0.0] * _BATCHES
    for one in seconds:
        if one.look >= 0:
            look = record.looks[one.look]
            first = _part(look.start_us - start_us, length_us)
            last = _part(look.end_us - start_us, length_us)
            for part in range(first, last + 1):
                parts[part] += one.seconds / (last - first + 1) / (length_us / 1e6)
    return batch_means_error(parts)


def _part(offset_us: int, length_us: float) -> int:
    return min(max(int(offset_us / length_us), 0), _BATCHES - 1)
