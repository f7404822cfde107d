"""What a program that uses a Runtime can count on."""

import asyncio
import contextlib
import functools
import itertools
import threading
import warnings
from concurrent.futures.process import BrokenProcessPool

import pytest
import runtime_jobs as jobs
from runtime_support import (
    BY_SIZE,
    LOCATE,
    lane_of,
    on_one_process,
    on_threads,
    plan_of,
    settled,
)

import lanewise
from lanewise import (
    LanewiseError,
    NotPortableError,
    OverloadedError,
    Runtime,
    TaskTimeoutError,
    WorkerDiedError,
    task,
)
from lanewise.testing import Gate, Leftovers
from lanewise.testing.calls import ExpectedError, describe, raise_expected, square, visit

# --- calls ----------------------------------------------------------------------------------------


async def test_arguments_go_to_the_function_and_none_is_taken_for_the_runtimes_own():
    given = {"fn": 1, "args": 2, "kwargs": 3, "lane": 4, "timeout_s": 5, "task": 6}
    async with on_threads() as rt:
        assert await rt.run(describe, "positional", **given) == (("positional",), given)


async def test_anything_that_can_be_called_can_be_run():
    async with on_one_process() as rt:
        assert await rt.run(len, "four") == 4
        assert await rt.run(jobs.Doubler(1), 4) == 8
        assert await rt.run(jobs.Doubler(2).method, 3) == 12
        assert (await rt.run(jobs.Doubler, 5)).value == 10
        assert await rt.run(functools.partial(pow, 2), 5) == 32


async def test_what_cannot_be_called_is_refused():
    async with on_threads() as rt:
        with pytest.raises(TypeError, match="not callable"):
            await rt.run("not a function")


async def test_the_functions_own_exception_arrives_as_itself():
    async with on_one_process() as rt:
        with pytest.raises(ExpectedError, match="on purpose"):
            await rt.run(raise_expected, "on purpose")


async def test_a_call_that_cannot_cross_runs_on_a_thread_and_says_so_once():
    captured = threading.get_ident()
    async with on_one_process() as rt:
        with pytest.warns(UserWarning, match="runs on the thread lane instead"):
            assert await rt.run(lambda: threading.get_ident() != captured)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert await rt.run(lambda: threading.get_ident() != captured)
        assert len(rt.statistics().fallbacks) == 1


async def test_an_argument_that_cannot_cross_takes_the_call_to_a_thread():
    lock = threading.Lock()
    async with on_one_process() as rt:
        with pytest.warns(UserWarning, match="cannot cross"):
            assert await rt.run(jobs.identity, lock) is lock


async def test_a_call_that_insists_on_processes_and_cannot_cross_is_refused():
    async with on_one_process() as rt:
        with pytest.raises(NotPortableError, match=r"lane='thread'") as refused:
            await rt.with_options(lane="process").run(jobs.identity, threading.Lock())
        assert not refused.value.started
        with pytest.raises(NotPortableError):
            await rt.run(jobs.isolated_with_argument, threading.Lock())


async def test_a_result_that_cannot_cross_is_told_and_the_call_is_not_run_again(tmp_path):
    log = tmp_path / "log"
    async with on_one_process() as rt:
        with pytest.raises(NotPortableError, match="result") as refused:
            await rt.run(jobs.unportable_result, str(log))
        assert refused.value.started
        assert await rt.run(square, 3) == 9
    assert log.read_text() == "ran\n"


async def test_an_exception_that_cannot_be_made_again_is_not_taken_for_a_dead_worker():
    async with on_one_process() as rt:
        _, worker, _ = await rt.run(jobs.locate, 1)
        with pytest.raises((NotPortableError, jobs.TwoPartError)):
            await rt.run(jobs.raise_two_part)
        _, worker_afterwards, _ = await rt.run(jobs.locate, 1)
    assert worker_afterwards == worker


async def test_an_argument_that_the_far_side_cannot_make_is_not_taken_for_a_dead_worker():
    async with on_one_process() as rt:
        _, worker, _ = await rt.run(jobs.locate, 1)
        with pytest.raises(NotPortableError):
            await rt.with_options(lane="process").run(
                jobs.identity, jobs.ArgumentThatDoesNotArrive()
            )
        _, worker_afterwards, _ = await rt.run(jobs.locate, 1)
    assert worker_afterwards == worker


# --- time and room --------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", ["thread", "process"])
async def test_a_call_that_takes_too_long_is_a_timeout_error(lane):
    async with Gate() as gate, on_one_process() as rt:
        try:
            with pytest.raises(TaskTimeoutError, match=r"0\.05 s") as late:
                await rt.with_options(lane=lane, timeout_s=0.05).run(visit, gate.address, "late")
        finally:
            gate.open()  # the runtime waits for what runs
    assert isinstance(late.value, TimeoutError)


async def test_a_tasks_own_timeout_holds_and_one_call_may_have_another():
    async with Gate() as gate, on_threads(threads=2) as rt:
        try:
            with pytest.raises(TaskTimeoutError):
                await rt.run(jobs.stuck, gate.address)
            patient = asyncio.create_task(
                rt.with_options(timeout_s=30).run(jobs.stuck, gate.address)
            )
            await gate.visited("stuck")
        finally:
            gate.open()
        assert await patient == "stuck"


async def test_time_in_the_queue_counts_and_a_call_that_ran_out_of_it_never_starts():
    async with Gate() as gate, on_threads() as rt:
        try:
            running = asyncio.create_task(rt.run(visit, gate.address, "running"))
            await gate.visited("running")
            with pytest.raises(TaskTimeoutError):
                await rt.with_options(timeout_s=0.05).run(visit, gate.address, "late")
        finally:
            gate.open()
        await running
        await rt.run(visit, gate.address, "next")
        assert gate.visits == ["running", "next"]


@pytest.mark.parametrize("lane", ["event_loop", "thread", "process"])
async def test_a_timeout_error_of_the_functions_own_stays_its_own(lane):
    async with on_one_process() as rt:
        with pytest.raises(TimeoutError, match="the database's") as own:
            await rt.with_options(lane=lane, timeout_s=30).run(jobs.own_timeout)
    assert type(own.value) is TimeoutError


async def test_a_call_that_raises_a_timeout_error_is_not_run_again_elsewhere(tmp_path):
    log = tmp_path / "log"
    async with on_one_process() as rt:
        with pytest.raises(TimeoutError, match="the database's"):
            await rt.run(jobs.time_out_and_tell, str(log))
    assert log.read_text() == "ran\n"


@pytest.mark.parametrize("timeout_s", [0, -1])
async def test_a_timeout_that_is_no_time_is_refused(timeout_s):
    with pytest.raises(ValueError, match="timeout_s"):
        on_threads().with_options(timeout_s=timeout_s)


async def test_a_full_queue_refuses_after_its_timeout_and_takes_calls_again_when_there_is_room():
    async with Gate() as gate, on_threads(max_queue=1, queue_timeout_s=0.05) as rt:
        try:
            running = asyncio.create_task(rt.run(visit, gate.address, "running"))
            await gate.visited("running")
            with pytest.raises(OverloadedError, match="max_queue") as refused:
                await rt.run(visit, gate.address, "refused")
            assert refused.value.retry_after_s > 0
            assert (rt.statistics().shed, rt.statistics().waiting) == (1, 0)
        finally:
            gate.open()
        await running
        assert await rt.run(square, 3) == 9
    assert gate.visits == ["running"]


async def test_a_call_waits_for_room_as_long_as_it_takes_when_no_queue_timeout_is_set():
    async with Gate() as gate, on_threads(max_queue=1) as rt:
        try:
            running = asyncio.create_task(rt.run(visit, gate.address, "running"))
            await gate.visited("running")
            waiting = asyncio.create_task(rt.run(square, 3))
            await settled(lambda: rt.statistics().waiting == 1)
        finally:
            gate.open()
        assert (await running, await waiting) == ("running", 9)
        assert rt.statistics().waiting == 0


async def test_a_call_that_is_cancelled_while_it_waits_takes_no_room():
    async with Gate() as gate, on_threads(max_queue=1) as rt:
        try:
            running = asyncio.create_task(rt.run(visit, gate.address, "running"))
            await gate.visited("running")
            waiting = asyncio.create_task(rt.run(visit, gate.address, "cancelled"))
            await settled(lambda: rt.statistics().waiting == 1)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        finally:
            gate.open()
        await running
        assert [await rt.run(square, n) for n in range(3)] == [0, 1, 4]
        assert rt.statistics().waiting == 0
    assert gate.visits == ["running"]


async def test_a_deadline_also_holds_while_waiting_for_room():
    async with Gate() as gate, on_threads(max_queue=1) as rt:
        try:
            running = asyncio.create_task(rt.run(visit, gate.address, "running"))
            await gate.visited("running")
            with pytest.raises(TaskTimeoutError):
                await rt.with_options(timeout_s=0.05).run(square, 3)
        finally:
            gate.open()
        await running


@pytest.mark.parametrize("options", [{"max_queue": 0}, {"threads": 0}, {"processes": 0}])
def test_options_that_allow_nothing_are_refused(options):
    with pytest.raises(ValueError, match="at least 1"):
        Runtime(**options)


# --- map ------------------------------------------------------------------------------------------


async def test_map_yields_in_the_order_of_the_items():
    async with on_one_process() as rt:
        assert [n async for n in rt.map(square, range(20))] == [n * n for n in range(20)]


async def test_map_unordered_yields_what_is_finished_first():
    async with Gate() as gate, on_threads(threads=2) as rt:

        def held_or_not(number):
            return number or visit(gate.address, "zero")

        try:
            results = rt.map(held_or_not, range(6), ordered=False, window=2)
            got = [await anext(results) for _ in range(5)]
        finally:
            gate.open()
        assert sorted(got) == [1, 2, 3, 4, 5]
        assert [rest async for rest in results] == ["zero"]


async def test_map_of_nothing_yields_nothing():
    async with on_threads() as rt:
        assert [one async for one in rt.map(square, [])] == []


async def test_map_reads_no_further_ahead_than_its_window_even_from_an_infinite_source():
    taken = []

    def source():
        for number in itertools.count():
            taken.append(number)
            yield number

    async with on_threads(threads=2) as rt:
        async with contextlib.aclosing(rt.map(square, source(), window=3)) as results:
            async for result in results:
                assert len(taken) <= (result**0.5) + 3
                if result == 100:
                    break
        assert len(taken) <= 13


@pytest.mark.parametrize("window", [0, -1])
async def test_map_refuses_a_window_that_lets_nothing_through(window):
    async with on_threads() as rt:
        with pytest.raises(ValueError, match="window"):
            await anext(rt.map(square, [1], window=window))


async def test_leaving_a_map_early_cancels_what_has_not_started():
    async with Gate() as gate, on_threads() as rt:
        names = ["first", "second", "third", "fourth"]
        async with contextlib.aclosing(
            rt.map(functools.partial(visit, gate.address), names, window=4)
        ) as results:
            one = asyncio.create_task(anext(results))
            await gate.visited("first")
            one.cancel()
            await asyncio.gather(one, return_exceptions=True)
        gate.open()
        await rt.run(visit, gate.address, "after")
        counts = rt.statistics().lanes["thread"]
        assert gate.visits == ["first", "after"]
        assert counts.running == 0


async def test_an_item_that_fails_ends_the_map_with_its_exception_and_cancels_the_rest():
    async with on_threads(threads=2) as rt:
        results = rt.map(jobs.reciprocal, itertools.chain([1, 2, 0], itertools.count(3)))
        assert [await anext(results) for _ in range(2)] == [1, 0.5]
        with pytest.raises(ZeroDivisionError):
            await anext(results)
        assert rt.statistics().lanes["thread"].running == 0
        assert await rt.run(square, 3) == 9


async def test_a_source_that_fails_ends_the_map_with_its_exception():
    def source():
        yield 1
        raise ExpectedError("no more")

    async with on_threads() as rt:
        with pytest.raises(ExpectedError, match="no more"):
            async for _ in rt.map(square, source()):
                pass
        assert not any(counts.running for counts in rt.statistics().lanes.values())


# --- statistics -----------------------------------------------------------------------------------


async def test_every_admitted_call_is_counted_once_by_how_it_ended():
    async with Gate() as gate, on_threads() as rt:
        try:
            await rt.run(square, 2)
            with pytest.raises(ExpectedError):
                await rt.run(raise_expected, "on purpose")
            abandoned, queued, running = (
                asyncio.create_task(rt.run(visit, gate.address, name))
                for name in ("abandoned", "queued", "running")
            )
            await gate.visited("abandoned")
            for one in (abandoned, queued):
                one.cancel()
            await asyncio.gather(abandoned, queued, return_exceptions=True)
            seen = rt.statistics().lanes["thread"]
        finally:
            gate.open()
        await running
        last = rt.statistics().lanes["thread"]
    for counts in (seen, last):
        ended = counts.done + counts.failed + counts.cancelled + counts.killed
        assert counts.admitted == ended + counts.running + counts.waiting == 5
    assert (seen.done, seen.failed, seen.running, seen.waiting) == (1, 1, 0, 1)
    assert (last.done, last.running) == (2, 0)
    assert (seen.cancelled, seen.abandoned) == (2, 1), "one was queued, one ran"


async def test_statistics_are_a_snapshot_that_does_not_change():
    async with on_threads() as rt:
        await rt.run(square, 2)
        before = rt.statistics()
        await rt.run(square, 2)
        assert before.lanes["thread"].admitted == 1
        assert rt.statistics().lanes["thread"].admitted == 2


# --- lifetime -------------------------------------------------------------------------------------


async def test_run_without_a_runtime_uses_the_active_one():
    async with on_threads() as rt:
        assert await lanewise.run(square, 3) == 9
        assert await asyncio.create_task(lanewise.run(square, 4)) == 16
        assert rt.statistics().lanes["thread"].done == 2


async def test_run_without_an_active_runtime_says_what_to_do():
    with pytest.raises(LanewiseError, match="async with"):
        await lanewise.run(square, 3)
    async with on_threads():
        pass
    with pytest.raises(LanewiseError, match="async with"):
        await lanewise.run(square, 3)


async def test_two_runtimes_keep_apart_and_the_inner_one_is_active():
    async with on_threads(plan=plan_of(LOCATE, *BY_SIZE)) as outer:
        async with on_threads() as inner:
            assert lane_of(await outer.run(jobs.locate, 10)) == "event_loop"
            assert lane_of(await inner.run(jobs.locate, 10)) == "thread"
            assert lane_of(await lanewise.run(jobs.locate, 10)) == "thread"
        assert lane_of(await lanewise.run(jobs.locate, 10)) == "event_loop"
        assert set(outer.statistics().lanes) == {"event_loop"}


async def test_two_runtimes_with_processes_end_independently():
    async with on_one_process() as outer:
        async with on_one_process() as inner:
            _, inner_worker, _ = await inner.run(jobs.locate, 1)
        _, outer_worker, _ = await outer.run(jobs.locate, 1)
    assert inner_worker != outer_worker


async def test_entering_a_runtime_twice_is_refused_and_harms_nothing():
    async with on_threads() as rt:
        with pytest.raises(LanewiseError, match="entered already"):
            await rt.__aenter__()
        assert await rt.run(square, 3) == 9


async def test_a_runtime_that_is_not_entered_says_so():
    rt = on_threads()
    for use in (rt.statistics, lambda: rt.explain(square, 2)):
        with pytest.raises(LanewiseError, match="async with"):
            use()
    with pytest.raises(LanewiseError, match="async with"):
        await rt.run(square, 2)
    async with rt:
        pass
    with pytest.raises(LanewiseError, match="async with"):
        await rt.run(square, 2)


async def test_a_view_with_options_shares_the_runtimes_life():
    """A view may be made where the runtime is made, before it is entered."""
    rt = on_threads()
    view = rt.with_options(lane="event_loop")
    async with rt:
        assert await view.run(square, 3) == 9
        inside = rt.with_options(lane="thread")
    for stale in (view, inside):
        with pytest.raises(LanewiseError, match="async with"):
            await stale.run(square, 3)


async def test_a_worker_that_dies_fails_its_call_and_the_next_ones_work():
    async with on_one_process() as rt:
        with pytest.raises(WorkerDiedError, match="die") as died:
            await rt.run(jobs.die)
        assert isinstance(died.value, BrokenProcessPool)
        assert await rt.run(square, 3) == 9
        with pytest.raises(WorkerDiedError):
            await rt.run(jobs.die)
        assert [n async for n in rt.map(square, range(4))] == [0, 1, 4, 9]


async def test_a_call_made_while_dead_workers_are_replaced_waits_for_the_new_ones():
    async with on_one_process() as rt:

        async def die_then_work():
            with contextlib.suppress(WorkerDiedError):
                await rt.run(jobs.die)
            return await rt.run(square, 3)

        assert await asyncio.gather(*(die_then_work() for _ in range(3))) == [9, 9, 9]


async def test_a_worker_that_dies_fails_no_other_call():
    async with Gate() as gate, Runtime(processes=2, threads=1) as rt:
        beside = asyncio.create_task(rt.run(visit, gate.address, "beside"))
        await gate.visited("beside")
        with pytest.raises(WorkerDiedError):
            await rt.run(jobs.die)
        gate.open()
        assert await beside == "beside"


async def enter_and_use(**options):
    async with Runtime(processes=2, threads=2, **options) as rt:
        await asyncio.gather(
            rt.run(square, 2),
            rt.with_options(lane="thread").run(square, 2),
            rt.with_options(lane="event_loop").run(square, 2),
        )


def left_behind(make_scenario):
    """What a scenario leaves running, beside what multiprocessing starts once and keeps."""
    asyncio.run(enter_and_use())
    before = Leftovers.now()
    asyncio.run(make_scenario())
    return Leftovers.now().since(before)


def test_leaving_a_runtime_leaves_no_thread_and_no_process_behind():
    left = left_behind(enter_and_use)
    assert not left, str(left)


def test_an_exception_inside_leaves_no_thread_and_no_process_behind():
    async def scenario():
        with pytest.raises(ExpectedError):
            async with on_one_process() as rt:
                await rt.run(raise_expected, "on purpose")

    left = left_behind(scenario)
    assert not left, str(left)


def test_a_worker_that_dies_leaves_no_thread_and_no_process_behind():
    async def scenario():
        async with on_one_process() as rt:
            with pytest.raises(WorkerDiedError):
                await rt.run(jobs.die)

    left = left_behind(scenario)
    assert not left, str(left)


@pytest.mark.parametrize("options", [{"lanes": ("process", "bogus")}, {"start_method": "fork"}])
def test_an_impossible_option_is_refused_and_leaves_nothing_behind(options):
    async def scenario():
        with pytest.raises(ValueError, match=r"bogus|fork"):
            async with Runtime(processes=1, **options):
                pass

    left = left_behind(scenario)
    assert not left, str(left)


def test_being_cancelled_while_it_is_entered_leaves_nothing_behind():
    async def scenario():
        entering = asyncio.create_task(on_one_process().__aenter__())
        await asyncio.sleep(0)  # it has begun to start its workers
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering

    left = left_behind(scenario)
    assert not left, str(left)


async def test_leaving_waits_for_what_runs():
    async with Gate() as gate:
        async with on_threads() as rt:
            running = asyncio.create_task(rt.run(visit, gate.address, "running"))
            await gate.visited("running")
            asyncio.get_running_loop().call_soon(gate.open)  # when this task begins to wait
        assert await running == "running"


async def test_a_runtime_can_be_left_by_another_task_than_the_one_that_entered_it():
    """Frameworks do so between start-up and shut-down hooks, and so do fixtures of tests."""
    rt = on_threads()
    await asyncio.create_task(rt.__aenter__())
    assert await rt.run(square, 3) == 9
    await asyncio.create_task(rt.__aexit__(None, None, None))
    with pytest.raises(LanewiseError, match="async with"):
        await rt.run(square, 3)


def test_a_task_stays_a_plain_function_without_any_runtime():
    @task
    def double(number: int) -> int:
        return number * 2

    assert double(4) == 8
    assert jobs.locate(1)[0] == "default"
