"""What lanewise lets several threads do, done by several threads at once, again and again.

``LANEWISE_STRESS`` says how many times as often as usual. On a free-threaded build this is where an
update that is not one step would show.
"""

import asyncio
import contextlib
import os
import random
import sys
import threading
from concurrent.futures import CancelledError, wait

import pytest
from runtime_support import settled

import lanewise
from lanewise import Executor, Runtime
from lanewise.runtime import switch_interval
from lanewise.runtime.active import active_runtime
from lanewise.runtime.switch_interval import hold_short
from lanewise.testing import FakeClock
from lanewise.testing.calls import square

TIMES = int(os.environ.get("LANEWISE_STRESS", "1"))
THREADS = 8


def together(function, threads=THREADS):
    """Call ``function(number)`` in so many threads that begin at one moment; raise what one raised."""
    barrier, errors = threading.Barrier(threads), []

    def run(number):
        try:
            barrier.wait()
            function(number)
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("_time", range(TIMES))
def test_holds_of_the_switch_interval_are_counted(_time):
    before_s = sys.getswitchinterval()

    def holds(number):
        dice = random.Random(number)
        held = []
        for _ in range(200):
            if held and dice.random() < 0.5:
                one = held.pop()
                one.release()
                one.release()
            else:
                held.append(hold_short())
        for one in held:
            one.release()

    together(holds)
    assert switch_interval._PROCESS._holders == 0
    assert sys.getswitchinterval() == pytest.approx(before_s)


@pytest.mark.parametrize("_time", range(TIMES))
def test_runtimes_in_several_threads_keep_apart(_time):
    async def work(number):
        async with Runtime(lanes=("event_loop", "thread"), threads=2) as rt:
            assert active_runtime() is rt
            lane = rt.with_options(lane="thread")
            found = await asyncio.gather(*(lane.run(square, n) for n in range(50)))
            assert found == [n * n for n in range(50)]
            assert await lanewise.run(square, number) == number**2
            counts = rt.statistics().lanes
            assert sum(one.done for one in counts.values()) == 51

    together(lambda number: asyncio.run(work(number)))


@pytest.mark.parametrize("_time", range(TIMES))
def test_a_storm_of_calls_and_cancellations_in_threads_adds_up(_time):
    async def storm(number):
        dice = random.Random(number)
        async with Runtime(lanes=("thread",), threads=4) as rt:
            calls = [asyncio.create_task(rt.run(square, n)) for n in range(200)]
            for call in calls:
                if dice.random() < 0.3:
                    call.cancel()
                if dice.random() < 0.1:
                    await asyncio.sleep(0)
            ends = await asyncio.gather(*calls, return_exceptions=True)
            for n, end in enumerate(ends):
                assert end == n * n or isinstance(end, asyncio.CancelledError)
            await settled(lambda: not rt.statistics().lanes["thread"].running)
            counts = rt.statistics().lanes["thread"]
            assert counts.done + counts.cancelled == counts.admitted
            assert counts.done == sum(not isinstance(end, BaseException) for end in ends)

    together(lambda number: asyncio.run(storm(number)), threads=4)


@pytest.mark.parametrize("lane", ["thread", "process"])
@pytest.mark.parametrize("_time", range(TIMES))
def test_an_executor_takes_calls_from_many_threads(_time, lane):
    with Executor(2, lane=lane) as pool:

        def submits(number):
            futures = [pool.submit(square, number * 100 + n) for n in range(40)]
            assert [one.result() for one in futures] == [(number * 100 + n) ** 2 for n in range(40)]
            assert list(pool.map(square, range(30), chunksize=7)) == [n * n for n in range(30)]

        together(submits)


@pytest.mark.parametrize("_time", range(TIMES))
def test_an_executor_that_is_shut_down_while_others_submit_loses_no_future(_time):
    pool, futures = Executor(2, lane="thread"), []
    guard = threading.Lock()

    def submits_or_ends(number):
        for n in range(60):
            if number == 0 and n == 30:
                pool.shutdown(wait=False, cancel_futures=True)
            try:
                one = pool.submit(square, n)
            except RuntimeError:
                continue  # it has ended, which is said
            with guard:
                futures.append((n, one))

    together(submits_or_ends)
    pool.shutdown()
    wait([one for _, one in futures])
    for n, one in futures:
        with contextlib.suppress(CancelledError):
            assert one.result() == n * n


@pytest.mark.parametrize("_time", range(TIMES))
def test_objects_are_shared_and_let_go_of_in_any_thread(_time):
    async def shares():
        async with Runtime(lanes=("process",), processes=2) as rt:

            def make_and_drop(number):
                for n in range(20):
                    handle = rt.share(bytes(5_000 + n % 3) + bytes([number]))
                    assert len(handle.get()) == 5_001 + n % 3
                    del handle

            making = asyncio.to_thread(together, make_and_drop)
            kept = rt.share(b"x" * 100_000)
            calls = [rt.run(len, kept) for _ in range(50)]
            _, *lengths = await asyncio.gather(making, *calls)
            assert lengths == [100_000] * 50

    asyncio.run(shares())


@pytest.mark.parametrize("_time", range(TIMES))
def test_a_clock_tells_every_second_that_was_added(_time):
    clock = FakeClock(0.0)
    together(lambda _: [clock.advance(1.0) for _ in range(500)])
    assert clock() == THREADS * 500


@pytest.mark.parametrize("_time", range(TIMES))
def test_loops_are_watched_in_several_threads(_time):
    async def watched(_number):
        for _ in range(5):
            async with Runtime(lanes=("event_loop",)) as rt:
                await rt.run(square, 2)
                assert rt.statistics().loop is not None

    together(lambda number: asyncio.run(watched(number)), threads=4)
