"""What a record of lag tells of a few beats."""

from __future__ import annotations

import dataclasses

import pytest

from lanewise.runtime.loop_lag import BOUNDS_S, LagRecord, Stall


def stall(number):
    return Stall(
        at_s=float(number), duration_s=0.2, where=f"app.py:{number} handler", advice="do not"
    )


def test_before_the_first_beat_there_is_no_lag():
    found = LagRecord().snapshot(0.005)
    assert (found.beats, found.p50_s, found.p99_s, found.max_s, found.stalls) == (0, 0, 0, 0, 0)
    assert found.switch_interval_s == 0.005


def test_bounds_double_every_second_step():
    for lower, upper in zip(BOUNDS_S, BOUNDS_S[2:], strict=False):
        assert upper == pytest.approx(2 * lower, rel=1e-4)


def test_a_beat_counts_in_the_class_whose_bound_it_does_not_exceed():
    record = LagRecord()
    record.beat(BOUNDS_S[3])
    record.beat(BOUNDS_S[3] * 1.01)
    assert (record.counts[3], record.counts[4]) == (1, 1)


def test_what_is_later_than_all_bounds_is_counted_too():
    record = LagRecord()
    record.beat(3600.0)
    found = record.snapshot(0.005)
    assert found.histogram[-1] == (float("inf"), 1)
    assert found.p50_s == found.p99_s == found.max_s == 3600.0


def test_a_clock_that_went_back_is_no_lag():
    record = LagRecord()
    record.beat(-5.0)
    assert (record.beats, record.max_s, record.counts[0]) == (1, 0.0, 1)


def test_one_late_beat_in_a_thousand_moves_neither_percentile():
    record = LagRecord()
    for _ in range(999):
        record.beat(0.0001)
    record.beat(2.0)
    found = record.snapshot(0.005)
    assert found.p50_s == found.p99_s < 0.00015
    assert found.max_s == 2.0


def test_all_stalls_are_counted_and_the_newest_are_kept():
    record = LagRecord()
    for number in range(100):
        record.stalled(stall(number))
    found = record.snapshot(0.005)
    assert found.stalls == 100
    assert [one.at_s for one in found.last_stalls] == [float(number) for number in range(80, 100)]


def test_a_snapshot_does_not_change_any_more():
    record = LagRecord()
    record.beat(0.001)
    before = record.snapshot(0.005)
    again = dataclasses.replace(before)
    record.beat(1.0)
    record.stalled(stall(1))
    assert before == again
    assert (before.beats, before.stalls) == (1, 0)
