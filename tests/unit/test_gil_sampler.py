"""From samples of a lock word to a held share: streams of known locks, however they were sampled."""

from __future__ import annotations

import ctypes
import itertools
import os
import random
import sys
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

import pytest

from lanewise.measuring.gil_sampler import GilSampler, HeldShare, held_share, without_run_queue

MS = 1_000_000
US = 1_000
Lock = Callable[[int], int]


def periodic(period_ns: int, hold_ns: int) -> Lock:
    return lambda at: int(at % period_ns < hold_ns)


def telegraph(free_ns: float, hold_ns: float, until_ns: int, seed: int) -> tuple[Lock, float, int]:
    """A lock taken and released at random; with its true share and number of releases."""
    rng = random.Random(seed)
    changes, state, at = [0.0], 0, 0.0
    held_ns, releases = 0.0, 0
    while at < until_ns:
        stay = min(rng.expovariate(1 / (hold_ns if state else free_ns)), until_ns - at)
        held_ns += stay * state
        at += stay
        releases += state
        state = 1 - state
        changes.append(at)
    return lambda now: (bisect_right(changes, now) - 1) % 2, held_ns / until_ns, releases


def sampled(
    lock: Lock, until_ns: int, step_ns: Callable[[int], int], start_ns: int = 0
) -> tuple[list[int], list[int]]:
    """Read ``lock`` again and again, with a step that may depend on what was read."""
    times, held, now = [], [], start_ns
    while now <= until_ns:
        times.append(now)
        held.append(lock(now))
        now += step_ns(held[-1])
    return times, held


def irregular(seed: int, low_us: float = 1.0, high_us: float = 5.0) -> Callable[[int], int]:
    rng = random.Random(seed)
    return lambda _state: round(rng.uniform(low_us, high_us) * US)


def evaluate(
    times: list[int], held: list[int], windows: list[tuple[int, int]] | None = None
) -> HeldShare:
    found = held_share(times, held, windows or [(times[0], times[-1])])
    assert found is not None
    return found


@pytest.mark.parametrize("share", [0.02, 0.19, 0.5, 0.85, 0.99])
def test_irregular_steps_give_the_known_share(share: float) -> None:
    period = 137 * US
    times, held = sampled(periodic(period, round(period * share)), 30 * MS, irregular(1))
    found = evaluate(times, held)
    assert found.share == pytest.approx(share, abs=0.005)
    assert found.observed_s == pytest.approx(0.03, rel=0.01)
    assert found.lost_share == pytest.approx(0, abs=1e-9)
    assert found.samples == len(times) - 1


@pytest.mark.parametrize("slow", [0, 1], ids=["when free", "when held"])
def test_a_sampler_that_is_slower_in_one_state_is_not_fooled(slow: int) -> None:
    lock = periodic(211 * US, 105 * US)
    times, held = sampled(lock, 40 * MS, lambda state: 5 * US if state == slow else 1 * US)
    counted = sum(held) / len(held)
    assert abs(counted - 0.5) > 0.2  # counting samples would be far off
    assert evaluate(times, held).share == pytest.approx(105 / 211, abs=0.01)


@pytest.mark.parametrize("value", [0, 1])
def test_a_lock_that_never_changes_has_no_error_and_no_handovers(value: int) -> None:
    times, held = sampled(lambda _at: value, 2 * MS, irregular(2))
    found = evaluate(times, held)
    assert (found.share, found.error, found.handovers_per_s) == (value, 0, 0)


def test_only_the_windows_count() -> None:
    windows = [(start * MS, start * MS + 600 * US) for start in range(20)]

    def lock(at: int) -> int:
        """Held for a quarter of the time inside of the windows, always outside."""
        return int(at % MS >= 600 * US or at % (40 * US) < 10 * US)

    times, held = sampled(lock, 20 * MS, irregular(3, 0.5, 1.5))
    found = evaluate(times, held, list(reversed(windows)))
    assert found.share == pytest.approx(0.25, abs=0.01)
    assert found.observed_s == pytest.approx(20 * 600e-6, rel=0.01)
    assert found.lost_share < 0.01


def test_what_happened_while_the_sampler_had_lost_its_core_counts_neither_way() -> None:
    """Samples without the 1 ms from every 2 ms on, in which the lock was held throughout."""

    def lock(at: int) -> int:
        return 1 if at % (2 * MS) < MS else periodic(100 * US, 30 * US)(at)

    times, held = sampled(lock, 20 * MS, irregular(4))
    kept = [(at, state) for at, state in zip(times, held, strict=True) if at % (2 * MS) >= MS]
    times, held = [at for at, _ in kept], [state for _, state in kept]
    found = evaluate(times, held, [(0, 20 * MS)])
    assert found.share == pytest.approx(0.3, abs=0.01)
    assert found.observed_s == pytest.approx(0.01, rel=0.02)
    assert found.lost_share == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("windows", [[], [(50 * MS, 60 * MS)], [(0, 100 * US)]])
def test_too_little_that_was_seen_says_nothing(windows: list[tuple[int, int]]) -> None:
    times, held = sampled(periodic(100 * US, 30 * US), 10 * MS, irregular(5))
    assert held_share(times, held, windows) is None


def test_no_samples_say_nothing() -> None:
    assert held_share([], [], [(0, MS)]) is None


def test_regular_releases_are_counted() -> None:
    times, held = sampled(periodic(50 * US, 20 * US), 50 * MS, irregular(6, 0.5, 1.5))
    assert evaluate(times, held).handovers_per_s == pytest.approx(1e6 / 50, rel=0.1)


def test_releases_that_begin_and_end_between_two_samples_are_made_up_for() -> None:
    lock, share, releases = telegraph(8 * US, 8 * US, 60 * MS, seed=11)
    times, held = sampled(lock, 60 * MS, lambda _state: 5 * US)
    seen = sum(1 for before, after in itertools.pairwise(held) if before and not after)
    assert seen < releases * 0.75
    found = evaluate(times, held)
    assert found.handovers_per_s * 0.06 == pytest.approx(releases, rel=0.1)
    assert found.share == pytest.approx(share, abs=0.02)


def test_the_error_is_as_large_as_the_estimates_scatter() -> None:
    """A lock whose samples depend on each other: the naive error would be several times too small."""
    truth = 400 / (400 + 600)
    within, repetitions = 0, 60
    for seed in range(repetitions):
        lock, _, _ = telegraph(600 * US, 400 * US, 60 * MS, seed)
        found = evaluate(*sampled(lock, 60 * MS, lambda _state: 10 * US))
        within += abs(found.share - truth) <= 2 * found.error
    assert within / repetitions == pytest.approx(0.95, abs=0.08)


@pytest.mark.parametrize(
    ("period_us", "hold_us"), [(1000, 800), (1000, 100), (300, 280), (5000, 2500)]
)
def test_the_wait_for_regular_holds_is_the_hold_less_a_hundredth_of_the_period(
    period_us: int, hold_us: int
) -> None:
    """A random moment meets a rest longer than x with probability (hold - x) / period."""
    lock = periodic(period_us * US, hold_us * US)
    times, held = sampled(lock, 100 * MS, irregular(7, 0.5, 1.5))
    expected = (hold_us - period_us / 100) * 1e-6
    assert evaluate(times, held).wait_p99_s == pytest.approx(expected, abs=3e-6)


def test_rare_long_holds_set_the_wait_although_short_ones_are_common() -> None:
    """A hold of 1 ms in every 10 ms, beside short ones: 1 % waits longer than 1 ms - 0.1 ms."""

    def lock(at: int) -> int:
        return int(at % (10 * MS) < MS or at % (20 * US) < 5 * US)

    times, held = sampled(lock, 100 * MS, irregular(8, 0.5, 1.5))
    assert evaluate(times, held).wait_p99_s == pytest.approx(0.9e-3, rel=0.03)


def test_nobody_waits_for_a_lock_that_is_hardly_ever_held() -> None:
    times, held = sampled(periodic(10 * MS, 50 * US), 50 * MS, irregular(9))
    assert evaluate(times, held).wait_p99_s == 0


@pytest.mark.parametrize(
    "queued",
    [[], [(0, 7 * MS)], [(0, 0), (500 * US, 20 * US)], [(0, 0), (MS, 15 * US), (2 * MS, 30 * US)]],
    ids=["unknown", "one reading", "ordinary wait", "two ordinary waits"],
)
def test_ordinary_waits_for_a_core_leave_the_windows(queued: list[tuple[int, int]]) -> None:
    assert without_run_queue([(3, 4 * MS), (1, 2)], queued) == [(1, 2), (3, 4 * MS)]


@pytest.mark.parametrize(
    ("earlier", "margin"), [(100 * US, 100 * US), (500 * US, 500 * US), (5 * MS, 500 * US)]
)
def test_a_wait_is_cut_with_the_time_in_which_it_may_have_ended(earlier: int, margin: int) -> None:
    seen, waited = 20 * MS, 3 * MS
    left = without_run_queue([(0, 40 * MS)], [(seen - earlier, 5), (seen, 5 + waited)])
    assert left == [(0, seen - waited - margin), (seen, 40 * MS)]


def test_a_window_inside_of_a_wait_is_gone() -> None:
    windows = [(0, MS), (8 * MS, 9 * MS), (12 * MS, 13 * MS)]
    assert without_run_queue(windows, [(9 * MS, 0), (10 * MS, 4 * MS)]) == [
        (0, MS),
        (12 * MS, 13 * MS),
    ]


def test_the_share_without_the_waits_is_that_of_the_call() -> None:
    """A target that lost its core for 4 of every 10 ms keeps the lock as it was: held."""

    def lock(at: int) -> int:
        return 1 if at % (10 * MS) >= 6 * MS else periodic(100 * US, 40 * US)(at)

    times, held = sampled(lock, 50 * MS, irregular(10))
    assert evaluate(times, held).share > 0.6
    queued = [(0, 0)]
    for back in range(10 * MS, 51 * MS, 10 * MS):
        before = queued[-1][1]
        queued += [(back - 20 * US, before), (back, before + 4 * MS)]
    windows = without_run_queue([(0, 50 * MS)], queued)
    assert evaluate(times, held, windows).share == pytest.approx(0.4, abs=0.01)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("word", [0, 1, 1 << 24])
def test_a_word_in_memory_is_read(word: int) -> None:
    cell = ctypes.c_uint32(word)
    sampler = GilSampler(os.getpid(), ctypes.addressof(cell))
    checks = itertools.count()
    try:
        sampler.sample_until(lambda: next(checks) >= 10, timeout_s=60)
    finally:
        sampler.close()
    assert set(sampler.held) == {int(word != 0)}
    assert len(sampler.held) == len(sampler.times_ns) == 640
    assert list(sampler.times_ns) == sorted(sampler.times_ns)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_sampling_again_begins_anew_and_closing_twice_is_harmless() -> None:
    cell = ctypes.c_uint32(1)
    sampler = GilSampler(os.getpid(), ctypes.addressof(cell))
    for _ in range(2):
        checks = itertools.count()
        sampler.sample_until(lambda counter=checks: next(counter) >= 1, timeout_s=60)
    assert len(sampler.held) == 64
    sampler.close()
    sampler.close()


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_an_address_that_is_not_there_is_told_and_no_descriptor_is_left() -> None:
    before = descriptors()
    with pytest.raises(OSError):
        GilSampler(os.getpid(), 0)
    assert descriptors() == before
