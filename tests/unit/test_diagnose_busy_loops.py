"""Loops whose turns are short but follow each other, and what taking the work off them gives."""

import pytest
from tests.unit.diagnosed import IDLE, STEP_US, Recording, callback, frame, session

from lanewise.diagnose.advice import advise
from lanewise.diagnose.loops import loop_times
from lanewise.diagnose.session import Session
from lanewise.diagnose.summary import summarise_process

HANDLER = frame("handler", 20)
ENCODE = callback(frame("encode", 30), HANDLER)
FETCH = callback(frame("fetch", 40), HANDLER)
TURN_US = 4_000


def turn(at, ready=4, began_before_us=TURN_US // 2):
    """A look into the middle of a turn of 4 ms."""
    return {"turn_us": max(at * STEP_US - began_before_us, 1), "ready": ready}


def busy(state, stack, ready, count=200, **more):
    return [(state, stack, {**turn(at, ready), **more}) for at in range(count)]


def advice_for(steps):
    recording = Recording()
    recording.thread(steps)
    return advise(summarise_process(recording.record))


def test_what_a_busy_loop_runs_is_told_with_its_share():
    recording = Recording()
    recording.thread(busy("python_gil", ENCODE, 4))
    [loop] = loop_times(recording.record)
    [most] = loop.busy
    assert (most.frame.qualname, most.cause) == ("encode", "CPU: Python code")
    assert most.share == pytest.approx(1.0, abs=0.05)
    assert most.ready == 4
    assert most.turn_s == pytest.approx(TURN_US / 1e6, rel=0.01)
    assert most.lag_p99_without_s == 0.0


def test_short_callbacks_that_fill_a_loop_belong_in_processes():
    best, *_ = advice_for(busy("python_gil", ENCODE, 4))
    assert (best.function, best.strategy) == ("encode", "process")
    # Two cores, less what it costs to cross: a callback takes 1 ms of which a quarter is added.
    assert best.predicted_gain == pytest.approx(2 * 1 / 1.25, rel=0.02)


def test_as_many_waits_overlap_as_were_ready_at_once():
    best, *_ = advice_for(busy("io_sleep", FETCH, 6, call="recvfrom"))
    assert (best.function, best.strategy) == ("fetch", "thread")
    assert best.predicted_gain == pytest.approx(6)


def test_one_client_gains_nothing_from_a_second_core():
    best, *_ = advice_for(busy("python_gil", ENCODE, 1))
    assert best.predicted_gain == 1.0


def test_how_many_waits_overlap_is_not_guessed():
    best, *_ = advice_for(busy("io_sleep", FETCH, 0, call="recvfrom"))
    assert best.predicted_gain is None


def test_a_loop_that_is_mostly_idle_gains_no_throughput():
    quiet = [("io_sleep", IDLE, {"call": "epoll"})]
    best, *_ = advice_for((quiet * 7 + [("python_gil", ENCODE, {"ready": 4})] * 3) * 20 + quiet)
    assert (best.strategy, best.predicted_gain) == ("process", 1.0)
    assert best.predicted_loop_lag_p99_s == 0.0


def test_sessions_that_do_not_know_how_many_were_ready_are_still_read(tmp_path):
    recording = Recording()
    recording.thread(busy("python_gil", ENCODE, 0, count=3))
    made = session(recording)
    record = made.processes[0]
    record.looks[:] = [look[:-1] for look in record.looks]
    path = tmp_path / "session.json"
    made.save(path)
    assert [look.ready for look in Session.load(path).processes[0].looks] == [0, 0, 0]
