"""What crosses to the interpreter lane, what may not come, and how calls tell what happened."""

import asyncio
import functools
import gc
import logging
import math
import threading
import warnings

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

from lanewise.errors import NotPortableError
from lanewise.host.interpreters import why_no_interpreters
from lanewise.lanes.interpreter.imports import refused
from lanewise.model.lane import CallReport, Failed, Terms
from lanewise.testing import calls
from lanewise.testing.gate import Gate

pytestmark = pytest.mark.skipif(
    why_no_interpreters() is not None, reason=why_no_interpreters() or ""
)


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
