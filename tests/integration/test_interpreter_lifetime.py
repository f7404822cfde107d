"""What the interpreter lane promises when calls are many, are cancelled, hang, or outlive their lane."""

import asyncio
import gc
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import imports_refused
import interpreter_jobs as jobs
import pytest
from interpreter_support import (  # noqa: F401
    LARGE_BYTES,
    PATIENCE_S,
    no_interpreter_is_left,
    open_descriptors,
    opened,
    program,
    raised,
    run,
)

from lanewise import Executor, Runtime
from lanewise.errors import LaneUnavailableError
from lanewise.host.interpreters import standard_interpreters, why_no_interpreters
from lanewise.lanes.interpreter import InterpreterLane
from lanewise.model.lane import Terms, abandoned_call, was_abandoned
from lanewise.testing import calls
from lanewise.testing.gate import Gate

pytestmark = pytest.mark.skipif(
    why_no_interpreters() is not None, reason=why_no_interpreters() or ""
)


# --- many at once, and cancelled --------------------------------------------------------------------


async def test_a_thousand_calls_in_flight():
    async with opened(2) as lane:
        got = await asyncio.gather(*(run(lane, calls.square, number) for number in range(1_000)))
    assert got == [number * number for number in range(1_000)]


async def test_a_storm_of_cancellations_leaves_every_other_call_alone():
    chance = random.Random(7)
    async with opened(2) as lane:
        for _ in range(5):
            tasks = [asyncio.ensure_future(run(lane, calls.square, n)) for n in range(200)]
            cancelled = {n for n in range(200) if chance.random() < 0.5}
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)
            for number in cancelled:
                tasks[number].cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            for number, outcome in enumerate(outcomes):
                if number in cancelled:
                    assert isinstance(outcome, (int, asyncio.CancelledError))
                else:
                    assert outcome == number * number


async def test_an_abandoned_call_keeps_its_interpreter_and_tells_its_end():
    async with opened(1) as lane, Gate() as gate:
        running = asyncio.ensure_future(run(lane, calls.visit, gate.address, "running"))
        await gate.visited("running")
        running.cancel()
        error = await raised(running)
        assert was_abandoned(error)
        ended = asyncio.get_running_loop().create_future()
        abandoned_call(error).add_done_callback(lambda _: ended.set_result(None))
        waits = asyncio.ensure_future(run(lane, calls.square, 3))
        await asyncio.sleep(0)
        assert not ended.done()
        gate.open()
        await ended
        assert await waits == 9


async def test_a_queued_call_that_is_cancelled_is_not_abandoned():
    async with opened(1) as lane, Gate() as gate:
        running = asyncio.ensure_future(run(lane, calls.visit, gate.address, "running"))
        await gate.visited("running")
        queued = asyncio.ensure_future(run(lane, calls.visit, gate.address, "queued"))
        await asyncio.sleep(0)
        queued.cancel()
        assert not was_abandoned(await raised(queued))
        gate.open()
        await running
        assert gate.visits == ["running"]


async def test_a_consumer_that_is_cancelled_ends_its_stream():
    async with opened(1) as lane, Gate() as gate:
        items = lane.stream(calls.count_and_tell, "default", (gate.address,), {})

        async def consume():
            async for _ in items:
                if not gate.visits:
                    await asyncio.sleep(0)

        consumer = asyncio.ensure_future(consume())
        for _ in range(20):
            await asyncio.sleep(0)
        gate.open()
        consumer.cancel()
        await raised(consumer)
        await items.aclose()
        assert await run(lane, calls.square, 3) == 9


# --- lifetime ---------------------------------------------------------------------------------------


async def test_two_lanes_at_once():
    async with opened(1) as one, opened(2) as other:
        firsts = [run(one, calls.square, number) for number in range(50)]
        seconds = [run(other, calls.square, number) for number in range(50)]
        assert await asyncio.gather(*firsts, *seconds) == [n * n for n in range(50)] * 2
        assert len(standard_interpreters().list_all()) >= 1 + 3


async def test_opening_that_is_cancelled_leaves_nothing():
    lane = InterpreterLane(2)
    opening = asyncio.ensure_future(lane.open())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    opening.cancel()
    assert isinstance(await raised(opening), asyncio.CancelledError)
    await lane.close()


async def test_closing_leaves_a_call_to_itself_whose_time_is_over(caplog):
    lane = InterpreterLane(2)
    await lane.open()
    async with Gate() as gate:
        running = asyncio.ensure_future(run(lane, calls.visit, gate.address, "running"))
        await gate.visited("running")
        queued = asyncio.ensure_future(run(lane, calls.visit, gate.address, "beside"))
        await gate.visited("beside")
        await lane.close(0)
        for one in (running, queued):
            error = await raised(one)
            assert isinstance(error, LaneUnavailableError)
            assert "visit" in str(error)
        gate.open()
    assert "2 call(s) in interpreters did not end" in caplog.text


async def test_a_call_that_outlives_its_lane_does_not_disturb_the_next_lane():
    """Descriptors are used again: what ends late must not take the next one's for its own."""
    first = InterpreterLane(1)
    await first.open()
    async with Gate() as gate:
        running = asyncio.ensure_future(run(first, calls.visit, gate.address, "running"))
        await gate.visited("running")
        (thread,) = [one for one in threading.enumerate() if "lanewise-interp" in one.name]
        await first.close(0)
        await raised(running)
        async with opened(2) as second:
            gate.open()
            await asyncio.to_thread(thread.join)
            got = await asyncio.gather(*(run(second, calls.square, n) for n in range(20)))
    assert got == [n * n for n in range(20)]


async def test_a_stream_that_waits_for_its_consumer_does_not_keep_the_lane_open():
    lane = InterpreterLane(1)
    await lane.open()
    items = lane.stream(calls.count_up, "default", (10_000,), {})
    assert await anext(items) == 0
    await lane.close(0)
    assert isinstance(await raised(_rest_of(items)), LaneUnavailableError)


async def _rest_of(items):
    async for _ in items:
        pass


async def test_an_interpreter_that_is_lost_costs_its_call_and_is_replaced(caplog):
    async with opened(1) as lane:
        error = await raised(run(lane, jobs.cut_the_line))
        assert isinstance(error, LaneUnavailableError)
        assert await run(lane, calls.square, 3) == 9
    assert "its line was cut" in caplog.text


async def test_a_lane_that_is_opened_and_closed_often_keeps_no_descriptor():
    for _ in range(5):
        async with opened(1) as lane:
            assert await run(lane, calls.same, bytes(100_000)) == bytes(100_000)


def test_a_program_that_forgets_to_close_its_lane_ends():
    done = program(
        """
        import asyncio
        from lanewise.lanes.interpreter import InterpreterLane
        from lanewise.testing import calls

        async def main():
            lane = InterpreterLane(2)
            await lane.open()
            print(await lane.run(calls.square, "default", (3,), {}))

        asyncio.run(main())
        """
    )
    assert (done.returncode, done.stdout) == (0, "9\n"), done.stderr
    assert "remaining subinterpreters" not in done.stderr


def test_functions_of_the_program_itself_come(tmp_path):
    path = Path(tmp_path, "prog.py")
    path.write_text(
        textwrap.dedent(
            """
            import asyncio
            from lanewise.lanes.interpreter import InterpreterLane

            def twice(number):
                return 2 * number

            async def main():
                lane = InterpreterLane(1)
                await lane.open()
                print(await lane.run(twice, "default", (3,), {}))
                await lane.close()

            if __name__ == "__main__":
                asyncio.run(main())
            """
        )
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, str(path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "6\n"), done.stderr


def test_a_fork_beside_live_interpreters_is_warned_of_once():
    done = program(
        """
        import asyncio, os, warnings
        from lanewise.lanes.interpreter import InterpreterLane

        def fork():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                pid = os.fork()
                if not pid:
                    os._exit(0)
                os.waitpid(pid, 0)
            return ["live interpreters" in str(one.message) for one in caught].count(True)

        async def main():
            before = fork()
            lane = InterpreterLane(1)
            await lane.open()
            during = fork(), fork()
            await lane.close()
            print(before, *during, fork())

        asyncio.run(main())
        """
    )
    assert (done.returncode, done.stdout) == (0, "0 1 0 0\n"), done.stderr


async def test_a_deadline_reaches_the_call_and_is_not_enforced_by_the_lane():
    async with opened(1) as lane:
        terms = Terms(deadline=time.monotonic() - 1)
        assert await lane.run(calls.remaining_s, "default", (), {}, terms) < 0


# --- in a runtime -----------------------------------------------------------------------------------


def lanes_of(rt, name):
    return {lane for task, lane, _ in rt.statistics().routes if task.endswith(name)}


async def test_a_runtime_opens_it_where_it_is_asked_for():
    async with Runtime(lanes=("event_loop", "thread", "interpreter"), processes=2) as rt:
        assert rt.parallelism("interpreter") == 2
        pinned = rt.with_options(lane="interpreter")
        assert await pinned.run(calls.square, 4) == 16
        assert [item async for item in pinned.stream(calls.count_up, 30)] == list(range(30))
        squares = [one async for one in pinned.map(calls.square, range(100))]
        assert squares == [n * n for n in range(100)]
        # What nobody knows goes where it cannot keep the loop.
        assert await rt.run(jobs.burns, 10) == 285
        assert lanes_of(rt, "burns") == {"interpreter"}
        handle = rt.share(b"z" * 500_000)
        assert await pinned.run(jobs.length, handle) == 500_000
        del handle
        gc.collect()
    async with Runtime() as rt:
        with pytest.raises(LaneUnavailableError):
            await rt.with_options(lane="interpreter").run(calls.square, 4)


async def test_what_asks_for_isolation_may_run_there():
    async with Runtime(lanes=("thread", "interpreter"), processes=1) as rt:
        assert await rt.run(jobs.isolated, 3) == 9
        assert lanes_of(rt, "isolated") == {"interpreter"}


async def test_what_cannot_come_runs_elsewhere_and_is_told_once():
    async with Runtime(lanes=("thread", "interpreter"), processes=1) as rt:
        with pytest.warns(UserWarning, match="runs on the thread lane instead"):
            await rt.run(imports_refused.answer)
        for _ in range(4):  # a second warning would be an error
            await rt.run(imports_refused.answer)
        lanes = rt.statistics().lanes
        assert lanes["thread"].done == 5
        assert 1 <= lanes["interpreter"].failed <= 3  # then it is not tried any more


async def test_its_cost_is_calibrated():
    async with Runtime(lanes=("thread", "interpreter"), processes=1) as rt:
        state = rt._entered()
        cost = state.router.host_costs.calibration.lanes["interpreter"]
        assert cost.dispatch_s > 0
        assert cost.transfer_bytes_per_s > 0


def test_an_executor_may_name_it():
    with Executor(2, lane="interpreter") as pool:
        assert list(pool.map(calls.square, range(20))) == [n * n for n in range(20)]
        assert isinstance(pool.submit(jobs.raise_pair).exception(), jobs.PairError)
