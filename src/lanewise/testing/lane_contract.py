"""What every lane promises, as tests that a lane's author runs against it.

::

    class TestThreadLane(LaneContract):
        def make_lane(self, workers: int) -> Lane:
            return ThreadLane(workers)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, ClassVar, TypeVar

from lanewise.errors import LaneUnavailableError, WorkerDiedError
from lanewise.model.lane import LANE_NAMES, Lane, Terms
from lanewise.model.task import DEFAULT_VARIANT
from lanewise.testing import calls
from lanewise.testing.gate import Gate
from lanewise.testing.leftovers import Leftovers

T = TypeVar("T")

# Longer than any call here takes on any machine; only a call that never ends waits so long.
_PATIENCE_S = 20.0
_MANY_CALLS = 64
_TURNS = 50


class LaneContract:
    """Subclass it, name the subclass ``Test...``, and say how the lane is made.

    Every test makes a lane of its own and runs an event loop of its own, so that no plugin is
    needed and what a lane leaves behind can be seen when its loop is gone.

    Attributes:
        shares_memory: Arguments and results are the very objects, and context variables are seen.
        shares_process: The lane runs calls in this process; None where it does as it shares memory.
        blocks_the_loop: A call runs to its end before ``run`` gives the loop back, so that there is
            no queue and nothing to cancel.
        stops_calls: A running call whose caller is cancelled is stopped.
        survives_crashes: A call that ends its process costs that call and nothing else.
        patience_s: What a test may take, in seconds, before it is taken for one that hangs.
    """

    shares_memory: ClassVar[bool] = True
    shares_process: ClassVar[bool | None] = None
    blocks_the_loop: ClassVar[bool] = False
    stops_calls: ClassVar[bool] = False
    survives_crashes: ClassVar[bool] = False
    patience_s: ClassVar[float] = _PATIENCE_S

    def make_lane(self, workers: int) -> Lane:
        """Make a lane, not yet opened, that runs at most so many calls at once."""
        raise NotImplementedError(f"{type(self).__name__} must say how its lane is made")

    # --- calls ----------------------------------------------------------------------------------

    def test_has_the_name_of_a_lane(self) -> None:
        """Routes and statistics know lanes by name."""
        assert self.make_lane(1).name in LANE_NAMES

    def test_returns_what_the_function_returned(self) -> None:
        """A plain function is run and its result comes back."""

        async def scenario(lane: Lane) -> None:
            assert await _run(lane, calls.square, 7) == 7 * 7
            assert await _run(lane, calls.same, None) is None

        self._with_lane(scenario)

    def test_hands_over_positional_and_keyword_arguments(self) -> None:
        """Arguments arrive as they were given, those without any name included."""

        async def scenario(lane: Lane) -> None:
            expected = ((1, "two"), {"three": [3], "function": 4, "variant": 5})
            given = {"three": [3], "function": 4, "variant": 5}
            assert await lane.run(calls.describe, DEFAULT_VARIANT, (1, "two"), given) == expected
            assert await _run(lane, calls.describe) == ((), {})

        self._with_lane(scenario)

    def test_runs_the_variant_that_is_asked_for(self) -> None:
        """A declared task is taken, and the variant's function is what runs."""

        async def scenario(lane: Lane) -> None:
            default = await lane.run(calls.greet, DEFAULT_VARIANT, ("Ada",), {"greeting": "hi"})
            loud = await lane.run(calls.greet, "loud", ("Ada",), {"greeting": "hi"})
            assert (default, loud) == ("hi Ada, by default", "HI ADA, LOUD")

        self._with_lane(scenario)

    def test_tells_which_variants_there_are_when_asked_for_another(self) -> None:
        """An unknown variant is a KeyError and not a silent default."""

        async def scenario(lane: Lane) -> None:
            error = await _raised(lane.run(calls.greet, "silent", ("Ada",), {}))
            assert isinstance(error, KeyError), repr(error)
            assert "loud" in str(error), str(error)

        self._with_lane(scenario)

    def test_raises_what_the_function_raised(self) -> None:
        """The function's own exception arrives as itself: type and message."""

        async def scenario(lane: Lane) -> None:
            error = await _raised(_run(lane, calls.raise_expected, "on purpose"))
            assert type(error) is calls.ExpectedError, repr(error)
            assert str(error) == "on purpose", str(error)

        self._with_lane(scenario)

    def test_shows_where_the_function_raised(self) -> None:
        """The printed traceback reaches the line that raised, on whichever side it ran."""

        async def scenario(lane: Lane) -> None:
            error = await _raised(_run(lane, calls.raise_expected, "on purpose"))
            printed = "".join(traceback.format_exception(error))
            assert "in raise_expected" in printed, printed
            assert "raise ExpectedError(message)" in printed, printed

        self._with_lane(scenario)

    def test_the_cause_of_an_error_arrives_with_it(self) -> None:
        """``raise ... from ...`` keeps its meaning."""

        async def scenario(lane: Lane) -> None:
            error = await _raised(_run(lane, calls.raise_with_cause))
            assert type(error.__cause__) is ValueError, repr(error.__cause__)

        self._with_lane(scenario)

    def test_a_call_that_raises_stop_iteration_ends(self) -> None:
        """No future can carry StopIteration: it must come as an error, not as an endless wait."""

        async def scenario(lane: Lane) -> None:
            async with asyncio.timeout(self.patience_s / 4):
                error = await _raised(_run(lane, calls.raise_stop_iteration))
            assert isinstance(error, (StopIteration, RuntimeError)), repr(error)

        self._with_lane(scenario)

    def test_goes_on_after_a_call_that_raised(self) -> None:
        """One failure costs one call."""

        async def scenario(lane: Lane) -> None:
            for number in range(3):
                await _raised(_run(lane, calls.raise_expected, "on purpose"))
                assert await _run(lane, calls.square, number) == number * number

        self._with_lane(scenario, workers=1)

    def test_gives_each_of_many_callers_its_own_result(self) -> None:
        """Many more calls than workers, at once, and failures among them."""

        async def one(lane: Lane, number: int) -> object:
            if number % 8 == 0:
                return str(await _raised(_run(lane, calls.raise_expected, f"call {number}")))
            return await _run(lane, calls.square, number)

        async def scenario(lane: Lane) -> None:
            got = await asyncio.gather(*(one(lane, number) for number in range(_MANY_CALLS)))
            expected = [
                f"call {number}" if number % 8 == 0 else number * number
                for number in range(_MANY_CALLS)
            ]
            assert got == expected, got

        self._with_lane(scenario)

    # --- memory and context ---------------------------------------------------------------------

    def test_shares_its_callers_memory_or_keeps_out_of_it(self) -> None:
        """What a call does to its arguments is seen where memory is shared, and nowhere else."""

        async def scenario(lane: Lane) -> None:
            items = ["first"]
            assert await _run(lane, calls.append_item, items, "second") == len(["first", "second"])
            assert (items == ["first", "second"]) is self.shares_memory, items
            pid, _ = await _run(lane, calls.where)
            here = self.shares_memory if self.shares_process is None else self.shares_process
            assert (pid == os.getpid()) is here

        self._with_lane(scenario)

    def test_shows_the_call_its_callers_context_variables(self) -> None:
        """A request id set around the call is seen by it; each call sees its own caller's."""
        if not self.shares_memory:
            return

        async def one(lane: Lane, value: str) -> str:
            calls.CONTEXT.set(value)
            seen: str = await _run(lane, calls.read_context)
            return seen

        async def scenario(lane: Lane) -> None:
            values = [f"request {number}" for number in range(8)]
            seen = await asyncio.gather(*(one(lane, value) for value in values))
            assert seen == values, seen
            assert calls.CONTEXT.get() == "unset"

        self._with_lane(scenario)

    # --- cancellation ---------------------------------------------------------------------------

    def test_a_queued_call_that_is_cancelled_never_runs(self) -> None:
        """Cancelling who awaits a call that has not begun takes the call out of the queue."""
        if self.blocks_the_loop:
            return

        async def scenario(lane: Lane) -> None:
            async with Gate() as gate:
                running = asyncio.create_task(_run(lane, calls.visit, gate.address, "running"))
                await gate.visited("running")
                queued = [
                    asyncio.create_task(_run(lane, calls.visit, gate.address, f"queued {number}"))
                    for number in range(4)
                ]
                await _others_had_a_turn()
                for one in queued:
                    one.cancel()
                    assert isinstance(await _raised(one), asyncio.CancelledError)
                gate.open()
                assert await running == "running"
                # One worker, first come, first served: what was queued would have run by now.
                assert await _run(lane, calls.visit, gate.address, "last") == "last"
                assert gate.visits == ["running", "last"], gate.visits

        self._with_lane(scenario, workers=1)

    def test_cancelling_one_caller_leaves_the_others_alone(self) -> None:
        """The calls beside a cancelled one end well, and so does the next."""
        if self.blocks_the_loop:
            return

        async def scenario(lane: Lane) -> None:
            async with Gate() as gate:
                names = ["one", "two"]
                first, second = (
                    asyncio.create_task(_run(lane, calls.visit, gate.address, name))
                    for name in names
                )
                for name in names:
                    await gate.visited(name)
                first.cancel()
                assert isinstance(await _raised(first), asyncio.CancelledError)
                gate.open()
                assert await second == "two"
                assert await _run(lane, calls.square, 3) == 3 * 3

        self._with_lane(scenario, workers=2)

    def test_a_running_call_that_is_cancelled_is_stopped(self) -> None:
        """Its worker is free for the next call, though the call itself would wait for ever."""
        if not self.stops_calls:
            return

        async def scenario(lane: Lane) -> None:
            async with Gate() as gate:
                running = asyncio.create_task(_run(lane, calls.visit, gate.address, "for ever"))
                await gate.visited("for ever")
                running.cancel()
                assert isinstance(await _raised(running), asyncio.CancelledError)
                assert await _run(lane, calls.square, 3) == 3 * 3

        self._with_lane(scenario, workers=1)

    def test_a_crash_costs_the_call_that_ran(self) -> None:
        """Others, in flight and to come, are not harmed."""
        if not self.survives_crashes:
            return

        async def scenario(lane: Lane) -> None:
            crash = asyncio.create_task(_raised(_run(lane, calls.end_the_process)))
            others = asyncio.gather(*(_run(lane, calls.square, number) for number in range(8)))
            assert isinstance(await crash, WorkerDiedError), repr(await crash)
            assert await others == [number * number for number in range(8)]
            assert await _run(lane, calls.square, 3) == 3 * 3

        self._with_lane(scenario)

    # --- streams --------------------------------------------------------------------------------

    def test_streams_what_a_generator_yields(self) -> None:
        """In order, each once, more of them than the lane may be ahead; none is also right."""

        async def scenario(lane: Lane) -> None:
            for stop in (0, 1, 100):
                items = lane.stream(calls.count_up, DEFAULT_VARIANT, (stop,), {})
                assert [item async for item in items] == list(range(stop))

        self._with_lane(scenario)

    def test_a_stream_raises_what_its_generator_raised(self) -> None:
        """After the items that came before."""

        async def scenario(lane: Lane) -> None:
            items = lane.stream(calls.count_and_raise, DEFAULT_VARIANT, (3,), {})
            assert [await anext(items) for _ in range(3)] == [0, 1, 2]
            error = await _raised(anext(items))
            assert type(error) is calls.ExpectedError, repr(error)

        self._with_lane(scenario)

    def test_closing_a_stream_closes_its_generator(self) -> None:
        """Where it runs, so that its ``finally`` is reached; the lane goes on."""
        if self.blocks_the_loop:
            return  # the generator's farewell would wait for this loop

        async def scenario(lane: Lane) -> None:
            async with Gate() as gate:
                items = lane.stream(calls.count_and_tell, DEFAULT_VARIANT, (gate.address,), {})
                assert [await anext(items) for _ in range(3)] == [0, 1, 2]
                closing = asyncio.ensure_future(items.aclose())
                await gate.visited("closed")
                gate.open()
                await closing
                assert await _run(lane, calls.square, 3) == 3 * 3

        self._with_lane(scenario, workers=1)

    # --- what a call knows ----------------------------------------------------------------------

    def test_a_call_knows_how_much_time_it_has(self) -> None:
        """None without a deadline."""

        async def scenario(lane: Lane) -> None:
            terms = Terms(deadline=time.monotonic() + 2 * self.patience_s)
            left_s = await lane.run(calls.remaining_s, DEFAULT_VARIANT, (), {}, terms)
            assert 0 < left_s <= 2 * self.patience_s
            assert await _run(lane, calls.remaining_s) is None

        self._with_lane(scenario)

    # --- lifetime -------------------------------------------------------------------------------

    def test_refuses_calls_before_it_is_opened(self) -> None:
        """A lane that is not ready says so."""

        async def scenario() -> None:
            error = await _raised(_run(self.make_lane(1), calls.square, 2))
            assert isinstance(error, LaneUnavailableError), repr(error)

        self._finish(scenario())

    def test_refuses_calls_after_it_is_closed(self) -> None:
        """A lane that is gone says so."""

        async def scenario() -> None:
            lane = self.make_lane(1)
            await lane.open()
            await lane.close()
            error = await _raised(_run(lane, calls.square, 2))
            assert isinstance(error, LaneUnavailableError), repr(error)

        self._finish(scenario())

    def test_can_be_closed_twice_and_before_it_was_opened(self) -> None:
        """Closing is idempotent: who cleans up need not know what was reached."""

        async def scenario() -> None:
            lane = self.make_lane(1)
            await lane.close()
            await lane.open()
            await lane.close()
            await lane.close()

        self._finish(scenario())

    def test_can_be_opened_again_after_closing(self) -> None:
        """Open, close, open: as good as new."""

        async def scenario() -> None:
            lane = self.make_lane(1)
            for number in range(2):
                await lane.open()
                assert await _run(lane, calls.square, number) == number
                await lane.close()

        self._finish(scenario())

    def test_opening_twice_is_like_opening_once(self) -> None:
        """A second open changes nothing: one close ends everything that was started."""
        self._finish(
            self._open_and_close()
        )  # what is started once for the interpreter is there now
        before = Leftovers.now()

        async def scenario() -> None:
            lane = self.make_lane(1)
            await lane.open()
            first = await _run(lane, calls.where)
            await lane.open()
            assert await _run(lane, calls.where) == first, "the worker was replaced"
            await lane.close()

        self._finish(scenario())
        left = Leftovers.now().since(before)
        assert not left, f"left behind: {left}"

    def test_closing_lets_a_running_call_end(self) -> None:
        """Close waits: the caller of a call that runs gets its result."""
        if self.blocks_the_loop:
            return

        async def scenario(lane: Lane) -> None:
            async with Gate() as gate:
                running = asyncio.create_task(_run(lane, calls.visit, gate.address, "running"))
                await gate.visited("running")
                closing = asyncio.create_task(lane.close())
                await asyncio.sleep(0)
                assert not closing.done()
                gate.open()
                assert await running == "running"
                await closing

        self._with_lane(scenario, workers=1)

    def test_leaves_no_thread_and_no_process_behind(self) -> None:
        """After close, and when the loop is gone, nothing runs that did not run before."""
        self._finish(
            self._open_and_close()
        )  # what is started once for the interpreter is there now
        before = Leftovers.now()

        async def scenario(lane: Lane) -> None:
            await asyncio.gather(*(_run(lane, calls.square, number) for number in range(8)))
            await _raised(_run(lane, calls.raise_expected, "on purpose"))

        self._with_lane(scenario)
        left = Leftovers.now().since(before)
        assert not left, f"left behind: {left}"

    # --- how the tests run ----------------------------------------------------------------------

    def _with_lane(self, scenario: Callable[[Lane], Awaitable[None]], workers: int = 2) -> None:
        async def body() -> None:
            async with self._opened(workers) as lane:
                await scenario(lane)

        self._finish(body())

    def _finish(self, body: Coroutine[Any, Any, T]) -> T:
        """Run to the end in a loop of its own, with a deadline: a lost call fails and does not hang."""

        async def bounded() -> T:
            async with asyncio.timeout(self.patience_s):
                return await body

        return asyncio.run(bounded())

    @contextlib.asynccontextmanager
    async def _opened(self, workers: int) -> AsyncIterator[Lane]:
        lane = self.make_lane(workers)
        await lane.open()
        try:
            yield lane
        finally:
            await lane.close()

    async def _open_and_close(self) -> None:
        async with self._opened(1) as lane:
            await _run(lane, calls.square, 1)


async def _run(lane: Lane, function: Callable[..., Any], *args: Any) -> Any:
    return await lane.run(function, DEFAULT_VARIANT, args, {})


async def _others_had_a_turn() -> None:
    """Let other threads of this process run, so that a lane's own ones move what they would move."""
    for _ in range(_TURNS):
        await asyncio.to_thread(os.sched_yield)


async def _raised(awaitable: Awaitable[object]) -> BaseException:
    """Await it and return what it raises; a deadline around it passes through."""
    try:
        result = await awaitable
    except asyncio.CancelledError as error:
        this = asyncio.current_task()
        if this is not None and this.cancelling():
            raise  # the test's own deadline
        return error
    except Exception as error:  # noqa: BLE001 - because: which one it is, is what the test asks
        return error
    raise AssertionError(f"nothing was raised; the result was {result!r}")
