"""When a service says that it should not be sent requests, and how it looks back."""

from __future__ import annotations

import pytest
from tests.unit.web_statistics import counts, loop, taken, workers

from lanewise.web.readiness import Limits, reasons_against
from lanewise.web.recent import Recent

LIMITS = Limits(loop_lag_s=0.25, wait_s=10.0)


def reasons(now, before=None, limits=LIMITS):
    return reasons_against(now, before, limits)


def lane(**changes):
    return {"lanes": {"process": counts(**changes)}}


def test_a_service_that_does_well_is_ready():
    assert reasons(taken(20.0), taken(10.0)) == []


def test_a_service_of_which_nothing_is_known_yet_is_ready():
    assert reasons(taken(0.0, lanes={}, loop=None, workers=None)) == []


# --- the loop -------------------------------------------------------------------------------------


def test_a_loop_that_is_late_too_often_is_a_reason():
    (reason,) = reasons(taken(10.0, loop=loop(*[0.5] * 3, *[0.001] * 7)))
    assert reason == "the event loop was later than 0.25 s at 30% of recent moments"


@pytest.mark.parametrize(
    "lags_s",
    [[0.5] * 1 + [0.001] * 9, [0.2] * 10, [0.5] * 4],
    ids=["seldom", "not by much", "too few to tell"],
)
def test_a_loop_that_is_late_now_and_then_is_none(lags_s):
    assert reasons(taken(10.0, loop=loop(*lags_s))) == []


def test_what_was_long_ago_does_not_count():
    late = [0.5] * 100
    before = taken(10.0, loop=loop(*late))
    assert reasons(taken(20.0, loop=loop(*late, *[0.001] * 50)), before) == []
    assert reasons(taken(20.0, loop=loop(*late, *[0.5] * 50)), before) != []


# --- workers --------------------------------------------------------------------------------------


def test_workers_that_never_start_are_a_reason():
    none = workers(busy=0, idle=0, started=0, start_failures=4)
    (reason,) = reasons(taken(10.0, workers=none))
    assert reason == "worker processes cannot be started: 4 attempts have failed"


def test_workers_that_do_not_start_any_more_are_a_reason():
    before = taken(10.0, workers=workers(busy=0, idle=0, started=9, start_failures=1))
    now = taken(20.0, workers=workers(busy=0, idle=0, started=9, start_failures=3))
    assert len(reasons(now, before)) == 1


@pytest.mark.parametrize(
    "now",
    [
        workers(busy=1, idle=0, start_failures=5),
        workers(busy=0, idle=0, started=4, start_failures=5),
        workers(busy=0, idle=0, start_failures=4),
        workers(busy=0, idle=0, started=0, start_failures=0),
    ],
    ids=["one works", "one was started", "no new failure", "none was wanted yet"],
)
def test_a_failure_alone_is_no_reason(now):
    before = taken(10.0, workers=workers(busy=0, idle=0, start_failures=4))
    assert reasons(taken(20.0, workers=now), before) == []


# --- lanes ----------------------------------------------------------------------------------------


def test_a_lane_on_which_nothing_ends_while_calls_wait_is_a_reason():
    before, now = taken(0.0, **lane(waiting=3)), taken(12.0, **lane(waiting=5))
    (reason,) = reasons(now, before)
    assert reason == "5 calls wait for the process lane, and none has ended for 12 s"


def test_a_lane_on_which_calls_wait_too_long_is_a_reason():
    before = taken(0.0, **lane(waiting=3, done=10, wait_s=5.0))
    now = taken(10.0, **lane(waiting=3, done=14, wait_s=65.0))
    (reason,) = reasons(now, before)
    assert reason == "calls wait 15.0 s for the process lane, more than 10 s"


@pytest.mark.parametrize(
    ("before", "now", "elapsed_s"),
    [
        (lane(waiting=3), lane(waiting=3), 9.0),
        (lane(waiting=0), lane(waiting=3), 60.0),
        (lane(waiting=3), lane(waiting=0), 60.0),
        (lane(waiting=1, done=1), lane(waiting=1, done=2, wait_s=9.0), 60.0),
    ],
    ids=["not for long", "they have just come", "nobody waits any more", "they wait less"],
)
def test_calls_that_wait_are_no_reason_in_themselves(before, now, elapsed_s):
    assert reasons(taken(elapsed_s, **now), taken(0.0, **before)) == []


def test_limits_can_be_switched_off():
    off = Limits(float("inf"), float("inf"))
    now = taken(99.0, loop=loop(*[2.0] * 20), **lane(waiting=5, wait_s=1e6))
    assert reasons(now, taken(0.0, **lane(waiting=5)), off) == []


# --- looking back ---------------------------------------------------------------------------------


def test_a_snapshot_is_compared_with_that_of_a_window_ago():
    recent = Recent(10.0)
    compared = [recent.since(taken(float(at_s))) for at_s in range(40)]
    assert compared[0] is None
    assert [one.at_s for one in compared[1:11]] == [0.0] * 10
    assert [one.at_s for one in compared[11:]] == [float(at_s) for at_s in range(1, 30)]


def test_a_snapshot_that_comes_rarely_is_compared_with_the_one_before():
    recent = Recent(10.0)
    compared = [recent.since(taken(float(at_s))) for at_s in (0, 60, 120)]
    assert [one.at_s for one in compared[1:]] == [0.0, 60.0]


def test_however_often_one_asks_few_are_kept():
    recent = Recent(10.0)
    for step in range(10_000):
        recent.since(taken(step / 100))
    assert len(recent._kept) <= 12


@pytest.mark.parametrize(
    "now",
    [taken(5.0, lanes={}), taken(5.0, loop=loop(0.1))],
    ids=["fewer calls", "fewer heartbeats"],
)
def test_counts_of_another_runtime_are_not_compared(now):
    recent = Recent(10.0)
    recent.since(taken(0.0))
    assert recent.since(now) is None
