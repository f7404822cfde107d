"""The front doors of a runtime's lanes, with real calls."""

import asyncio
import gc

import pytest
from runtime_support import on_threads, settled

from lanewise import LaneUnavailableError, OverloadedError, Runtime, TaskTimeoutError, task
from lanewise.runtime.admission import Door
from lanewise.runtime.ambient import request_deadline
from lanewise.runtime.waiting_room import Ticket
from lanewise.testing import FakeClock, Gate
from lanewise.testing.calls import square, visit


@pytest.mark.parametrize("leave_first", [False, True])
async def test_a_caller_that_is_cancelled_while_its_turn_comes_leaves_its_place_to_the_next(
    leave_first,
):
    door = Door("thread", 1, 10, None)
    first, cancelled, third = (Ticket("t", 0.0) for _ in range(3))
    await door.enter(first)
    waiting, behind = (asyncio.create_task(door.enter(one)) for one in (cancelled, third))
    await asyncio.sleep(0)
    if leave_first:
        door.leave(first)
        waiting.cancel()
    else:
        waiting.cancel()
        door.leave(first)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await behind
    door.leave(third)
    assert (door.room.serving, door.room.waiting, door.room.has_room) == (0, 0, True)


async def test_one_lanes_flood_takes_no_place_of_another():
    async with (
        Gate() as gate,
        Runtime(processes=1, threads=1, lanes=("thread", "process"), max_queue=1) as rt,
    ):
        threads = rt.with_options(lane="thread")
        flood = [asyncio.create_task(threads.run(visit, gate.address, str(n))) for n in range(20)]
        try:
            await gate.visited("0")
            assert await rt.with_options(lane="process").run(square, 3) == 9
        finally:
            gate.open()
        await asyncio.gather(*flood)


async def test_one_tasks_flood_does_not_starve_another():
    order = []

    async def named(rt, function, name):
        await rt.run(function, gate.address, name)
        order.append(name)

    def other(address, name):
        visit(address, name)

    async with Gate() as gate, on_threads(threads=1) as rt:
        first = asyncio.create_task(rt.run(visit, gate.address, "first"))
        await gate.visited("first")
        flood = [asyncio.create_task(named(rt, visit, f"f{n}")) for n in range(8)]
        await settled(lambda: rt.statistics().waiting == 8)
        late = asyncio.create_task(named(rt, other, "late"))
        await settled(lambda: rt.statistics().waiting == 9)
        gate.open()
        await asyncio.gather(first, late, *flood)
    assert order.index("late") <= 1


async def test_a_higher_class_goes_first_and_the_lowest_is_refused_first():
    async with Gate() as gate, on_threads(threads=1, max_queue=2, queue_timeout_s=60) as rt:
        running = asyncio.create_task(rt.run(visit, gate.address, "running"))
        await gate.visited("running")
        calls = [
            asyncio.create_task(rt.with_options(priority=one).run(visit, gate.address, one))
            for one in ("low", "normal", "low", "high")
        ]
        with pytest.raises(OverloadedError) as refused:
            await calls[2]
        assert refused.value.reason == "displaced"
        assert refused.value.lane == "thread"
        assert rt.statistics().shed_by_reason == {"displaced": 1}
        gate.open()
        await asyncio.gather(running, calls[0], calls[1], calls[3])
    assert gate.visits == ["running", "high", "normal", "low"]


def test_a_class_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="priority"):
        Runtime().with_options(priority="urgent")
    with pytest.raises(ValueError, match="priority"):
        task(priority="urgent")(square)


async def test_an_abandoned_call_keeps_its_place_until_it_is_over():
    async with Gate() as gate, on_threads(threads=1) as rt:
        abandoned = asyncio.create_task(rt.run(visit, gate.address, "abandoned"))
        await gate.visited("abandoned")
        abandoned.cancel()
        await asyncio.gather(abandoned, return_exceptions=True)
        next_one = asyncio.create_task(rt.run(square, 4))
        await settled(lambda: rt.statistics().waiting == 1)
        gate.open()
        assert await next_one == 16


async def test_those_who_wait_when_the_runtime_is_left_are_told_so():
    async with Gate() as gate:
        async with on_threads(threads=1, grace_s=0) as rt:
            running = asyncio.create_task(rt.run(visit, gate.address, "running"))
            await gate.visited("running")
            waiting = asyncio.create_task(rt.run(square, 4))
            await settled(lambda: rt.statistics().waiting == 1)
        with pytest.raises(LaneUnavailableError, match="left"):
            await waiting
        gate.open()
        await running


async def test_those_who_wait_when_the_runtime_is_left_get_their_turn_within_the_grace_period():
    async with Gate() as gate:
        async with on_threads(threads=1) as rt:
            running = asyncio.create_task(rt.run(visit, gate.address, "running"))
            await gate.visited("running")
            waiting = asyncio.create_task(rt.run(square, 4))
            await settled(lambda: rt.statistics().waiting == 1)
            gate.open()
        assert (await running, await waiting) == ("running", 16)


async def test_a_requests_deadline_holds_for_the_calls_below_it():
    async with Gate() as gate, on_threads(threads=1) as rt:
        now_s = asyncio.get_running_loop().time()
        token = request_deadline.set(now_s + 0.05)
        try:
            with pytest.raises(TaskTimeoutError):
                await rt.run(visit, gate.address, "late")
            request_deadline.set(now_s - 1)
            with pytest.raises(TaskTimeoutError, match="already"):
                await rt.run(square, 2)
        finally:
            request_deadline.reset(token)
            gate.open()


async def test_a_storm_of_cancellations_leaves_nothing_taken():
    async with on_threads(threads=2) as rt:
        for _ in range(20):
            calls = [asyncio.create_task(rt.run(square, n)) for n in range(30)]
            await asyncio.sleep(0)
            for one in calls[::2]:
                one.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        await settled(lambda: rt._life.state.doors["thread"].room.serving == 0)
        lanes = rt.statistics().lanes.values()
        for counts in lanes:
            assert (counts.running, counts.waiting) == (0, 0)
            ended = counts.done + counts.failed + counts.cancelled + counts.killed
            assert counts.admitted == ended
        assert sum(counts.admitted for counts in lanes) == 600


async def test_a_refusal_that_comes_with_a_cancellation_is_missed_by_nobody(caplog):
    door = Door("thread", 1, 10, None)
    first, second = Ticket("t", 0.0), Ticket("t", 0.0)
    await door.enter(first)
    waiting = asyncio.create_task(door.enter(second))
    await asyncio.sleep(0)
    door.end()  # refuses who waits
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    del waiting, second
    gc.collect()
    assert "never retrieved" not in caplog.text


@pytest.mark.parametrize("jump_s", [-1e6, 1e6])
async def test_a_clock_that_jumps_refuses_nobody_for_long(jump_s):
    clock = FakeClock()
    async with Gate() as gate, on_threads(threads=1, clock=clock, queue_timeout_s=30.0) as rt:
        for _ in range(5):
            clock.advance(0.001)
            await rt.run(square, 2)
        running = [asyncio.create_task(rt.run(visit, gate.address, str(n))) for n in range(3)]
        await gate.visited("0")
        await settled(lambda: rt.statistics().waiting == 2)
        clock.advance(jump_s)
        gate.open()
        await asyncio.gather(*running)
        assert await asyncio.gather(*(rt.run(square, n) for n in range(20))) == [
            n * n for n in range(20)
        ]
        counts = rt.statistics().lanes.values()
        assert sum(one.done for one in counts) == 28
        assert not sum(one.shed + one.waiting for one in counts)
        assert all(one.wait_s >= 0 for one in counts)
