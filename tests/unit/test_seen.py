"""What is learned from calls that ran."""

import math
from dataclasses import replace

import pytest

from lanewise.model.lane import CallReport
from lanewise.runtime.seen import LATENCY_CALLS, Seen

BUDGET_S = 0.001


def watched(run_s, *, cpu_s=None, held=1.0, samples=20, queue_s=0.0):
    return CallReport(
        watch=True,
        run_s=run_s + queue_s,
        cpu_s=run_s if cpu_s is None else cpu_s,
        run_queue_s=queue_s,
        held_share=held,
        samples=samples,
        near_s=1e-5,
        args_bytes=10,
        result_bytes=10,
    )


def settled(run_s=0.01, **options):
    seen = Seen(size=1.0)
    for _ in range(4):
        seen.watched_call(watched(run_s, **options))
    assert seen.is_settled
    return seen


def test_nothing_is_known_before_the_first_call_and_one_call_at_a_time_is_watched():
    seen = Seen()
    assert not seen.is_known
    assert seen.wants_watching("process")
    seen.watching = 1
    assert not seen.wants_watching("process")


def test_the_first_call_which_imports_does_not_count_once_a_warm_one_was_seen():
    seen = Seen()
    for run_s in (0.5, 0.002, 0.002):
        seen.watched_call(watched(run_s))
    assert seen.wall_s == pytest.approx(0.002, rel=0.01)


def test_waiting_for_a_core_is_not_the_calls_own_time():
    assert settled(0.01, queue_s=0.03).wall_s == pytest.approx(0.01)


def test_the_lock_is_unknown_until_enough_samples_came():
    seen = Seen()
    seen.watched_call(watched(0.01, held=0.0, samples=3))
    assert seen.held_share is None
    seen.watched_call(watched(0.01, held=0.0, samples=20))
    assert seen.held_share == pytest.approx(0.0)


def test_at_most_two_percent_of_the_calls_are_watched_once_it_is_settled():
    seen, looks = settled(), 0
    for _ in range(10_000):
        if seen.wants_watching("process"):
            looks += 1
            seen.watched_call(watched(0.01))
        seen.stayed("process", 1, 0.01)
        seen.ran("process", CallReport(run_s=0.01), 1)
    assert 0 < looks <= 200
    assert not any(seen.wants_watching(lane) for lane in ("thread", "event_loop"))


def test_other_data_is_noticed_within_some_calls_and_once():
    seen, changes = settled(0.01), 0
    for _ in range(40):
        changes += seen.ran("process", CallReport(run_s=0.1), 1)
        if not seen.is_settled:
            seen.watched_call(watched(0.1))
    assert changes <= 3
    assert seen.wall_s == pytest.approx(0.1, rel=0.2)


def test_noise_changes_nothing():
    seen = settled(0.01)
    for n in range(200):
        assert not seen.ran("process", CallReport(run_s=0.01 * math.exp(0.3 * math.sin(n))), 1)
    assert seen.forgotten == 0


def test_waiting_for_the_lock_in_a_thread_is_no_change_of_the_call():
    seen = settled(0.01, held=1.0)
    for _ in range(50):
        seen.ran("thread", CallReport(run_s=0.04, cpu_s=0.01), 4)
    assert seen.forgotten == 0


def test_threads_that_wait_for_each_other_hold_the_lock_longer_than_was_sampled():
    seen = settled(0.01, held=0.05)
    for _ in range(60):
        seen.ran("thread", CallReport(run_s=0.019, cpu_s=0.01, run_queue_s=0.0), 2)
    assert seen.held_share > 0.6


def test_threads_that_wait_for_a_core_do_not_wait_for_the_lock():
    seen = settled(0.01, held=0.05)
    for _ in range(60):
        seen.ran("thread", CallReport(run_s=0.019, cpu_s=0.01, run_queue_s=0.009), 2)
        seen.ran("thread", CallReport(run_s=0.019, cpu_s=0.01), 2)  # it was not looked up
    assert seen.held_share == pytest.approx(0.05)


def test_one_call_far_beyond_the_budget_leaves_the_loop_at_once_and_a_small_excess_does_not():
    seen = settled(0.0001)
    assert not seen.ran_here(1.5 * BUDGET_S, BUDGET_S)
    assert seen.ran_here(50 * BUDGET_S, BUDGET_S)
    assert seen.wall_s == pytest.approx(0.05)
    assert not seen.is_settled


def test_calls_that_wait_do_not_run_on_the_loop_even_when_they_are_quick():
    assert settled(0.0005).may_run_here
    assert not settled(0.0005, cpu_s=0.00001).may_run_here


def test_calls_of_no_fixed_length_are_not_learned_anew_for_ever():
    seen = settled(0.003)
    lengths = [0.0005, 0.02, 0.001, 0.008, 0.0002, 0.03]
    for n in range(3_000):
        seen.ran("process", CallReport(run_s=lengths[n * n % 6]), 1)
    assert seen.forgotten <= 6


def test_what_keeps_the_loop_again_and_again_is_kept_off_it_for_longer_and_longer():
    seen, kept = settled(0.0001), 0
    for n in range(20_000):
        if seen.may_run_here:
            long = n % 50 == 0
            kept += long
            seen.ran_here(0.1 if long else 0.0001, BUDGET_S)
        else:
            seen.ran("process", CallReport(run_s=0.0001), 1)
            if not seen.is_settled:
                seen.watched_call(watched(0.0001))
    assert 0 < kept <= 8


def test_time_on_cores_was_not_spent_waiting_for_one():
    seen = Seen()
    report = watched(0.003)
    report.run_queue_s = 0.01
    seen.watched_call(report)
    assert seen.wall_s == pytest.approx(0.003)


def test_what_only_waits_holds_no_lock_however_busy_the_machine_was_when_it_was_sampled():
    assert settled(0.02, cpu_s=0.00002, held=0.2).lock_share < 0.01
    assert settled(0.02, cpu_s=0.00002, held=0.95).lock_share == pytest.approx(0.95), "it keeps it"
    assert settled(0.02, cpu_s=0.02, held=0.3).lock_share == pytest.approx(0.3)


def test_samples_that_were_taken_while_it_waited_for_a_core_are_not_of_its_own_time():
    assert settled(0.01, held=0.6, queue_s=0.008).lock_share == pytest.approx(1.0)
    assert settled(0.01, held=0.0, queue_s=0.008).lock_share == 0.0


def test_where_most_were_the_lock_is_taken_to_be_held_while_it_computes():
    assert settled(0.01, held=0.0, queue_s=0.19).lock_share == pytest.approx(1.0)
    assert settled(0.01, cpu_s=0.0001, held=0.0, queue_s=0.19).lock_share == pytest.approx(0.01)


def test_what_kept_calls_off_a_lane_is_forgotten_when_none_has_been_there_for_long():
    seen = settled(0.0002)
    for _ in range(LATENCY_CALLS):
        seen.ran("process", CallReport(run_s=0.0002), 1)
        seen.stayed("process", 1, 0.02)  # something was in its way then
    changes = [n for n in range(5_000) if seen.ran_here(0.0002, 0.001)]
    assert len(changes) == 1, "and what was forgotten is not forgotten again"
    assert not seen.latencies


def test_what_is_used_is_not_forgotten():
    seen = settled(0.0002)
    for _ in range(5_000):
        seen.ran("process", CallReport(run_s=0.0002), 1)
        seen.stayed("process", 1, 0.0005)
    assert seen.latencies["process", 1].calls == 5_000


def test_one_reading_without_a_core_does_not_make_crossing_dear():
    seen = settled(0.01)
    before_s = seen.near_s
    seen.ran("process", CallReport(run_s=0.01, near_s=0.02, args_bytes=10, result_bytes=10), 1)
    assert seen.near_s <= 1.25 * before_s
    for _ in range(40):
        seen.ran("process", CallReport(run_s=0.01, near_s=0.02, args_bytes=10, result_bytes=10), 1)
    assert seen.near_s == pytest.approx(0.02), "but what stays is learned"


def test_a_few_long_calls_tell_how_long_they_stay_and_a_few_short_ones_do_not():
    seen = settled(0.1)
    assert not seen.stayed("process", 2, 0.15)
    assert not seen.latencies["process", 2].tells
    assert seen.stayed("process", 2, 0.15), "a quarter of a second was no start-up"
    assert seen.latencies["process", 2].tells
    for _ in range(3):
        assert not seen.stayed("thread", 2, 0.001)
    assert not seen.latencies["thread", 2].tells


def test_a_long_call_whose_crossing_seemed_slow_is_watched_once_more():
    seen = Seen(size=1.0)
    seen.watched_call(replace(watched(0.1), near_s=0.012))  # code that was cold, or a busy moment
    assert not seen.is_settled
    seen.watched_call(replace(watched(0.1), near_s=0.000_1))
    assert seen.is_settled
    assert seen.near_s == 0.000_1


def test_a_long_call_that_crossed_well_is_enough():
    seen = Seen(size=1.0)
    seen.watched_call(watched(0.1))
    assert seen.is_settled
