"""What the interpreter lane promises when calls import, share memory, hang, or outlive their lane."""

import asyncio
import contextlib
import functools
import gc
import logging
import math
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path

import imports_refused
import interpreter_jobs as jobs
import pytest

from lanewise import Executor, Runtime
from lanewise.errors import LaneUnavailableError, NotPortableError
from lanewise.host.interpreters import standard_interpreters, why_no_interpreters
from lanewise.lanes.interpreter import InterpreterLane
from lanewise.lanes.interpreter.imports import refused
from lanewise.model.lane import CallReport, Failed, Terms, abandoned_call, was_abandoned
from lanewise.testing import calls
from lanewise.testing.gate import Gate
from lanewise.testing.leftovers import Leftovers

pytestmark = pytest.mark.skipif(
    why_no_interpreters() is not None, reason=why_no_interpreters() or ""
)

PATIENCE_S = 60
LARGE_BYTES = 10_000_000


@contextlib.asynccontextmanager
async def opened(count=2, **options):
    lane = InterpreterLane(count, **options)
    await lane.open()
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield lane
    finally:
        await lane.close()


async def run(lane, function, *args, **kwargs):
    return await lane.run(function, "default", args, kwargs)


async def raised(awaitable):
    try:
        result = await awaitable
    except asyncio.CancelledError as error:
        return error
    except Exception as error:
        return error
    raise AssertionError(f"nothing was raised; the result was {result!r}")


def program(source, **options):
    """Run a program of its own, to its end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", textwrap.dedent(source)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        **options,
    )


def open_descriptors():
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


@pytest.fixture(autouse=True)
def no_interpreter_is_left():
    """Interpreters, threads and descriptors are as they were."""
    ids = {one.id for one in standard_interpreters().list_all()}
    before, descriptors = Leftovers.now(), open_descriptors()
    yield
    gc.collect()
    for thread in threading.enumerate():  # what was let go by the test's last line
        if thread.name.startswith("lanewise-interpreter"):
            thread.join(PATIENCE_S)
    assert {one.id for one in standard_interpreters().list_all()} == ids
    assert not Leftovers.now().since(before)
    assert len(open_descriptors() - descriptors) <= 1  # the listing's own


# --- memory -----------------------------------------------------------------------------------------


async def test_a_buffer_arrives_without_a_copy():
    """What the caller writes while the call waits is seen by the call: it is the same memory."""
    data = bytearray(LARGE_BYTES)
    async with opened(1) as lane, Gate() as gate:
        running = asyncio.ensure_future(
            run(lane, jobs.first_byte_when_let_go, gate.address, memoryview(data))
        )
        await gate.visited("arrived")
        data[0] = 7
        gate.open()
        assert await running == ("memoryview", True, LARGE_BYTES, 7)


async def test_a_call_cannot_write_to_its_callers_buffer():
    data = bytearray(LARGE_BYTES)
    async with opened(1) as lane:
        error = await raised(run(lane, jobs.write_to, memoryview(data)))
    assert isinstance(error, TypeError)
    assert data[0] == 0


@pytest.mark.parametrize("size", [0, 1, 5_000, 70_000, 3_000_000])
async def test_values_of_every_size_come_back_equal(size):
    async with opened(1) as lane:
        for value in (b"x" * size, "é" * size, bytearray(size), [b"x" * size, {"y": "z" * size}]):
            back = await run(lane, calls.same, value)
            assert back == value
            assert type(back) is type(value)
        view = await run(lane, calls.same, memoryview(bytes(size)))
        assert (type(view), view.nbytes, view.readonly) == (memoryview, size, True)


async def test_views_keep_their_format_and_shape():
    cells = memoryview(bytes(range(240))).cast("B", (4, 60))
    async with opened(1) as lane:
        assert (await run(lane, calls.same, cells)).tolist() == cells.tolist()
        odd = memoryview(bytes(range(100)))[::2]
        assert (await run(lane, calls.same, odd)).tobytes() == odd.tobytes()
        numbers = await run(lane, jobs.numbers, 500_000)
        assert (numbers.format, numbers.shape) == ("d", (500_000,))
        assert await run(lane, jobs.length, value=memoryview(b"abc")) == 3


async def test_results_outlive_the_interpreter_that_made_them():
    async with opened(1) as lane:
        text = await run(lane, jobs.text, 500_000)
        numbers = await run(lane, jobs.numbers, 500_000)
    assert text["text"] == "é" * 500_000
    assert text["data"][1] == b"y" * 500_000
    assert math.fsum(numbers) == 0


async def test_arguments_that_a_call_keeps_outlive_their_caller():
    async with opened(1) as lane:
        for count in range(1, 4):
            assert await run(lane, jobs.kept, memoryview(bytes(LARGE_BYTES))) == count
            gc.collect()


async def test_shared_objects_are_sent_once_and_dropped_with_their_handle():
    async with opened(2) as lane:
        for size in (10, 1_000_000):
            handle = lane.handles.share(b"s" * size)
            lengths = [run(lane, jobs.length, handle) for _ in range(20)]
            lengths.append(lane.run(calls.describe, "default", ([handle],), {}))
            got = await asyncio.gather(*lengths)
            assert got[:-1] == [size] * 20
            assert got[-1] == ((([b"s" * size],)), {})
            del handle, lengths
            gc.collect()
            assert await run(lane, calls.square, 2) == 4


# --- what cannot come -------------------------------------------------------------------------------


async def test_a_function_whose_module_needs_a_refused_extension_is_not_portable():
    async with opened(1) as lane:
        for _ in range(2):
            error = await raised(run(lane, imports_refused.answer))
            assert isinstance(error, NotPortableError)
            assert not error.started
            assert "imports_refused" in str(error)
            assert "faulthandler" in str(error)
        assert await run(lane, calls.square, 3) == 9


async def test_an_import_that_would_kill_the_process_is_tried_elsewhere():
    kills_interpreters = pytest.importorskip("kills_interpreters")
    async with opened(1) as lane:
        several = [raised(run(lane, kills_interpreters.answer)) for _ in range(4)]
        for error in await asyncio.gather(*several):
            assert isinstance(error, NotPortableError)
            assert "signal 9" in str(error)
            assert not error.started


async def test_an_extension_that_is_imported_late_is_remembered():
    async with opened(1) as lane:
        assert await run(lane, jobs.imports_late, "well") == "went well"
        first = await raised(run(lane, jobs.imports_late))
        again = await raised(run(lane, jobs.imports_late))
    assert [type(one) for one in (first, again)] == [NotPortableError, NotPortableError]
    assert (first.started, again.started) == (True, False)
    assert "faulthandler" in str(first)
    assert isinstance(first.__cause__, ImportError)


@pytest.mark.parametrize("name", ["numpy", "orjson"])
async def test_known_packages_are_refused(name):
    module = pytest.importorskip(name)
    function = module.arange if name == "numpy" else module.dumps
    async with opened(1) as lane:
        error = await raised(run(lane, function, 3))
    assert isinstance(error, NotPortableError), repr(error)
    assert name in str(error)
    assert not error.started


def test_refusals_are_told_in_one_line():
    words = (
        "READ THIS\n\nOriginal error was: module a._b does not support loading in subinterpreters\n"
    )
    assert refused(words).startswith("loads a._b, an extension that does not support")
    assert "\n" not in refused(words)


async def test_what_cannot_be_pickled_is_told_with_its_place_before_the_call():
    lock = threading.Lock()
    async with opened(1) as lane:
        error = await raised(run(lane, calls.describe, 1, {"deep": [lock]}))
        assert isinstance(error, NotPortableError)
        assert not error.started
        assert "args[1]['deep'][0]" in str(error)
        local = await raised(run(lane, lambda: 1))
        assert isinstance(local, NotPortableError)
        assert "the function" in str(local)
        late = await raised(run(lane, jobs.make_lock))
        assert isinstance(late, NotPortableError)
        assert late.started


async def test_callables_of_every_kind_come():
    async with opened(1) as lane:
        assert await run(lane, functools.partial(calls.square, 4)) == 16
        assert await run(lane, "a,b".split, ",") == ["a", "b"]
        assert await run(lane, math.sqrt, 16) == 4
        assert await run(lane, dict.fromkeys, "ab") == {"a": None, "b": None}


# --- errors and what calls say ----------------------------------------------------------------------


async def test_exceptions_arrive_as_themselves():
    async with opened(1) as lane:
        pair = await raised(run(lane, jobs.raise_pair))
        assert (type(pair), pair.args, pair.extra) == (jobs.PairError, (1, "two"), [1, "two"])
        assert pair.__notes__ == ["a note"]
        group = await raised(run(lane, jobs.raise_group))
        assert [type(one) for one in group.exceptions] == [ValueError, jobs.PairError]
        stubborn = await raised(run(lane, jobs.raise_stubborn))
        assert isinstance(stubborn, NotPortableError)
        assert stubborn.started
        left = await raised(run(lane, jobs.leave))
        assert type(left) is RuntimeError
        assert "SystemExit" in str(left)


async def test_log_records_and_warnings_come_back(caplog, capfd):
    async with opened(1) as lane:
        with caplog.at_level(logging.WARNING), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            await run(lane, jobs.says_things)
            await run(lane, calls.square, 1)
    assert "logged over there" in caplog.text
    assert [str(one.message) for one in caught] == ["warned over there"]
    assert "printed over there" in capfd.readouterr().out


async def test_named_context_variables_come_along():
    async with opened(2, propagate=["interpreter_jobs:REQUEST"]) as lane:

        async def one(value):
            jobs.REQUEST.set(value)
            return await run(lane, jobs.request)

        values = [f"request {number}" for number in range(20)]
        assert await asyncio.gather(*map(one, values)) == values


async def test_a_report_says_what_a_call_cost():
    async with opened(1) as lane:
        report = CallReport()
        terms = Terms(report=report)
        await lane.run(jobs.burns, "default", (200_000,), {}, terms)
        assert 0 < report.cpu_s <= report.run_s * 1.5
        assert report.near_s >= 0
        assert report.args_bytes > 0
        assert report.result_bytes > 0
        large = CallReport()
        await lane.run(calls.same, "default", (bytes(LARGE_BYTES),), {}, Terms(report=large))
        assert large.args_bytes >= LARGE_BYTES
        assert large.result_bytes >= LARGE_BYTES


async def test_a_chunk_tells_what_each_item_gave():
    async with opened(1) as lane:
        results, run_time_s = await lane.run_chunk(jobs.fails_at, "default", range(6))
        assert [one for one in results if not isinstance(one, Failed)] == [0, 1, 4, 16, 25]
        assert type(results[3].error) is jobs.PairError
        assert run_time_s >= 0
        many, _ = await lane.run_chunk(calls.same, "default", [b"x" * 1_000] * 500)
        assert many == [b"x" * 1_000] * 500
        views, _ = await lane.run_chunk(jobs.views_of, "default", range(3))
        assert [bytes(one) for one in views] == [bytes([n]) * 10 for n in range(3)]
        locks, _ = await lane.run_chunk(jobs.make_lock, "default", [1, 2])
        assert [type(one.error) for one in locks] == [NotPortableError, NotPortableError]


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
        cost = state.router._calibration.lanes["interpreter"]
        assert cost.dispatch_s > 0
        assert cost.transfer_bytes_per_s > 0


def test_an_executor_may_name_it():
    with Executor(2, lane="interpreter") as pool:
        assert list(pool.map(calls.square, range(20))) == [n * n for n in range(20)]
        assert isinstance(pool.submit(jobs.raise_pair).exception(), jobs.PairError)
