"""A watch on real loops: what stalls them is found, and nothing that happens to them breaks it.

The machine may be so busy that a stall goes by without a look, or that one comes from nowhere. So a stall
is provoked again, each time for longer, until it has been seen as it should, and others are passed over.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import logging
import os
import sys
import threading
import time
import warnings

import pytest
from leftovers_support import PATIENCE_S, descriptors

from lanewise.host.facts import gil_enabled
from lanewise.runtime.loop_watch import LoopWatch

STALL_S = 0.05
LENGTHS_S = (0.15, 0.3, 0.6, 1.2, 2.4, 4.8)
THREAD = "lanewise-loop-watch"

LOOPS = ["asyncio", "uvloop"] if importlib.util.find_spec("uvloop") else ["asyncio"]


@pytest.fixture(params=LOOPS)
def run(request):
    """Runs a coroutine on one kind of loop."""

    def run(coroutine):
        with asyncio.Runner(loop_factory=factory_of(request.param)) as runner:
            return runner.run(coroutine)

    return run


def factory_of(kind):
    if kind == "asyncio":
        return asyncio.new_event_loop
    import uvloop  # noqa: PLC0415 - because: it is there for some interpreters only

    return uvloop.new_event_loop


@pytest.fixture(autouse=True)
def nothing_is_left():
    """Afterwards there is no watchdog, no callback of the collector and no scratch file."""
    callbacks = list(gc.callbacks)
    yield
    wait_until(lambda: not watchdogs())
    assert gc.callbacks == callbacks
    assert not [to for to in descriptors().values() if "lanewise" in to]


def watchdogs():
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


def wait_until(condition):
    """For what another thread does and nobody tells; never on a loop."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.002)


class Watched:
    """A watch on the running loop that tells when a stall is reported."""

    def __init__(self, on_stall=None, **options):
        self.stalls = []
        self._on_stall = on_stall
        self._reported = asyncio.Event()
        times = {"heartbeat_s": 0.005, "stall_s": STALL_S, "sample_every_s": 0.005} | options
        self.watch = LoopWatch(on_stall=self._note, **times)

    def _note(self, stall):
        self.stalls.append(stall)
        self._reported.set()
        if self._on_stall is not None:
            self._on_stall(stall)

    def __enter__(self):
        self.watch.start(asyncio.get_running_loop())
        return self

    def __exit__(self, *_):
        self.watch.stop()

    async def until(self, condition):
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - because: some conditions are another thread's
                await asyncio.sleep(0.002)

    async def provoke(self, block, wanted):
        """Block the loop for longer and longer until a stall is reported that is as wanted."""
        seen = []
        for length_s in LENGTHS_S:
            await self.beaten()
            self._reported.clear()
            known = len(self.stalls)
            await asyncio.create_task(block(length_s))
            async with asyncio.timeout(PATIENCE_S):
                await self._reported.wait()
            seen += self.stalls[known:]
            for stall in self.stalls[known:]:
                if wanted(stall):
                    return stall
        raise AssertionError(f"not among {seen}")

    async def beaten(self):
        """All is well: a beat came."""
        beats = self.watch.record.beats
        await self.until(lambda: self.watch.record.beats > beats)


async def block_by_sleeping(length_s):
    time.sleep(length_s)  # noqa: ASYNC251 - because: it is what must be found


def burn(length_s):
    until_s = time.perf_counter() + length_s
    number = 0
    while time.perf_counter() < until_s:
        number += 1
    return number


def score_all(length_s):
    return burn(length_s)


async def block_by_computing(length_s):
    score_all(length_s)


def at(stall, function):
    return stall.where.startswith(__file__) and stall.where.endswith(f" {function.__name__}")


# --- what is found ------------------------------------------------------------------------------


def test_a_handler_that_sleeps_is_found_at_its_line(run):
    async def scenario():
        with Watched() as watched:
            return await watched.provoke(
                block_by_sleeping,
                lambda stall: (
                    at(stall, block_by_sleeping)
                    and "asyncio.sleep" in stall.advice
                    and stall.where_share > 0.5
                ),
            )

    stall = run(scenario())
    assert "time.sleep blocks the event loop" in stall.advice
    assert stall.samples >= 1
    assert 0.5 < stall.where_share <= 1
    assert stall.duration_s >= STALL_S
    assert stall.stack[-1] == stall.where


def test_a_function_that_computes_is_found_with_the_one_to_move(run):
    async def scenario():
        with Watched() as watched:
            await watched.provoke(
                block_by_computing,
                lambda stall: at(stall, burn) and "await rt.run(score_all, …)" in stall.advice,
            )

    run(scenario())


@pytest.mark.skipif(not gil_enabled(), reason="nobody can keep a lock that is not there")
def test_a_loop_that_gets_no_lock_blames_no_handler_but_the_thread(run):
    async def scenario():
        with Watched() as watched:

            async def starve(length_s):
                go, held, over = threading.Event(), threading.Event(), threading.Event()
                thread = threading.Thread(target=hold_the_lock, args=(length_s, go, held, over))
                thread.start()
                known = len(watched.stalls)
                go.set()
                await watched.until(lambda: held.is_set() and len(watched.stalls) > known)
                over.set()
                thread.join()

            return await watched.provoke(
                starve,
                lambda stall: not stall.where and "hold_the_lock" in stall.advice,
            )

    stall = run(scenario())
    assert "GIL" in stall.advice
    assert stall.where_share == 0


def hold_the_lock(length_s, go, held, over):
    go.wait(PATIENCE_S)
    numbers, began_s = 1_000_000, time.perf_counter()
    while time.perf_counter() - began_s < length_s / 4:
        numbers *= 2
        began_s = time.perf_counter()
        sum(range(numbers))  # one call into C, which never gives the lock up
    sum(range(4 * numbers))
    held.set()
    over.wait(PATIENCE_S)


def test_a_stall_is_logged_with_its_place_and_what_to_do(run, caplog):
    async def scenario():
        with Watched() as watched:
            return await watched.provoke(
                block_by_sleeping, lambda stall: at(stall, block_by_sleeping)
            )

    with caplog.at_level(logging.WARNING, logger="lanewise"):
        # Of a loop that had no core for half of the time something else is told, and a place only once a
        # minute: each try has a watch of its own.
        for _ in range(3):
            caplog.clear()
            stall = run(scenario())
            wait_until(lambda: not watchdogs())  # it writes after it has reported
            messages = [record.getMessage() for record in caplog.records]
            told = [message for message in messages if "sleeping" in message]
            if told and "asyncio.sleep" in told[0]:
                break
    assert len(told) == 1
    assert stall.where in told[0]
    assert "asyncio.sleep" in told[0]


# --- what is counted ----------------------------------------------------------------------------


def test_beats_are_counted_and_lag_is_what_they_were_late(run):
    async def scenario():
        with Watched() as watched:
            await watched.until(lambda: watched.watch.record.beats >= 20)
            return watched.watch.statistics()

    found = run(scenario())
    assert found.beats >= 20
    assert found.beats == sum(count for _, count in found.histogram)
    assert 0 <= found.p50_s <= found.p99_s <= found.max_s
    assert found.switch_interval_s == sys.getswitchinterval()


def test_beats_that_were_missed_in_a_stall_count_as_late(run):
    async def scenario():
        with Watched() as watched:
            await watched.beaten()
            await block_by_sleeping(0.5)
            await watched.until(lambda: watched.stalls)
            return watched.watch.statistics()

    found = run(scenario())
    late = sum(count for bound_s, count in found.histogram if bound_s > 0.2)
    assert late >= 40, "each of those that fell due counts, not one"
    assert found.max_s > 0.4


def test_lag_rises_while_a_beat_is_overdue_and_fades_afterwards(run):
    async def scenario():
        with Watched() as watched:
            await watched.beaten()
            seen, enough = [], threading.Event()

            def look():
                wait_until(lambda: watched.watch.lag_s > 0.2)
                seen.append(watched.watch.lag_s)
                enough.set()

            thread = threading.Thread(target=look)
            thread.start()
            assert enough.wait(
                PATIENCE_S
            )  # the loop stands here until the other thread has seen it
            thread.join()
            assert seen[0] > 0.2
            await watched.beaten()
            after_s = watched.watch.lag_s
            assert after_s > 0.05
            await watched.until(lambda: watched.watch.lag_s < after_s / 2)
        assert watched.watch.lag_s == 0

    run(scenario())


def test_a_stall_that_lasts_until_the_end_is_in_the_record(run):
    async def scenario():
        with Watched() as watched:
            await watched.beaten()
            await block_by_sleeping(0.3)
        return watched

    watched = run(scenario())
    assert watched.stalls[-1].duration_s > 0.2
    assert watched.watch.statistics().stalls == len(watched.stalls)


def test_a_loop_that_nobody_runs_has_no_lag():
    # The machine may keep it from running for as long while it is to run: seldom three times.
    lags_s = []
    while not lags_s or (lags_s[-1] >= 1 and len(lags_s) < 3):
        lags_s.append(lag_of_a_loop_that_nobody_ran_for_a_second())
    assert lags_s[-1] < 1, lags_s


def lag_of_a_loop_that_nobody_ran_for_a_second():
    loop = asyncio.new_event_loop()
    watch = LoopWatch(heartbeat_s=0.005, stall_s=STALL_S)

    async def until_beaten():
        beats = watch.record.beats
        async with asyncio.timeout(PATIENCE_S):
            while watch.record.beats <= beats:  # noqa: ASYNC110 - because: beats tell nobody
                await asyncio.sleep(0.002)

    async def start():
        watch.start(loop)

    loop.run_until_complete(start())
    loop.run_until_complete(until_beaten())
    paused_at_s = time.monotonic()
    wait_until(lambda: watch._pulse.paused_due_s == watch._pulse.due_s)
    wait_until(lambda: time.monotonic() - paused_at_s > 1)
    loop.run_until_complete(until_beaten())
    loop.run_until_complete(until_beaten())
    watch.stop()
    loop.close()
    return watch.record.max_s


# --- what must not break it ---------------------------------------------------------------------


def test_a_hook_that_raises_is_logged_and_called_again(run, caplog):
    def fail(stall):
        raise ZeroDivisionError(stall.where)

    async def scenario():
        with Watched(on_stall=fail) as watched:
            await watched.provoke(block_by_sleeping, lambda _: True)
            await watched.provoke(block_by_sleeping, lambda _: True)
            await watched.beaten()
            return watched

    watched = run(scenario())
    assert len(watched.stalls) >= 2
    failures = [record for record in caplog.records if record.exc_info]
    assert len(failures) == len(watched.stalls)
    assert failures[0].exc_info[0] is ZeroDivisionError


def test_a_hook_may_stop_the_watch(run):
    async def scenario():
        stopped = asyncio.Event()

        def stop(_):
            watch.stop()
            stopped.set()

        watch = LoopWatch(heartbeat_s=0.005, stall_s=STALL_S, on_stall=stop)
        watch.start(asyncio.get_running_loop())
        while not stopped.is_set():
            time.sleep(0.1)  # noqa: ASYNC251 - because: it is the stall
            await asyncio.sleep(0.02)
        assert not watchdogs()

    run(scenario())


def test_a_loop_that_closes_first_takes_the_watchdog_along(run):
    watch = LoopWatch(heartbeat_s=0.005, stall_s=STALL_S)

    async def scenario():
        watch.start(asyncio.get_running_loop())
        while not watchdogs():  # noqa: ASYNC110 - because: a thread that begins tells nobody
            await asyncio.sleep(0)

    run(scenario())
    wait_until(lambda: not watchdogs())
    watch.stop()
    watch.stop()
    assert watch.lag_s == 0
    assert watch.statistics().beats == watch.record.beats


def test_stopping_at_once_after_the_loop_closed_is_fine(run):
    watch = LoopWatch(heartbeat_s=0.005, stall_s=STALL_S)

    async def scenario():
        watch.start(asyncio.get_running_loop())

    run(scenario())
    watch.stop()
    assert not watchdogs()


def test_it_can_be_started_again_but_not_twice(run):
    async def scenario():
        watched = Watched()
        with watched:
            with pytest.raises(RuntimeError, match="started already"):
                watched.watch.start(asyncio.get_running_loop())
            await watched.beaten()
        beats = watched.watch.record.beats
        assert not watchdogs()
        with watched:
            await watched.beaten()
            await watched.provoke(block_by_sleeping, lambda stall: at(stall, block_by_sleeping))
        watched.watch.stop()
        assert watched.watch.record.beats > beats

    run(scenario())


def test_it_can_move_to_another_loop(run):
    watch = LoopWatch(heartbeat_s=0.005, stall_s=STALL_S)

    async def scenario():
        watch.start(asyncio.get_running_loop())
        beats = watch.record.beats
        async with asyncio.timeout(PATIENCE_S):
            while watch.record.beats < beats + 3:  # noqa: ASYNC110 - because: beats tell nobody
                await asyncio.sleep(0.002)
        watch.stop()

    run(scenario())
    run(scenario())


def test_a_closed_loop_is_refused_and_leaves_nothing():
    loop = asyncio.new_event_loop()
    loop.close()
    watch = LoopWatch()
    with pytest.raises(RuntimeError, match="closed"):
        watch.start(loop)
    assert watch.lag_s == 0
    assert not watchdogs()


@pytest.mark.parametrize("name", ["heartbeat_s", "stall_s", "sample_every_s"])
def test_times_must_be_positive(name):
    with pytest.raises(ValueError, match=name):
        LoopWatch(**{name: 0})


async def stall_one(length_s):
    time.sleep(length_s)  # noqa: ASYNC251 - because: it is what must be found


async def stall_other(length_s):
    time.sleep(length_s)  # noqa: ASYNC251 - because: it is what must be found


def test_two_loops_in_two_threads_are_blamed_each_for_its_own(run):
    found = {}

    def watch(block):
        async def scenario():
            with Watched() as watched:
                await watched.provoke(block, lambda stall: at(stall, block))
                return watched.stalls

        found[block] = run(scenario())

    threads = [threading.Thread(target=watch, args=(one,)) for one in (stall_one, stall_other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not any(at(stall, stall_other) for stall in found[stall_one])
    assert not any(at(stall, stall_one) for stall in found[stall_other])


def test_two_watches_on_one_loop_do_not_disturb_each_other(run):
    async def scenario():
        with Watched() as one, Watched() as other:
            await one.provoke(block_by_sleeping, lambda stall: at(stall, block_by_sleeping))
            await other.provoke(block_by_sleeping, lambda stall: at(stall, block_by_sleeping))

    run(scenario())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_has_no_watchdog_and_stops_without_one():
    async def scenario():
        with Watched() as watched, warnings.catch_warnings():
            await watched.beaten()
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    watched.watch._take()  # those that the machine made before
                    known = watched.watch.record.stalls
                    watched.watch._was_away(watched.watch._watchdog, 1.0)
                    known = watched.watch.record.stalls - known
                    watched.watch.stop()
                    code = 0 if known == 1 and not watchdogs() else 2
                finally:
                    os._exit(code)
            await watched.until(
                lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            )
            _, status = os.waitpid(pid, 0)  # noqa: ASYNC222 - because: it has ended
            assert os.waitstatus_to_exitcode(status) == 0
            await watched.beaten()

    asyncio.run(scenario())


def test_a_collection_in_a_stall_is_told_from_the_code_it_hit():
    async def scenario():
        with Watched() as watched:

            async def collect(length_s):
                until_s = time.monotonic() + length_s
                while time.monotonic() < until_s:
                    gc.collect()

            return await watched.provoke(
                collect, lambda stall: stall.advice.startswith("the garbage collector")
            )

    stall = asyncio.run(scenario())
    assert stall.where == ""
