"""The interpreter's switch interval while somebody holds it short, and afterwards."""

from __future__ import annotations

import sys
import threading

import pytest

from lanewise.runtime import switch_interval
from lanewise.runtime.switch_interval import SHORT_S, SwitchInterval, hold_short

USUAL_S = 0.005


@pytest.fixture(autouse=True)
def with_the_lock(monkeypatch):
    """The setting exists on every build; on one without the lock only our own code does not touch it."""
    monkeypatch.setattr(switch_interval, "gil_enabled", lambda: True)
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(USUAL_S)
    yield
    assert switch_interval._PROCESS._holders == 0
    sys.setswitchinterval(before_s + 0.5e-6)


def is_short():
    return sys.getswitchinterval() == pytest.approx(SHORT_S)


def is_usual():
    return sys.getswitchinterval() == pytest.approx(USUAL_S)


def test_it_is_short_while_it_is_held():
    hold = hold_short()
    assert is_short()
    hold.release()
    assert is_usual()


def test_the_last_holder_restores_it():
    first, second = hold_short(), hold_short()
    first.release()
    assert is_short()
    second.release()
    assert is_usual()


def test_a_hold_is_released_once():
    first, second = hold_short(), hold_short()
    first.release()
    first.release()
    assert is_short()
    second.release()
    assert is_usual()


def test_an_interval_that_is_as_short_already_is_left_alone():
    sys.setswitchinterval(SHORT_S / 5)
    hold = hold_short()
    assert sys.getswitchinterval() == pytest.approx(SHORT_S / 5)
    hold.release()
    assert sys.getswitchinterval() == pytest.approx(SHORT_S / 5)


def test_what_the_user_sets_meanwhile_stays():
    first = hold_short()
    sys.setswitchinterval(0.02)
    second = hold_short()
    assert sys.getswitchinterval() == pytest.approx(0.02)
    first.release()
    second.release()
    assert sys.getswitchinterval() == pytest.approx(0.02)


@pytest.mark.parametrize("interval_s", [0.0007, 0.0011, 0.00512, 0.017, 0.123457])
def test_holding_it_a_thousand_times_loses_nothing_by_rounding(interval_s):
    sys.setswitchinterval(interval_s + 0.5e-6)
    before_s = sys.getswitchinterval()
    for _ in range(1000):
        hold_short().release()
    assert sys.getswitchinterval() == before_s


def test_without_the_lock_nothing_is_set(monkeypatch):
    monkeypatch.setattr(switch_interval, "gil_enabled", lambda: False)
    hold = hold_short()
    assert is_usual()
    hold.release()
    assert is_usual()


def test_holders_in_many_threads_leave_it_as_it_was():
    barrier = threading.Barrier(4)
    seen = []

    def hold_and_release():
        barrier.wait()
        for _ in range(500):
            hold = hold_short()
            seen.append(is_short())
            hold.release()

    threads = [threading.Thread(target=hold_and_release) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(seen)
    assert is_usual()


def test_an_owner_holds_it_from_its_first_call_to_its_last():
    owner = SwitchInterval()
    owner.enter()
    owner.enter()
    owner.leave()
    assert is_short()
    owner.leave()
    assert is_usual()


def test_one_owner_does_not_end_anothers_hold():
    one, other = SwitchInterval(), SwitchInterval()
    one.enter()
    other.enter()
    one.leave()
    assert is_short()
    other.leave()
    assert is_usual()


def test_an_owner_that_closes_gives_it_up_whatever_runs():
    owner, other = SwitchInterval(), SwitchInterval()
    owner.enter()
    owner.enter()
    owner.release()
    assert is_usual()
    other.enter()
    owner.leave()  # a call that outlived its owner
    owner.leave()
    assert is_short()
    other.leave()
    assert is_usual()


def test_where_calls_follow_one_another_it_stays_short_until_they_end():
    later = []
    owner = SwitchInterval(later.append)
    for _ in range(3):
        owner.enter()
        owner.leave()
        assert is_short()
    assert len(later) == 1, "one timer for all of them"
    owner.enter()
    later.pop()()
    assert is_short(), "one is in"
    owner.leave()
    later.pop()()
    assert is_usual()
    assert later == []
