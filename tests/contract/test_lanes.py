"""Every lane of ours passes the contract that is asked of anybody's."""

import asyncio

import pytest

from lanewise import Runtime
from lanewise.errors import LaneUnavailableError
from lanewise.host.interpreters import why_no_interpreters
from lanewise.lanes.event_loop import EventLoopLane
from lanewise.lanes.interpreter import InterpreterLane
from lanewise.lanes.process import ProcessLane
from lanewise.lanes.thread import ThreadLane
from lanewise.testing import InlineLane, LaneContract, calls

# What is there against standstills must not run out where this process stands still itself.
PATIENCE_S = 80.0


@pytest.fixture(autouse=True)
def _streams_have_time_to_close(monkeypatch):
    """A generator that is slow to close is killed, or left alone, after a second otherwise."""
    monkeypatch.setattr("lanewise.lanes.process.lane._STREAM_CLOSE_S", PATIENCE_S / 2)
    monkeypatch.setattr("lanewise.lanes.interpreter.lane._STREAM_CLOSE_S", PATIENCE_S / 2)


class TestEventLoopLane(LaneContract):
    patience_s = PATIENCE_S
    blocks_the_loop = True

    def make_lane(self, workers):
        return EventLoopLane()


class TestThreadLane(LaneContract):
    patience_s = PATIENCE_S

    def make_lane(self, workers):
        return ThreadLane(workers)


class TestProcessLane(LaneContract):
    patience_s = PATIENCE_S
    shares_memory = False
    stops_calls = True
    survives_crashes = True

    def make_lane(self, workers):
        return ProcessLane(workers)


class SpawnedProcessLane(TestProcessLane):
    def make_lane(self, workers):
        return ProcessLane(workers, start_method="spawn")


@pytest.mark.parametrize(
    "promise",
    [
        "test_gives_each_of_many_callers_its_own_result",
        "test_leaves_no_thread_and_no_process_behind",
        "test_runs_the_variant_that_is_asked_for",
        "test_shows_where_the_function_raised",
    ],
)
def test_workers_that_are_spawned_keep_the_promise(promise):
    getattr(SpawnedProcessLane(), promise)()


@pytest.mark.skipif(why_no_interpreters() is not None, reason=why_no_interpreters() or "")
class TestInterpreterLane(LaneContract):
    patience_s = PATIENCE_S
    shares_memory = False
    shares_process = True

    def make_lane(self, workers):
        return InterpreterLane(workers)


def test_where_there_are_no_interpreters_the_lane_says_why():
    if why_no_interpreters() is None:
        pytest.skip("there are some")

    async def scenario():
        lane = InterpreterLane(1)
        with pytest.raises(LaneUnavailableError) as caught:
            await lane.open()
        await lane.close()
        return caught.value

    error = asyncio.run(scenario())
    assert error.reasons == {"interpreter": why_no_interpreters()}
    assert "Use the" in str(error)


def test_a_runtime_goes_on_without_interpreters_and_says_so():
    if why_no_interpreters() is None:
        pytest.skip("there are some")

    async def scenario():
        with pytest.warns(UserWarning, match="goes on without its interpreter lane"):
            rt = await Runtime(lanes=("thread", "interpreter")).__aenter__()
        try:
            assert await rt.run(calls.square, 3) == 9
            with pytest.raises(LaneUnavailableError) as caught:
                await rt.with_options(lane="interpreter").run(calls.square, 3)
            assert caught.value.reasons == {"interpreter": why_no_interpreters()}
        finally:
            await rt.__aexit__(None, None, None)

    asyncio.run(scenario())


class TestInlineLane(LaneContract):
    patience_s = PATIENCE_S
    blocks_the_loop = True

    def make_lane(self, workers):
        return InlineLane()

    def test_records_what_was_called_and_what_came_of_it(self):
        async def scenario():
            lane = InlineLane("process")
            await lane.open()
            await lane.run(calls.greet, "loud", ("Ada",), {"greeting": "hi"})
            with pytest.raises(calls.ExpectedError):
                await lane.run(calls.raise_expected, "default", ("no",), {})
            return lane

        lane = asyncio.run(scenario())
        good, bad = lane.calls
        assert lane.name == "process"
        assert (good.function, good.variant, good.args) == (calls.greet, "loud", ("Ada",))
        assert (good.kwargs, good.result, good.error) == ({"greeting": "hi"}, "HI ADA, LOUD", None)
        assert (bad.result, type(bad.error)) == (None, calls.ExpectedError)

    def test_keeps_its_record_when_it_is_closed_and_records_no_refused_call(self):
        async def scenario():
            lane = InlineLane()
            await lane.open()
            await lane.run(calls.square, "default", (2,), {})
            await lane.close()
            with pytest.raises(LaneUnavailableError):
                await lane.run(calls.square, "default", (3,), {})
            return lane

        assert [call.args for call in asyncio.run(scenario()).calls] == [(2,)]


def test_fork_is_refused_as_a_start_method():
    with pytest.raises(ValueError, match="fork is unsafe"):
        ProcessLane(1, start_method="fork")
