"""What takes work off a loop, with codecs, pools and other threads in the way; and what goes first."""

import pytest
from tests.unit.diagnosed import IDLE, STEP_US, Recording, callback, frame

from lanewise.diagnose.advice import advise
from lanewise.diagnose.loops import loop_times
from lanewise.diagnose.session import Room
from lanewise.diagnose.summary import summarise_process

HANDLER = frame("handler", 20)
ENCODER = frame("encode", 200, "/usr/lib/python3.13/json/encoder.py")
DUMPS = callback(ENCODER, frame("export", 30), HANDLER)
ORDER = callback(frame("order", 31), HANDLER)
FETCH = callback(frame("fetch", 40), HANDLER)
SOCKET = callback(frame("receive", 50), HANDLER)
FREE = [Room(2.0, 0.0)]
TURN_US = 4_000


def turns(state, stack, count=400, ready=4, **more):
    """Looks into the middle of turns of 4 ms that follow each other."""
    return [
        (state, stack, {"turn_us": max(at * STEP_US - TURN_US // 2, 1), "ready": ready, **more})
        for at in range(count)
    ]


def long_turns(length, stack, state="io_sleep", **more):
    """Turns of so many looks that follow each other."""
    return [
        (state, stack, {"turn_us": max((at - at % length) * STEP_US - 1_000, 1), **more})
        for at in range(400)
    ]


def summary_of(*threads, **facts):
    recording = Recording(**{"rooms": FREE, **facts})
    for steps in threads:
        recording.thread(steps)
    return summarise_process(recording.record)


def idle(count):
    return [("io_sleep", IDLE, {"call": "epoll"})] * count


def by_strategy(advice):
    return {one.strategy: one for one in reversed(advice)}


def test_a_codec_on_a_loop_wants_a_faster_one_and_not_a_process():
    advice = advise(summary_of(turns("native_gil", DUMPS)))
    assert (advice[0].function, advice[0].strategy) == ("export", "variant")
    assert advice[0].predicted_gain == pytest.approx(10.0, rel=0.05)
    process = by_strategy(advice)["process"]
    assert process.predicted_gain < 1.2
    assert "pickling what crosses" in process.assumption


def test_other_native_code_that_keeps_the_lock_has_a_variant_too():
    advice = advise(summary_of(turns("native_gil", ORDER)))
    assert [one.strategy for one in advice] == ["process", "variant"]
    assert advice[1].predicted_gain is None


def test_bytecode_has_no_variant():
    assert [one.strategy for one in advise(summary_of(turns("python_gil", ORDER)))] == ["process"]


def test_a_codec_that_stalls_a_loop_now_and_then_is_told_the_same():
    steps = []
    for _ in range(8):
        began_us = len(steps) * STEP_US + 60 * STEP_US - 1_000
        steps += idle(60) + [("native_gil", DUMPS, {"turn_us": began_us})] * 40
    best, *others = advise(summary_of(steps + idle(1)))
    assert (best.function, best.strategy) == ("export", "variant")
    assert best.predicted_loop_lag_p99_s == pytest.approx(0.2 / 10, rel=0.1)
    assert "process" in {one.strategy for one in others}


def test_blocked_calls_overlap_as_far_as_the_pool_has_threads():
    steps = [
        (state, stack, {**more, "callback": 1 + at % 20})
        for at, (state, stack, more) in enumerate(long_turns(20, FETCH, ready=20, call="recvfrom"))
    ]
    best, *_ = advise(summary_of(steps))
    assert best.strategy == "thread"
    assert best.predicted_gain == pytest.approx(6.0)
    assert "6 threads" in best.assumption
    assert "20 calls" in best.assumption


def test_callbacks_of_others_in_the_turn_are_not_calls_that_overlap():
    """A hundred short callbacks, and one that blocks for nearly the whole turn."""
    blocked = long_turns(20, FETCH, ready=101, call="recvfrom", callback=7)
    steps = [
        ("python_gil", SOCKET, {**one[2], "callback": at, "call": "running"})
        if at % 20 == 0
        else one
        for at, one in enumerate(blocked)
    ]
    best, *_ = advise(summary_of(steps))
    assert (best.function, best.strategy) == ("fetch", "thread")
    assert best.predicted_gain == 1.0


def test_calls_that_were_all_seen_are_counted():
    steps = [
        (state, stack, {**more, "callback": 1 + at % 20 // 5})
        for at, (state, stack, more) in enumerate(long_turns(20, FETCH, ready=104, call="recvfrom"))
    ]
    recording = Recording()
    recording.thread(steps)
    [loop] = loop_times(recording.record)
    assert loop.busy[0].ready == pytest.approx(4.0)


def test_what_is_left_of_the_lag_counts_turns_that_are_no_stalls():
    """One stall is taken away, and turns of 45 ms are still there half of the time."""
    steps = []
    for _ in range(10):
        began_us = len(steps) * STEP_US - 1_000
        steps += [("io_sleep", FETCH, {"turn_us": max(began_us, 1), "call": "sleep"})] * 20
        for _ in range(5):
            steps += idle(9)
            began_us = len(steps) * STEP_US - 1_000
            steps += [("python_gil", SOCKET, {"turn_us": began_us})] * 9
    found = by_strategy(advise(summary_of(steps)))["thread"]
    assert found.function == "fetch"
    assert found.predicted_loop_lag_p99_s == pytest.approx(0.04, abs=0.01)


def held_by_another():
    """A loop that waits for the lock behind a thread's function, for four fifths of each second."""
    loop, other = [], []
    for _ in range(8):
        loop += [("gil_wait", IDLE, {"call": "futex", "holder": 1})] * 40
        other += [("python_gil", (frame("crunch", 77),))] * 40
        loop += [("python_gil", SOCKET)] * 2 + idle(8)
        other += [("gil_wait", (frame("crunch", 77),), {"call": "futex", "holder": 0})] * 2
        other += [("io_sleep", (frame("crunch", 80),), {"call": "sleep"})] * 8
    return summary_of(loop, other)


def test_a_function_that_keeps_the_lock_from_a_loop_is_told_with_the_lag_without_it():
    found = by_strategy(advise(held_by_another()))["process"]
    assert found.function == "crunch"
    assert found.predicted_loop_lag_p99_s < 0.02
    assert found.predicted_gain < 1.3


def test_the_loop_knows_what_it_waits_behind():
    [behind] = held_by_another().loops[0].behind
    assert behind.frame.qualname == "crunch"
    assert behind.share == pytest.approx(0.8, abs=0.02)


def test_what_holds_the_lock_in_threads_is_told_although_a_loop_waits_for_it():
    """It is the threads' own work that gains; that a loop waits behind it does not hide that."""
    crunch = ("python_gil", (frame("crunch", 77),))
    wait = ("gil_wait", (frame("crunch", 77),), {"call": "futex", "holder": 2})
    steps = [("gil_wait", IDLE, {"call": "futex", "holder": 1})] * 40 + idle(10)
    threads = [steps * 8, [crunch, wait] * 200, [wait, crunch] * 200]
    found = [one for one in advise(summary_of(*threads)) if one.function == "crunch"]
    assert found[0].strategy == "process"
    assert found[0].predicted_gain == pytest.approx(2.0, rel=0.1)
    assert found[0].predicted_loop_lag_p99_s is not None


def collecting_now_and_then():
    steps = idle(380) + [("native_gil", SOCKET, {"collecting": True})] * 12 + idle(8)
    crunch = frame("crunch", 77)
    mine = [("python_gil", (crunch,)), ("gil_wait", (crunch,), {"call": "futex", "holder": 2})]
    return summary_of(steps, mine * 200, mine[::-1] * 200)


def test_a_rare_collection_does_not_come_before_a_doubled_throughput():
    advice = advise(collecting_now_and_then())
    assert (advice[0].function, advice[0].strategy) == ("crunch", "process")
    assert advice[-1].strategy == "stay"
    assert "collections" in advice[-1].reason


def test_turns_that_nobody_felt_as_stalls_are_told_where_the_loop_is_late():
    """An eighth of the loop's time, in turns of 40 ms."""
    steps = []
    for _ in range(8):
        began_us = len(steps) * STEP_US + 42 * STEP_US
        steps += idle(42) + [("python_gil", ORDER, {"turn_us": began_us - 1_000})] * 8
    best, *_ = advise(summary_of(steps + idle(1)))
    assert (best.function, best.strategy) == ("order", "process")


def test_that_a_function_once_lacked_a_core_does_not_hide_that_it_fills_the_loop():
    steps = turns("python_gil", ORDER)
    turn_us = len(steps) * STEP_US - 1_000
    steps += [
        ("python_gil", ORDER, {"turn_us": turn_us, "ready": 4, "queued": at % 5 != 0})
        for at in range(40)
    ]
    advice = advise(summary_of(steps))
    assert [(one.function, one.strategy) for one in advice] == [
        ("order", "process"),
        ("order", "stay"),
    ]


def test_another_library_gives_no_more_than_it_is_faster():
    """On one core the lock is not full, and a share of 0.08 would be left of it."""
    dumps = ("native_gil", (ENCODER, frame("export", 30)), {})
    queued = ("native_gil", (ENCODER, frame("export", 30)), {"queued": True})
    wait = ("gil_wait", (frame("export", 30),), {"call": "futex"})
    cycle = [dumps] * 4 + [queued] * 3 + [wait] * 3
    one_core = {"cores": 1, "rooms": [Room(1.0, 0.0)]}
    advice = advise(summary_of(cycle * 40, (cycle[5:] + cycle[:5]) * 40, **one_core))
    assert by_strategy(advice)["variant"].predicted_gain == pytest.approx(10.0)
