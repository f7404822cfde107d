"""Calls that compute in threads: no more at once than cores can take; waiting ones pass them by."""

import asyncio
import os
import sys
import threading

import pytest
from tests.unit.builders import make_cost, make_plan

from lanewise import OverloadedError
from lanewise.host.facts import gil_enabled
from lanewise.lanes.thread import ThreadLane
from lanewise.model.lane import PLAIN_TERMS
from lanewise.model.task import as_task
from lanewise.plan.document import Plan
from lanewise.runtime.admission import Door
from lanewise.runtime.decision import COMPUTING, Decision
from lanewise.runtime.dispatch import Dispatcher
from lanewise.runtime.lifetime import CallOptions
from lanewise.runtime.routing import Router
from lanewise.runtime.tally import Tally


def work(size):
    """Stands for what is called."""


def decision_for(cpu_share, left_s=None):
    """What is decided for a call of 20 ms that spends so much of it on a core."""
    cost = make_cost(
        wall_s=0.020,
        cpu_s=0.020 * cpu_share,
        gil_held_share=0.0,
        args_bytes=100_000_000,  # too much to send elsewhere
        pickle_s=0.1,
    )
    name = as_task(work).name
    plan = make_plan(cost, name=name)
    calibration = plan.calibration
    lanes = frozenset(calibration.lanes)
    router = Router(Plan({name: plan}), lanes, {}, calibration, 0.001, 2, gil_enabled=True)
    return router.decide(as_task(work), (1,), {}, 4, left_s=left_s)


def test_a_call_that_computes_in_a_thread_enters_by_the_door_of_those():
    decision = decision_for(cpu_share=0.95)
    assert (decision.lane, decision.door) == ("thread", COMPUTING)


def test_a_call_that_waits_in_a_thread_enters_by_the_lanes_own():
    decision = decision_for(cpu_share=0.05)
    assert (decision.lane, decision.door) == ("thread", None)


def test_a_call_that_goes_to_a_process_for_its_deadline_enters_by_the_door_of_those():
    decision = decision_for(cpu_share=0.95, left_s=0.1)
    assert (decision.lane, decision.door) == ("process", None)


class Threads:
    """A lane whose calls go on until they are let go."""

    def __init__(self):
        self.began = []
        self.go = asyncio.Event()

    async def run(self, function, variant, args, kwargs, terms):
        self.began.append(args[0])
        await self.go.wait()
        return args[0]

    async def close(self, grace_s=None):
        """Nothing is open."""


class Calls:
    """Calls of one task; there is a door for all threads and one for two that compute."""

    def __init__(self, max_queue=100, timeout_s=None):
        self.threads = Threads()
        self.other = Threads()
        lanes = {"thread": self.threads, "process": self.other}
        router = Router(Plan(), frozenset(lanes), {}, None, 0.001, 2, gil_enabled=True)
        doors = {
            "thread": Door("thread", 8, max_queue, timeout_s),
            "process": Door("process", 8, max_queue, timeout_s),
            COMPUTING: Door("thread", 2, max_queue, timeout_s),
        }
        self.dispatcher = Dispatcher(lanes, router, Tally(), doors)
        self.running = []

    def send(self, *names, door=None, spill=None):
        for name in names:
            decision = Decision("thread", "default", "for a test", door=door, spill=spill)
            call = self.dispatcher.call(
                as_task(work), (name,), {}, PLAIN_TERMS, CallOptions(), decision
            )
            self.running.append(asyncio.ensure_future(call))

    async def end(self):
        self.threads.go.set()
        self.other.go.set()
        await asyncio.gather(*self.running, return_exceptions=True)
        await self.dispatcher.close(None)


@pytest.fixture
async def calls():
    calls = Calls()
    yield calls
    await calls.end()


async def _turns(count=10):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_no_more_compute_at_once_than_have_places_and_others_pass_them_by(calls):
    calls.send("a", "b", "c", "d", door=COMPUTING)
    calls.send("waits", "waits too")
    await _turns()
    assert calls.threads.began == ["a", "b", "waits", "waits too"]
    assert calls.dispatcher.snapshot(None, {}).waiting == 2
    calls.threads.go.set()
    await asyncio.gather(*calls.running)
    assert sorted(calls.threads.began) == ["a", "b", "c", "d", "waits", "waits too"]
    counts = calls.dispatcher.snapshot(None, {}).lanes["thread"]
    assert (counts.admitted, counts.done, counts.running, counts.waiting) == (6, 6, 0, 0)


async def test_a_full_door_of_those_that_compute_spills_although_threads_are_free(calls):
    elsewhere = Decision("process", "default", "for a test")
    calls.send("a", "b", "c", door=COMPUTING, spill=elsewhere)
    await _turns()
    assert (calls.threads.began, calls.other.began) == (["a", "b"], ["c"])


async def test_those_that_compute_are_shed_as_others_are():
    calls = Calls(max_queue=2, timeout_s=60.0)
    calls.send("a", "b", "c", "d", "e", door=COMPUTING)
    await _turns()
    with pytest.raises(OverloadedError, match="thread"):
        await calls.running[-1]
    await calls.end()
    assert [one.result() for one in calls.running[:-1]] == ["a", "b", "c", "d"]


def _niceness(_=None):
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="niceness is a thread's own on Linux")
async def test_without_the_lock_threads_are_nicer_than_the_loop_and_with_it_they_are_not():
    lane = ThreadLane(1)
    await lane.open()
    try:
        nicer = await lane.run(_niceness, "default", (), {}) - _niceness()
    finally:
        await lane.close()
    assert nicer == (0 if gil_enabled() else min(5, 19 - _niceness()))
