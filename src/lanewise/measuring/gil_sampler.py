"""Read another process's lock word while it runs, and turn the samples into a held share.

The sampler never takes the target's lock, so it neither waits for it nor disturbs it. What it must
not do is share a core with the target: a sampler that wakes when the target blocks sees only the
released lock (0.00 read for a true 0.19). Callers therefore keep the two on different cores.

Permission: the kernel lets a process read the memory of its own descendants unless it is hardened
beyond Yama's level 1 or runs under a seccomp filter that forbids it; then :class:`GilSampler`
raises ``PermissionError`` on construction and the caller says so.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lanewise.measuring.statistics import batch_means_error, median

_INT_BYTES = 4
# How often the stop condition and the target's run-queue time are asked: two more system calls.
_SAMPLES_PER_CHECK = 64
# A pause of the sampler this many times its usual step means that it lost its core. What the lock
# did meanwhile is unknown, so the pause counts neither as held nor as free.
_GAP_FACTOR = 12
_BATCHES = 20
_MIN_SAMPLES = 400
# Waiting this long for a core after a wake-up is ordinary; more is another program's doing.
_ORDINARY_QUEUE_NS = 20_000
_MAX_CUT_MARGIN_NS = 500_000


@dataclass(frozen=True, slots=True)
class HeldShare:
    """What the samples say.

    Attributes:
        share: Of the observed time, 0 to 1, with its standard ``error``.
        handovers_per_s: How often the lock was given up, per second of observed time.
        wait_p99_s: How long somebody who wants the lock at a random moment waits for the present
            hold to end, 99th percentile, if nobody forces a switch.
        observed_s: Time covered by samples, without the spans in which the target stood in the run
            queue; ``lost_share`` of the windows was not covered.
    """

    share: float
    error: float
    handovers_per_s: float
    wait_p99_s: float
    observed_s: float
    lost_share: float
    samples: int


class GilSampler:
    """Samples the word at ``address`` in process ``pid``. Owned by one thread; close it after use.

    Beside the lock it notes how long the target's main thread has stood in the run queue so far. A
    target that lost its core keeps the lock as it was, held or free, for milliseconds; those spans
    say something about the machine and nothing about the call, so they are cut out.

    Raises:
        OSError: The process's memory cannot be read (PermissionError: not allowed to).
    """

    def __init__(self, pid: int, address: int) -> None:
        self._file = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
        self._address = address
        self._schedstat = -1
        self._clear()
        try:
            self._read()
        except OSError:
            self.close()
            raise
        with contextlib.suppress(OSError):
            self._schedstat = os.open(f"/proc/{pid}/task/{pid}/schedstat", os.O_RDONLY)

    def _clear(self) -> None:
        self.times_ns = array("q")
        self.held = bytearray()
        self.queued_ns: list[tuple[int, int]] = []

    def _read(self) -> int:
        return int.from_bytes(os.pread(self._file, _INT_BYTES, self._address), sys.byteorder)

    def sample_until(self, stop: Callable[[], bool], timeout_s: float) -> None:
        """Sample back to back until ``stop()`` is true or the time is over.

        A spinning reader on its own core sees some 400,000 samples a second, enough to see single
        releases of a few microseconds; a sleeping one would also be woken at moments that depend
        on the target.
        """
        self._clear()
        now, pread, fd, address = time.monotonic_ns, os.pread, self._file, self._address
        add_time, add_held = self.times_ns.append, self.held.append
        give_up_ns = now() + round(timeout_s * 1e9)
        while not stop() and now() < give_up_ns:
            for _ in range(_SAMPLES_PER_CHECK):
                word = pread(fd, _INT_BYTES, address)
                add_time(now())
                add_held(1 if any(word) else 0)
            self._note_run_queue(now())

    def _note_run_queue(self, now_ns: int) -> None:
        if self._schedstat >= 0:
            try:
                waited_ns = int(os.pread(self._schedstat, 128, 0).split()[1])
            except (OSError, ValueError, IndexError):
                return
            if not self.queued_ns or waited_ns != self.queued_ns[-1][1]:
                self.queued_ns.append((now_ns, waited_ns))

    def close(self) -> None:
        """Release the descriptor. Idempotent."""
        for name in ("_file", "_schedstat"):
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)


def without_run_queue(
    windows_ns: Sequence[tuple[int, int]], queued_ns: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Cut the spans in which the target stood in the run queue out of the windows.

    The kernel adds a wait to the counter when it ends, so a rise by ``d`` seen at ``t`` means that
    the target got its core back shortly before ``t`` after having waited for ``d``. ``queued_ns``
    holds (time, counter) at each change seen.
    """
    cut: list[tuple[int, int]] = []
    for (earlier_ns, before), (seen_ns, after) in itertools.pairwise(queued_ns):
        waited = after - before
        if waited > _ORDINARY_QUEUE_NS:
            # The reader may itself have been away since ``earlier_ns``: then the span lies anywhere.
            margin = min(seen_ns - earlier_ns, _MAX_CUT_MARGIN_NS)
            cut.append((seen_ns - waited - margin, seen_ns))
    return _subtract(sorted(windows_ns), sorted(cut))


def _subtract(
    windows: Sequence[tuple[int, int]], cuts: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    left = list(windows)
    for cut_start, cut_stop in cuts:
        pieces: list[tuple[int, int]] = []
        for start, stop in left:
            if cut_stop <= start or cut_start >= stop:
                pieces.append((start, stop))
                continue
            if start < cut_start:
                pieces.append((start, cut_start))
            if cut_stop < stop:
                pieces.append((cut_stop, stop))
        left = pieces
    return left


def held_share(
    times_ns: Sequence[int], held: Sequence[int], windows_ns: Sequence[tuple[int, int]]
) -> HeldShare | None:
    """Evaluate samples that fall into the windows in which calls ran.

    Each step between neighbouring samples counts with its duration and the mean of its two ends, so
    that a reader that is slower in one state than in the other is not fooled. Returns None when
    too little was seen to say anything.
    """
    steps = _steps(times_ns, held, windows_ns)
    if len(steps) < _MIN_SAMPLES:
        return None
    usual_ns = median([step[0] for step in steps])
    good = [step for step in steps if step[0] <= _GAP_FACTOR * usual_ns]
    observed_ns = sum(step[0] for step in good)
    window_ns = sum(stop - start for start, stop in windows_ns)
    size = max(1, len(good) // _BATCHES)
    batches = [_share(good[at : at + size]) for at in range(0, len(good), size)]
    share = _share(good)
    return HeldShare(
        share=share,
        error=batch_means_error(batches),
        handovers_per_s=_handovers_per_s(good, share),
        wait_p99_s=_wait_p99_s(good),
        observed_s=observed_ns / 1e9,
        lost_share=max(0.0, 1 - observed_ns / window_ns) if window_ns else 1.0,
        samples=len(good),
    )


_Step = tuple[int, int, int]  # duration in ns, held at its begin, held at its end


def _steps(
    times_ns: Sequence[int], held: Sequence[int], windows_ns: Sequence[tuple[int, int]]
) -> list[_Step]:
    steps: list[_Step] = []
    windows = iter(sorted(windows_ns))
    window = next(windows, None)
    for at in range(1, len(times_ns)):
        begin, end = times_ns[at - 1], times_ns[at]
        while window is not None and window[1] < end:
            window = next(windows, None)
        if window is None:
            break
        if begin >= window[0]:
            steps.append((end - begin, held[at - 1], held[at]))
    return steps


def _share(steps: Sequence[_Step]) -> float:
    total = sum(step[0] for step in steps)
    return sum(step[0] * (step[1] + step[2]) for step in steps) / 2 / total if total else 0.0


def _wait_p99_s(steps: Sequence[_Step]) -> float:
    """The 99th percentile of the rest of a hold, met at a random moment.

    Of an observed time T with holds of lengths L, a random moment finds a wait longer than x with
    probability sum(max(0, L - x)) / T; x is where that falls to one percent.
    """
    total_ns = sum(step[0] for step in steps)
    holds: list[int] = []
    length = 0
    for duration, held_before, held_after in steps:
        if held_before:
            length += duration
        if length and not held_after:
            holds.append(length)
            length = 0
    if length:
        holds.append(length)
    holds.sort(reverse=True)
    longer_ns = 0.0
    for count, hold in enumerate(holds, 1):
        following = holds[count] if count < len(holds) else 0
        drop_ns = count * (hold - following)
        if longer_ns + drop_ns >= total_ns / 100:
            return (hold - (total_ns / 100 - longer_ns) / count) / 1e9
        longer_ns += drop_ns
    return 0.0


def _handovers_per_s(steps: Sequence[_Step], share: float) -> float:
    """Releases per second, corrected for those that begin and end between two samples.

    A lock that is taken and released at random (a telegraph process with rates a and b) shows a
    change between samples dt apart with probability 2h(1-h)(1-exp(-(a+b)dt)); its releases come at
    h(1-h)(a+b) per second. Where nearly every sample differs, the rate is beyond what the reader
    resolves and the correction is capped at four times what was seen.
    """
    seconds = sum(step[0] for step in steps) / 1e9
    releases = sum(1 for step in steps if step[1] and not step[2])
    if releases == 0 or seconds == 0:
        return 0.0
    seen = releases / seconds
    mixing = 2 * share * (1 - share)
    changed = 2 * releases / len(steps)
    if mixing <= 0:
        return seen
    saturation = changed / mixing
    if saturation >= 0.98:  # noqa: PLR2004 - because: the logarithm below would be noise
        return 4 * seen
    return min(4 * seen, seen * -math.log1p(-saturation) / saturation)
