"""Where time went: what ran and waited for a core is counted by the kernel, looks divide it."""

import pytest
from tests.unit.diagnosed import STEP_US, Recording, frame

from lanewise.diagnose.session import ThreadRecord
from lanewise.diagnose.shares import held_share, spent, thread_times
from lanewise.diagnose.states import COLUMNS, Facts, state_of

WORK = (frame(),)


def shares_of(recording, thread=0):
    return thread_times(recording.record, spent(recording.record))[thread].shares


@pytest.mark.parametrize(
    ("facts", "column"),
    [
        (Facts("running", False, True, calls_c=False, stuck=False), "python_gil"),
        (Facts("running", False, True, calls_c=True, stuck=False), "native_gil"),
        (Facts("running", False, True, calls_c=False, stuck=True), "native_gil"),
        (Facts("nanosleep", False, True, calls_c=True, stuck=False), "native_gil"),
        (Facts("running", False, False, calls_c=True, stuck=False), "native_free"),
        (Facts("futex", True, False, calls_c=True, stuck=False), "gil_wait"),
        (Facts("futex", False, False, calls_c=True, stuck=False), "lock_wait"),
        (Facts("epoll", False, False, calls_c=True, stuck=False), "io_sleep"),
    ],
)
def test_a_look_belongs_to_one_column(facts, column):
    assert state_of(facts) == column


def test_columns_are_the_shares_of_the_looks_where_nothing_waits_for_a_core():
    recording = Recording()
    recording.thread(
        [("python_gil", WORK)] * 30 + [("gil_wait", WORK)] * 50 + [("io_sleep", WORK)] * 20
    )
    shares = shares_of(recording)
    assert shares["python_gil"] == pytest.approx(0.3)
    assert shares["gil_wait"] == pytest.approx(0.5)
    assert shares["io_sleep"] == pytest.approx(0.2)


def test_a_sampler_that_wakes_when_its_target_sleeps_is_corrected_by_the_counters():
    recording = Recording()
    recording.thread([("native_gil", WORK)] * 10 + [("io_sleep", WORK)] * 90)
    recording.record.threads[0].run_ns = 40 * STEP_US * 1000  # it really ran for four tenths
    shares = shares_of(recording)
    assert shares["native_gil"] == pytest.approx(0.4)
    assert shares["io_sleep"] == pytest.approx(0.6)


def test_time_in_the_run_queue_is_nobodys_computing_but_its_holder_holds():
    recording = Recording()
    recording.thread([("native_gil", WORK), ("native_gil", WORK, {"queued": True})] * 50)
    seconds = spent(recording.record)
    shares = shares_of(recording)
    assert shares["native_gil"] == pytest.approx(0.5)
    assert shares["run_queue"] == pytest.approx(0.5)
    assert held_share(recording.record, seconds)[0] == pytest.approx(1.0)


def test_a_look_of_which_it_is_unknown_whether_it_ran_goes_by_those_of_its_kind():
    recording = Recording()
    # Looks without the lock never were on a core; so those of which it is not known were not either.
    recording.thread(
        [
            ("python_gil", WORK),
            ("native_free", WORK, {"queued": True}),
            ("python_gil", WORK, {"on_core": -1}),
            ("native_free", WORK, {"queued": True, "on_core": -1}),
        ]
        * 40
    )
    shares = shares_of(recording)
    assert shares["python_gil"] == pytest.approx(0.5, abs=0.05)
    assert shares["native_free"] == pytest.approx(0.0, abs=0.05)
    assert shares["run_queue"] == pytest.approx(0.5)


def test_what_was_never_seen_running_is_still_accounted_for():
    recording = Recording()
    recording.thread([("io_sleep", WORK)] * 100)
    recording.record.threads[0].run_ns = 2 * STEP_US * 1000
    shares = shares_of(recording)
    assert shares["python_gil"] == pytest.approx(0.02)
    assert sum(shares.values()) == pytest.approx(1.0)


def test_a_thread_of_a_c_library_is_known_by_its_counters_alone():
    recording = Recording()
    recording.thread([("io_sleep", WORK)] * 10)
    recording.record.threads.append(
        ThreadRecord(200, "blas", False, 0, 10 * STEP_US, 8 * STEP_US * 1000, 0)
    )
    shares = shares_of(recording, 1)
    assert shares["native_free"] == pytest.approx(0.8)


def test_the_error_grows_with_the_length_of_what_alternates():
    quick, slow = Recording(), Recording()
    quick.thread([("native_gil", WORK), ("io_sleep", WORK)] * 400)
    slow.thread(([("native_gil", WORK)] * 100 + [("io_sleep", WORK)] * 100) * 4)
    errors = [
        thread_times(one.record, spent(one.record))[0].errors["native_gil"] for one in (quick, slow)
    ]
    assert errors[0] < 0.01 < errors[1]


def test_every_column_is_there():
    recording = Recording()
    recording.thread([("lock_wait", WORK)])
    assert tuple(shares_of(recording)) == COLUMNS
