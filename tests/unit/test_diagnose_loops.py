"""Stalls of an event loop: how long, whose line, and why."""

import pytest
from tests.unit.diagnosed import IDLE, STEP_US, Recording, callback, frame

from lanewise.diagnose.loops import loop_times

HANDLER = frame("handler", 20)
SLEEP = callback(frame("fetch", 30), HANDLER)
LIBRARY = frame("execute", 5, "/srv/venv/lib/python3.13/site-packages/driver/cursor.py")


def loop_of(recording):
    [loop] = loop_times(recording.record)
    return loop


def idle(count):
    return [("io_sleep", IDLE, {"call": "epoll"})] * count


def busy(count, state, stack, **more):
    return [(state, stack, more)] * count


def test_a_blocking_call_in_a_callback_is_a_stall_with_its_line():
    recording = Recording()
    recording.thread((idle(60) + busy(40, "io_sleep", SLEEP, call="sleep")) * 4 + idle(1))
    loop = loop_of(recording)
    assert loop.stalled_share == pytest.approx(0.4, abs=0.01)
    assert loop.lag_p99_s == pytest.approx(0.2, abs=0.01)
    assert {(one.path, one.line, one.function) for one in loop.stalls} == {
        ("/srv/shop/app/views.py", 30, "fetch")
    }
    assert {one.cause for one in loop.stalls} == {"blocking call (sleep)"}


def test_the_users_line_is_named_not_the_librarys():
    recording = Recording()
    stack = callback(LIBRARY, frame("store", 40), HANDLER)
    recording.thread(idle(10) + busy(40, "io_sleep", stack, call="recvfrom") + idle(10))
    [stall] = loop_of(recording).stalls
    assert (stall.function, stall.line) == ("store", 40)


@pytest.mark.parametrize(
    ("state", "more", "cause"),
    [
        ("python_gil", {}, "CPU: Python code"),
        ("native_gil", {}, "CPU: native code that holds the GIL"),
        ("native_free", {}, "CPU: native code"),
        ("native_gil", {"collecting": True}, "garbage collection"),
        ("lock_wait", {"call": "futex"}, "waiting for a lock"),
    ],
)
def test_the_cause_of_a_stall_is_told(state, more, cause):
    recording = Recording()
    recording.thread(idle(10) + busy(40, state, SLEEP, **more) + idle(10))
    [stall] = loop_of(recording).stalls
    assert stall.cause == cause


def test_a_loop_that_waits_for_the_lock_names_the_thread_that_holds_it():
    recording = Recording()
    recording.thread(idle(10) + busy(40, "gil_wait", IDLE, call="futex", holder=1) + idle(10))
    recording.thread([("native_gil", (frame("crunch", 77),))] * 60, name="cruncher")
    [stall] = loop_of(recording).stalls
    assert stall.cause == "waiting for the GIL, which cruncher held"
    assert (stall.function, stall.line) == ("crunch", 77)


def test_for_the_lack_of_a_core_the_program_is_not_blamed():
    recording = Recording()
    recording.thread(idle(10) + busy(40, "native_free", IDLE, queued=True) + idle(10))
    loop = loop_of(recording)
    assert [one.cause for one in loop.stalls] == ["waiting for a core"]
    assert loop.stalled_share == 0
    assert loop.lag_p99_s > 0.1


def test_many_short_turns_are_no_stall():
    recording = Recording()
    steps = [("python_gil", SLEEP, {"turn_us": at * STEP_US - 3_000}) for at in range(1, 101)]
    recording.thread(steps)
    loop = loop_of(recording)
    assert loop.stalls == ()
    assert loop.busy_share > 0.9


def test_the_begin_of_a_turn_is_taken_from_the_loop_itself():
    recording = Recording()
    began_us = 10 * STEP_US - 4_000
    recording.thread(idle(10) + busy(40, "python_gil", SLEEP, turn_us=began_us) + idle(10))
    [stall] = loop_of(recording).stalls
    assert stall.start_s == pytest.approx(began_us / 1e6)


def test_before_its_loop_runs_a_thread_is_not_late():
    recording = Recording()
    importing = (frame("<module>", 1),)
    recording.thread([("python_gil", importing)] * 50 + idle(50))
    assert loop_of(recording).stalls == ()


def test_a_program_without_a_loop_has_none():
    recording = Recording()
    recording.thread([("python_gil", (frame(),))] * 50)
    assert loop_times(recording.record) == []
