"""A calibration that was taken while the machine was busy does not decide for long."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.builders import LANES, make_calibration

from lanewise import Plan, task
from lanewise.model.facts import LaneCost
from lanewise.model.lane import CallReport
from lanewise.runtime.host_costs import HostCosts
from lanewise.runtime.routing import Router

BUSY = LaneCost(dispatch_s=0.012, per_call_s=0.004)
CALL_S = 0.002
REALLY_S = 0.000_2


@task(size=lambda n: n)
def computes(n):
    return n


def router_of(calibration):
    return Router(Plan(), frozenset(LANES), {}, calibration, 0.001, 2, gil_enabled=True)


def run(router, calls):
    """Have calls run one after another, as a runtime does; return the lanes they went to."""
    lanes = []
    for _ in range(calls):
        decision = router.decide(computes, (10,), {}, 1)
        watched = router.watched(decision)
        decision = watched or decision
        lanes.append(decision.lane)
        beyond_s = REALLY_S if decision.lane == "process" else 0.0
        report = CallReport(
            watch=watched is not None,
            run_s=CALL_S,
            cpu_s=CALL_S,
            samples=20 if watched else 0,
            held_share=1.0 if watched else None,
        )
        router.saw(decision, report, 1, CALL_S + beyond_s)
    return lanes


def test_one_quick_crossing_proves_that_the_machine_was_busy_when_it_was_calibrated():
    busy = make_calibration(lanes={**LANES, "process": BUSY})
    lanes = run(router_of(busy), 60)
    assert set(lanes[5:]) == {"process"}


def test_what_harms_the_loop_for_want_of_better_is_tried_elsewhere_now_and_then():
    router = router_of(make_calibration(lanes={**LANES, "process": BUSY}))
    seen_first = {**LANES, "process": BUSY}
    run(router, 5)
    # As if the first calls had met a machine that was busy as well.
    router.host_costs = HostCosts(make_calibration(lanes=seen_first))
    router.lock_changed(gil_enabled=True)
    lanes = run(router, 600)
    assert "thread" in lanes
    assert set(lanes[-100:]) == {"process"}


def test_a_true_calibration_stays_as_it_is():
    true = make_calibration()
    router = router_of(true)
    run(router, 60)
    assert router.host_costs.calibration == true
    assert not router.host_costs.was_wrong


def test_nothing_to_choose_from_is_nothing_to_correct():
    costs = HostCosts(None)
    assert not costs.crossed("process", 1e-9)
    assert not HostCosts(make_calibration()).crossed("cluster", 1e-9)


@given(st.lists(st.floats(-1.0, 1.0), max_size=20))
def test_it_only_ever_falls_and_never_below_a_microsecond(crossings):
    costs = HostCosts(make_calibration())
    before = costs.calibration
    for beyond_s in crossings:
        changed = costs.crossed("process", beyond_s)
        now = costs.calibration
        own, earlier = now.lanes["process"], before.lanes["process"]
        assert changed == (own != earlier)
        assert 1e-6 <= own.dispatch_s <= earlier.dispatch_s
        assert own.per_call_s <= min(own.dispatch_s, earlier.per_call_s)
        others = {name: cost for name, cost in now.lanes.items() if name != "process"}
        assert others == {name: cost for name, cost in LANES.items() if name != "process"}
        before = now
    assert dataclasses.replace(before, lanes=LANES) == make_calibration()


def test_how_many_calls_harm_the_loop_meanwhile_is_bounded():
    router = router_of(make_calibration(lanes={**LANES, "process": BUSY}))
    run(router, 5)
    router.host_costs = HostCosts(make_calibration(lanes={**LANES, "process": BUSY}))
    router.lock_changed(gil_enabled=True)
    in_threads = run(router, 2_000).count("thread")
    assert in_threads == pytest.approx(250, abs=200)
