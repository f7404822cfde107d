"""Turns of a loop: told apart by what the loop says, at any rate of looks; their lag and their stalls."""

import pytest
from tests.unit.diagnosed import IDLE, STEP_US, Recording, callback, frame

from lanewise.diagnose.advice import advise
from lanewise.diagnose.loops import loop_times
from lanewise.diagnose.summary import summarise_process

HANDLER = frame("handler", 20)
WORK = callback(frame("work", 30), HANDLER)
RUNNERS = "/usr/lib/python3.13/asyncio/runners.py"
# As uvloop's stacks are: nothing of asyncio's but the runner stands below.
ON_UVLOOP = (frame("app", 50), frame("run_asgi", 60), frame("run", 9, RUNNERS))
UVLOOP_IDLE = (frame("run", 9, RUNNERS), frame("main", 2))
PERIOD_US = 130_000


def loop_of(steps):
    recording = Recording()
    recording.thread(steps)
    [loop] = loop_times(recording.record)
    return loop


def idle(count):
    return [("io_sleep", IDLE, {"call": "epoll"})] * count


def spaced(turns, period_us=PERIOD_US):
    """Looks with so much time between them, each into a turn of that age; None sees the loop asleep."""
    steps = []
    for at, age_us in enumerate(turns, 1):
        now_us = at * period_us
        when = {"start_us": now_us, "end_us": now_us}
        if age_us is None:
            steps.append(("io_sleep", IDLE, {"call": "epoll", **when}))
        else:
            steps.append(("python_gil", WORK, {"turn_us": now_us - age_us, **when}))
    return steps


def test_at_a_low_rate_short_turns_are_no_stalls():
    loop = loop_of(spaced([500] * 100))
    assert loop.stalls == ()
    assert loop.stalled_share == 0.0
    assert loop.lag_p99_s == pytest.approx(0.0005)
    assert loop.lag_max_s == pytest.approx(0.001)


def test_at_a_low_rate_a_full_loop_is_still_full():
    assert loop_of(spaced([500] * 100)).busy_share == pytest.approx(1.0)
    assert loop_of(spaced([500, None] * 50)).busy_share == pytest.approx(0.5, abs=0.01)


def test_the_lag_is_what_the_ages_of_turns_say():
    loop = loop_of(spaced([at * 100 for at in range(1, 101)], 20_000))
    assert loop.lag_p50_s == pytest.approx(0.005, rel=0.05)
    assert loop.lag_p99_s == pytest.approx(0.0099, rel=0.05)


def test_one_look_into_a_long_turn_is_a_stall():
    [stall] = loop_of(spaced([None, 90_000, None])).stalls
    assert stall.duration_s == pytest.approx(0.18, abs=0.01)


def test_two_looks_into_one_turn_are_a_stall():
    [stall] = loop_of(spaced([None, 10_000, 140_000, None])).stalls
    assert stall.duration_s > 0.13


def test_requests_that_follow_each_other_on_uvloop_are_no_stall():
    steps = [("python_gil", ON_UVLOOP, {"callback": 1000 + at // 2}) for at in range(400)]
    loop = loop_of(steps)
    assert loop.stalls == ()
    assert loop.lag_p99_s < 0.02
    assert not loop.tells_turns


def test_one_long_request_on_uvloop_is_a_stall():
    asleep = [("io_sleep", UVLOOP_IDLE, {"call": "epoll"})]
    busy = [("python_gil", ON_UVLOOP, {"callback": 1000})]
    [stall] = loop_of(asleep * 20 + busy * 40 + asleep * 20).stalls
    assert stall.duration_s == pytest.approx(0.2, abs=0.01)
    assert stall.function == "app"


def test_that_a_loop_does_not_tell_its_turns_is_told():
    recording = Recording()
    recording.thread([("python_gil", ON_UVLOOP, {"callback": 1})] * 100)
    assert "turns" in summarise_process(recording.record).weaknesses[-1]
    recording = Recording()
    recording.thread(spaced([500] * 100))
    assert summarise_process(recording.record).weaknesses == []


def test_what_runs_between_two_loops_of_a_thread_is_not_theirs():
    """A worker that computes, and calls asyncio.run for a moment now and then."""
    outside = ("python_gil", (frame("sync_work", 3), frame("<module>", 1)))
    steps = []
    while len(steps) < 1000:
        steps += [outside] * 98
        began_us = len(steps) * STEP_US - 1_000
        steps += [("python_gil", WORK, {"turn_us": began_us})] * 2
    loop = loop_of(steps)
    assert loop.stalls == ()
    assert loop.lag_max_s < 0.02
    assert loop.busy_share == pytest.approx(1.0)


def test_a_turn_ends_where_its_loop_does():
    outside = ("python_gil", (frame("sync_work", 3),))
    steps = [("python_gil", WORK, {"turn_us": 1})] * 30 + [outside] * 100 + idle(30)
    [stall] = loop_of(steps).stalls
    assert stall.duration_s == pytest.approx(30 * STEP_US / 1e6, rel=0.1)


def asleep_in_a_driver(moments):
    wait = frame("wait", 9, "/srv/venv/lib/python3.13/site-packages/psycopg/waiting.py")
    stack = callback(wait, frame("fetch", 30), HANDLER)
    steps = idle(10)
    at_us = 10 * STEP_US
    length_us = (moments - 1) * STEP_US
    look = {
        "call": "epoll",
        "moments": moments,
        "end_us": at_us + length_us,
        "turn_us": at_us - 2_000,
    }
    after_us = at_us + length_us + STEP_US
    done = {"call": "epoll", "start_us": after_us, "end_us": after_us + 50 * STEP_US, "moments": 50}
    return [*steps, ("io_sleep", stack, look), ("io_sleep", IDLE, done)]


def test_a_driver_that_sleeps_in_epoll_stalls_the_loop():
    [stall] = loop_of(asleep_in_a_driver(40)).stalls
    assert stall.function == "fetch"
    assert stall.cause == "blocking call (epoll)"


def test_a_stack_from_before_the_sleep_is_not_believed():
    assert loop_of(asleep_in_a_driver(1)).stalls == ()


def test_a_handler_that_stands_in_the_run_queue_is_not_blamed():
    """Its quota is used up: it ran for a fifth of the turn."""
    steps = idle(10)
    turn_us = 10 * STEP_US - 1_000
    for at in range(40):
        steps.append(("python_gil", WORK, {"turn_us": turn_us, "queued": at % 5 != 0}))
    loop = loop_of(steps + idle(10))
    assert [one.cause for one in loop.stalls] == ["waiting for a core"]
    assert loop.stalled_share == 0.0


def test_a_handler_that_ran_most_of_the_time_is():
    steps = idle(10)
    turn_us = 10 * STEP_US - 1_000
    for at in range(40):
        steps.append(("python_gil", WORK, {"turn_us": turn_us, "queued": at % 5 == 0}))
    loop = loop_of(steps + idle(10))
    assert [one.cause for one in loop.stalls] == ["CPU: Python code"]


def test_a_driver_in_epoll_is_taken_off_the_loop():
    recording = Recording()
    recording.thread(asleep_in_a_driver(200))
    recording.record.threads[0].last_us = recording.record.end_us = 300 * STEP_US
    best, *_ = advise(summarise_process(recording.record))
    assert (best.function, best.strategy) == ("fetch", "thread")


def waits_in_epoll(*stack):
    recording = Recording()
    look = {"call": "epoll", "moments": 90, "end_us": 90 * STEP_US}
    recording.thread([("io_sleep", stack, look), ("python_gil", (HANDLER, *stack), {})])
    return summarise_process(recording.record)


def test_a_loop_without_frames_of_its_own_is_told_to_be_unseen():
    summary = waits_in_epoll(
        frame("run_app", 9, "/srv/venv/lib/python3.13/site-packages/aiohttp/web.py")
    )
    assert summary.loops == []
    [weakness] = summary.weaknesses
    assert "run_app" in weakness


@pytest.mark.parametrize("file", ["/usr/lib/python3.13/selectors.py", "/x/psycopg/waiting.py"])
def test_who_waits_for_their_own_events_is_no_loop(file):
    assert waits_in_epoll(frame("wait", 9, file)).weaknesses == []


def test_where_the_loop_is_seen_nothing_is_unseen():
    assert waits_in_epoll(*UVLOOP_IDLE).weaknesses[1:] == []


def test_what_would_have_stalled_on_a_free_core_too_is_the_handlers_doing():
    """It ran for 80 ms, and stood in the run queue for 320."""
    steps = idle(10)
    turn_us = 10 * STEP_US - 1_000
    for at in range(80):
        steps.append(("python_gil", WORK, {"turn_us": turn_us, "queued": at % 5 != 0}))
    loop = loop_of(steps + idle(10))
    assert [one.cause for one in loop.stalls] == ["CPU: Python code"]
