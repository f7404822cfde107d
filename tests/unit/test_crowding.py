"""Threads that slow each other down without the lock: seen, told once, and not taken for other costs."""

import logging

import pytest
from tests.unit.builders import LANES, make_calibration
from tests.unit.test_seen import settled, watched

from lanewise.model.lane import CallReport
from lanewise.model.task import as_task
from lanewise.plan.document import Plan
from lanewise.runtime.crowding import Crowding
from lanewise.runtime.routing import Router
from lanewise.runtime.seen import Seen

ALONE_S = 0.01


def report(run_s, *, queue_s=0.0, cpu_s=None):
    return CallReport(
        run_s=run_s + queue_s, cpu_s=run_s if cpu_s is None else cpu_s, run_queue_s=queue_s
    )


def crowded(together_s, apart_s=ALONE_S, calls=8):
    crowding = Crowding()
    for _ in range(calls):
        crowding.ran("thread", report(together_s), ALONE_S)
    for _ in range(calls):
        crowding.ran("process", report(apart_s), ALONE_S)
    return crowding


@pytest.mark.parametrize(
    ("together_s", "apart_s", "contended"),
    [
        (0.03, 0.01, True),
        (0.016, 0.01, True),
        (0.012, 0.01, False),  # what threads share without harm
        (0.016, 0.016, False),  # what cores share slows processes too
        (0.01, 0.02, False),
    ],
)
def test_threads_are_held_against_processes(together_s, apart_s, contended):
    assert crowded(together_s, apart_s).is_contended is contended


def test_nothing_is_said_before_both_were_seen():
    crowding = Crowding()
    for _ in range(20):
        crowding.ran("thread", report(0.05), ALONE_S)
    assert crowding.wants_control
    assert not crowding.is_contended
    assert crowded(0.05, calls=7).is_contended is False


def test_waiting_for_a_core_is_no_contention():
    crowding = Crowding()
    for _ in range(8):
        crowding.ran("thread", report(0.01, queue_s=0.05), ALONE_S)
    assert not crowding.wants_control
    crowding.ran("thread", CallReport(run_s=0.5, cpu_s=0.01), ALONE_S)  # which nobody looked up
    assert not crowding.wants_control


def test_waiting_for_a_lock_of_the_calls_is_contention():
    crowding = Crowding()
    for _ in range(8):
        crowding.ran("thread", report(0.02, cpu_s=0.01), ALONE_S)
        crowding.ran("process", report(0.01), ALONE_S)
    assert crowding.is_contended


def test_a_machine_that_is_slower_for_both_changes_nothing():
    crowding = Crowding()
    for _ in range(8):
        crowding.ran("thread", report(0.025), 0.010)
    for _ in range(8):
        crowding.ran("process", report(0.010), 0.014)
    assert crowding.slowdown == pytest.approx(2.5)


def test_other_calls_begin_anew():
    crowding = crowded(0.03)
    crowding.ran("thread", report(0.2), 0.2)
    assert not crowding.is_contended
    assert crowding.asks


def test_calls_that_others_keep_from_running_cost_no_more_than_before():
    seen = settled(ALONE_S)
    seen.watches_crowding = True
    for _ in range(40):
        seen.ran("thread", report(0.03), 2, beside=2)
    assert seen.is_settled
    assert seen.wall_s == pytest.approx(ALONE_S)


def test_with_the_lock_on_they_are_judged_as_ever():
    seen = settled(ALONE_S)
    for _ in range(40):
        seen.ran("thread", report(0.03), 2, beside=2)
    assert seen.forgotten


def test_calls_that_are_slow_in_processes_too_are_other_calls():
    seen = settled(ALONE_S)
    seen.watches_crowding = True
    for _ in range(40):
        seen.ran("process", CallReport(run_s=0.03), 2, beside=2)
    assert seen.forgotten


def test_suspicion_sends_some_calls_to_processes_and_no_more():
    seen = settled(ALONE_S)
    seen.watches_crowding = True
    for _ in range(8):
        seen.ran("thread", report(0.03), 2, beside=2)
    sent = 0
    for _ in range(50):
        if seen.wants_watching("thread"):
            sent += 1
            seen.watched_call(watched(ALONE_S))
    assert sent == 8
    assert seen.crowding.is_contended


def function(rows):
    return rows


@pytest.fixture
def router():
    return Router(
        Plan({}, "none"),
        frozenset(("event_loop", "thread", "process")),
        {},
        make_calibration(lanes=LANES),
        0.001,
        cores=4,
        gil_enabled=False,
    )


def called(router, task, run_s, at_once, calls):
    """Calls of 10 ms as they go: in threads beside each other they take longer."""
    lanes = []
    for _ in range(calls):
        decision = router.decide(task, (1,), {}, at_once)
        decision = router.watched(decision) or decision
        own_s = run_s if decision.lane == "thread" and at_once > 1 else ALONE_S
        told = report(own_s)
        if decision.seen.wants_watching(decision.lane):
            told = watched(own_s)
        router.saw(decision, told, at_once, own_s + 1e-4, at_once)
        lanes.append(decision.lane)
    return lanes


def test_a_contended_task_is_told_once_and_kept_in_processes(router, caplog):
    task = as_task(function, name="app:hot")
    with caplog.at_level(logging.WARNING, "lanewise"):
        called(router, task, 0.03, 2, 60)
        lanes = called(router, task, 0.03, 2, 300)
    assert set(lanes) == {"process"}
    assert router.contended()["app:hot"] == pytest.approx(3.0, rel=0.1)
    (told,) = [one.message for one in caplog.records if "FT201" in one.message]
    assert "app:hot" in told
    assert "3 times as long" in told
    assert "FT201" in router.explain(task, (1,), {}, 2)


def test_its_twin_stays_in_threads(router):
    task = as_task(function, name="app:twin")
    called(router, task, ALONE_S, 2, 60)
    assert set(called(router, task, ALONE_S, 2, 300)) == {"thread"}
    assert router.contended() == {}


def test_whether_it_still_holds_is_looked_at_now_and_then(router):
    task = as_task(function, name="app:mended")
    called(router, task, 0.03, 2, 300)
    assert router.decide(task, (1,), {}, 2).seen.crowding.is_contended
    called(router, task, ALONE_S, 2, 3_000)  # a copy for each call
    assert not router.decide(task, (1,), {}, 2).seen.crowding.is_contended


def test_where_there_is_nothing_to_compare_with_nothing_is_watched():
    router = Router(
        Plan({}, "none"),
        frozenset(("event_loop", "thread")),
        {},
        make_calibration(lanes=LANES),
        0.001,
        cores=4,
        gil_enabled=False,
    )
    decision = router.decide(as_task(function, name="app:alone"), (1,), {}, 2)
    assert decision.seen.watches_crowding is False


def test_a_seen_task_begins_without_a_verdict():
    assert Seen().crowding.is_contended is False
