"""What a change can give at most: what threads want, what holds the lock, and what others leave."""

import pytest
from tests.unit.diagnosed import Recording, frame

from lanewise.diagnose.advice import advise, advise_all, load_of
from lanewise.diagnose.gate import check, parse_condition
from lanewise.diagnose.session import Room
from lanewise.diagnose.summary import summarise_process

WORK = frame("work", 12)
FETCH = frame("fetch", 40)
DRIVER = frame("wait", 9, "/srv/venv/lib/python3.13/site-packages/psycopg/waiting.py")
QUERY = ("io_sleep", (DRIVER, FETCH), {"call": "poll"})
COMPUTE = ("python_gil", (WORK,))
WAIT = ("gil_wait", (WORK,), {"call": "futex"})


def recorded(*threads, **facts):
    recording = Recording(**facts)
    for steps in threads:
        recording.thread(steps)
    return recording


def summary_of(*threads, **facts):
    return summarise_process(recorded(*threads, **facts).record)


def two_fight(**facts):
    return summary_of([COMPUTE, WAIT] * 200, [WAIT, COMPUTE] * 200, **facts)


def bad_neighbours(others, **facts):
    return two_fight(rooms=[Room(2.0, others)], **facts)


def test_threads_that_sleep_want_no_more_than_they_do():
    """Without its wait for the lock a cycle is shorter by that wait alone."""
    cycle = [COMPUTE] * 4 + [WAIT] + [QUERY] * 75
    threads = [(cycle[at * 10 :] + cycle[: at * 10]) * 5 for at in range(8)]
    [only] = advise(summary_of(*threads))
    assert only.strategy == "stay"
    assert "database (psycopg)" in only.reason


def test_the_wait_of_a_thread_that_sleeps_is_not_wanted_time():
    summary = summary_of(([COMPUTE] * 25 + [WAIT] * 5 + [QUERY] * 70) * 4)
    assert load_of(summary).wanted == pytest.approx(0.25 / 0.95, rel=0.02)


def test_threads_that_never_sleep_want_all_the_time():
    assert load_of(two_fight()).wanted == pytest.approx(2.0, rel=0.01)


def test_sleeping_with_the_lock_needs_no_core():
    held = ("native_gil", (WORK,), {"runnable": False, "on_core": 0, "call": "sleep"})
    threads = [[held if at % 8 == thread else WAIT for at in range(800)] for thread in range(8)]
    load = load_of(summary_of(*threads, cores=2))
    assert load.on_core == pytest.approx(0.0, abs=0.01)
    assert load.gain(0.0) == pytest.approx(8.0, rel=0.05)


def test_another_program_that_computes_gets_its_share_of_the_cores():
    assert load_of(two_fight()).gain(0.0) == pytest.approx(2.0, rel=0.02)
    assert load_of(bad_neighbours(1.0)).gain(0.0) == pytest.approx(4 / 3, rel=0.02)
    assert load_of(bad_neighbours(0.0)).gain(0.0) == pytest.approx(2.0, rel=0.02)


def test_a_cgroups_quota_bounds_the_gain():
    rooms = [Room(16.0, 0.0), Room(1.0, 0.0)]
    summary = two_fight(cores=1, rooms=rooms)
    assert load_of(summary).gain(0.0) == pytest.approx(1.0, abs=0.02)
    assert "process" not in {one.strategy for one in advise(summary)}


def test_what_others_of_the_group_use_of_the_quota_is_not_there():
    summary = two_fight(rooms=[Room(16.0, 0.0), Room(2.0, 1.0)])
    assert load_of(summary).gain(0.0) == pytest.approx(4 / 3, rel=0.02)


def test_workers_that_fill_the_cores_gain_nothing_from_more_processes():
    """As many workers as cores is the usual way to deploy: there is no room for a pool in each."""
    workers = [summary_of([COMPUTE] * 400, rooms=[Room(2.0, 0.0)]) for _ in range(2)]
    assert load_of(workers[0]).spare() == pytest.approx(2.0, rel=0.02)
    assert load_of(workers[0], workers).spare() == pytest.approx(1.0, rel=0.02)


def test_workers_whose_threads_fight_for_the_lock_on_full_cores_are_not_sent_to_processes():
    workers = [two_fight(rooms=[Room(2.0, 0.0)]) for _ in range(2)]
    assert load_of(workers[0], workers).gain(0.0) == pytest.approx(1.0, abs=0.02)
    assert "process" not in {one.strategy for one in advise_all(workers)}


def test_what_others_use_is_part_of_the_assumption():
    best, *_ = advise(bad_neighbours(1.0))
    assert best.strategy == "process"
    assert "others use 1" in best.assumption


def scheduler_only(**facts):
    weak = ["process 100 belongs to another user"]
    return summary_of([COMPUTE] * 400, [COMPUTE] * 400, gil_known=False, weaknesses=weak, **facts)


def test_where_the_lock_was_not_seen_nothing_is_advised_about_it():
    [only] = advise(scheduler_only())
    assert only.strategy == "unclear"
    assert "another user" in only.reason
    assert only.predicted_gain is None


@pytest.mark.parametrize("condition", ["gil_held>0.5", "gil_wait>0.1", "python_gil:work>0.1"])
def test_a_condition_on_a_lock_that_was_not_seen_fails(condition):
    [verdict] = check([parse_condition(condition)], [scheduler_only()])
    assert (verdict.value, verdict.failed) == (None, True)
    assert "could not be seen" in verdict.unseen


def test_what_the_kernel_counts_is_compared_all_the_same():
    [verdict] = check([parse_condition("run_queue>0.5")], [scheduler_only()])
    assert (verdict.failed, verdict.unseen) == (False, "")


def test_loops_that_could_not_be_seen_fail_the_gate_too():
    recording = recorded([COMPUTE] * 400, gil_known=False)
    record = recording.record
    record.stacks.clear()
    record.looks[:] = [look._replace(stack=-1) for look in record.looks]
    [verdict] = check([parse_condition("loop_lag_p99_ms>20")], [summarise_process(record)])
    assert verdict.failed
    assert "could not be seen" in verdict.unseen


def test_one_thread_that_computes_without_the_lock_can_be_several():
    digest = ("native_free", (frame("digest", 5),))
    summary = summary_of([digest] * 380 + [COMPUTE] * 20, rooms=[Room(4.0, 0.0)], cores=4)
    best, *_ = advise(summary)
    assert (best.function, best.strategy) == ("digest", "thread")
    assert best.predicted_gain == pytest.approx(4.0, rel=0.03)


def test_threads_that_compute_without_the_lock_already_stay():
    digest = ("native_free", (frame("digest", 5),))
    [only] = advise(summary_of([digest] * 400, [digest] * 400, rooms=[Room(2.0, 0.0)]))
    assert only.strategy == "stay"


def test_one_thread_of_bytecode_stays():
    [only] = advise(summary_of([COMPUTE] * 400))
    assert only.strategy == "stay"
    assert "processes up to a factor of 2" in only.reason


# It waits for the lock most of the time, and hardly needs it.
BEHIND = ("gil_wait", (FETCH,), {"call": "futex", "holder": 0})
VICTIM = ([BEHIND] * 36 + [COMPUTE] + [QUERY] * 3) * 10


def hog_and_victim():
    return summary_of([COMPUTE] * 380 + [WAIT] * 20, VICTIM)


def test_behind_one_that_computes_a_short_switch_interval_comes_first():
    best, *_ = advise(hog_and_victim())
    assert best.strategy == "switch_interval"
    assert best.predicted_gain == pytest.approx(1 / (1 - 0.9 * 0.9), rel=0.05)


def test_threads_that_all_compute_gain_nothing_from_a_short_interval():
    threads = [[COMPUTE if at % 4 == thread else WAIT for at in range(400)] for thread in range(4)]
    assert "switch_interval" not in {one.strategy for one in advise(summary_of(*threads))}


def test_native_code_under_the_lock_is_not_interrupted_by_any_interval():
    encode = ("native_gil", (WORK,))
    summary = summary_of([encode] * 380 + [WAIT] * 20, VICTIM)
    assert "switch_interval" not in {one.strategy for one in advise(summary)}


def test_a_variant_that_gains_nothing_is_not_told():
    """Two per cent of native code do not push "stay" aside."""
    cycle = [COMPUTE] * 2 + [("native_gil", (WORK,))] * 22 + [WAIT] * 12 + [QUERY] * 364
    summary = summary_of(cycle, cycle[200:] + cycle[:200])
    assert {one.strategy for one in advise(summary)} == {"stay"}


def test_a_process_is_promised_to_calls_that_are_long_enough():
    best, *_ = advise(two_fight())
    assert "2.5 ms" in best.assumption
