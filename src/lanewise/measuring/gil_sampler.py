"""Read another process's lock word while it runs, and turn the samples into a held share.

The sampler never takes the target's lock, so it neither waits for it nor disturbs it. What it must
not do is share a core with the target: a sampler that wakes when the target blocks sees only the
released lock (0.00 read for a true 0.19). Callers therefore keep the two on different cores.

Permission: the kernel lets a process read the memory of its own descendants unless it is hardened
beyond Yama's level 1 or runs under a seccomp filter that forbids it; then :class:`GilSampler`
raises ``PermissionError`` on construction and the caller says so.
"""

from __future__ import annotations

import math
import os
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lanewise.measuring.statistics import batch_means_error, median

_INT_BYTES = 4
# How often the stop condition is asked: it costs a system call, a sample costs two.
_SAMPLES_PER_STOP_CHECK = 256
# A pause of the sampler this many times its usual step means that it lost its core. What the lock
# did meanwhile is unknown, so the pause counts neither as held nor as free.
_GAP_FACTOR = 12
_BATCHES = 20
_MIN_SAMPLES = 400


@dataclass(frozen=True, slots=True)
class HeldShare:
    """What the samples say.

    Attributes:
        share: Of the observed time, 0 to 1, with its standard ``error``.
        handovers_per_s: How often the lock was given up, per second of observed time.
        observed_s: Time covered by samples; ``lost_share`` of the windows was not covered.
    """

    share: float
    error: float
    handovers_per_s: float
    observed_s: float
    lost_share: float
    samples: int


class GilSampler:
    """Samples the word at ``address`` in process ``pid``. Owned by one thread; close it after use.

    Raises:
        OSError: The process's memory cannot be read (PermissionError: not allowed to).
    """

    def __init__(self, pid: int, address: int) -> None:
        self._file = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
        self._address = address
        self.times_ns = array("q")
        self.held = bytearray()
        try:
            self._read()
        except OSError:
            self.close()
            raise

    def _read(self) -> int:
        return int.from_bytes(os.pread(self._file, _INT_BYTES, self._address), sys.byteorder)

    def sample_until(self, stop: Callable[[], bool], timeout_s: float) -> None:
        """Sample back to back until ``stop()`` is true or the time is over.

        A spinning reader on its own core sees some 400,000 samples a second, enough to see single
        releases of a few microseconds; a sleeping one would also be woken at moments that depend
        on the target.
        """
        self.times_ns = array("q")
        self.held = bytearray()
        now, pread, fd, address = time.monotonic_ns, os.pread, self._file, self._address
        add_time, add_held = self.times_ns.append, self.held.append
        give_up_ns = now() + round(timeout_s * 1e9)
        while not stop() and now() < give_up_ns:
            for _ in range(_SAMPLES_PER_STOP_CHECK):
                # Little-endian low byte: the word holds 0 or 1 (see host.gil_word).
                word = pread(fd, _INT_BYTES, address)
                add_time(now())
                add_held(1 if any(word) else 0)

    def close(self) -> None:
        """Release the descriptor. Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


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
