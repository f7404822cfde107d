"""What the process lane promises when calls crash, hang, leak, or send what cannot be sent."""

import asyncio
import collections
import contextlib
import logging
import os
import random
import signal
import sys
import warnings
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import process_jobs as jobs
import pytest
from leftovers_support import lines_of, nothing_is_left  # noqa: F401 - because: a fixture

from _lanewise_worker.wire import STREAM_WINDOW
from lanewise import (
    LaneUnavailableError,
    NotPortableError,
    Runtime,
    TaskTimeoutError,
    WorkerDiedError,
    task,
)
from lanewise.testing import Gate
from lanewise.testing.calls import visit

uvloop = None
with contextlib.suppress(ImportError):
    import uvloop

PATIENCE_S = 60


def isolated(**options):
    return Runtime(**{"processes": 2, "lanes": ("process",), **options})


async def gone(*pids):
    """Wait until processes have ended."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE_S):
        for pid in pids:
            try:
                fd = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            ended = loop.create_future()
            loop.add_reader(fd, lambda ended=ended: ended.done() or ended.set_result(None))
            try:
                await ended
            finally:
                loop.remove_reader(fd)
                os.close(fd)


async def test_a_call_whose_import_takes_longer_than_it_has_gets_through_before_long():
    import slow_import  # noqa: PLC0415 - because: it takes its time

    async with isolated(processes=1) as rt:
        view = rt.with_options(timeout_s=0.4)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(TaskTimeoutError):
                    assert await view.run(slow_import.answer) == 42
                    break
        assert rt.statistics().workers.killed >= 1


# --- a worker that dies -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "args", "number", "code"),
    [
        (jobs.segfault, (), signal.SIGSEGV, None),
        (jobs.exit_with, (3,), None, 3),
        (jobs.kill_self, (), signal.SIGKILL, None),
        (jobs.kill_self, (signal.SIGTERM,), signal.SIGTERM, None),
    ],
)
async def test_a_death_is_told_with_its_signal_or_exit_code(job, args, number, code):
    async with isolated() as rt:
        with pytest.raises(WorkerDiedError) as caught:
            await rt.run(job, *args)
        error = caught.value
        assert (error.signal, error.exit_code) == (number, code)
        assert isinstance(error, BrokenProcessPool)
        assert job.__name__ in str(error)
        assert error.pid
        assert await rt.run(jobs.square, 3) == 9


async def test_a_crash_in_c_shows_the_python_stack_where_it_happened():
    async with isolated() as rt:
        with pytest.raises(WorkerDiedError, match="Segmentation fault") as caught:
            await rt.run(jobs.segfault)
        assert "in segfault" in caught.value.fault


async def test_last_words_on_stderr_are_told():
    async with isolated() as rt:
        with pytest.raises(WorkerDiedError) as caught:
            await rt.run(jobs.says_and_dies)
        assert "famous last words" in caught.value.stderr
        assert "famous last words" in str(caught.value)


async def test_a_call_beyond_its_memory_is_killed_and_the_error_names_the_limit():
    limit = 400_000_000
    async with isolated(worker_memory_bytes=limit) as rt:
        with pytest.raises(WorkerDiedError, match=str(limit)) as caught:
            await rt.run(jobs.grow, 5_000_000)
        assert caught.value.memory_bytes > limit
        assert await rt.run(jobs.square, 3) == 9


async def test_a_function_that_kills_again_and_again_is_refused_for_a_while():
    async with isolated() as rt:
        for _ in range(3):
            with pytest.raises(WorkerDiedError) as caught:
                await rt.run(jobs.exit_with, 1)
            assert not caught.value.poisoned
        # For a second at first, which a busy machine may let pass, and twice as long after each more.
        for _ in range(5):
            with pytest.raises(WorkerDiedError) as caught:
                await rt.run(jobs.exit_with, 1)
            if caught.value.poisoned:
                break
        assert "was not started" in str(caught.value)
        assert caught.value.poisoned
        assert caught.value.retry_after_s > 0
        assert await rt.run(jobs.square, 3) == 9


async def test_workers_that_others_kill_poison_no_function():
    async with isolated() as rt:
        for _ in range(5):
            with pytest.raises(WorkerDiedError) as caught:
                await rt.run(jobs.kill_self)
            assert not caught.value.poisoned


async def test_an_idempotent_task_is_started_again(tmp_path):
    async with isolated() as rt:
        path = tmp_path / "begun"
        once = jobs.burn_again
        running = asyncio.create_task(rt.run(once, str(path)))
        (pid,) = await lines_of(path)
        os.kill(int(pid), signal.SIGKILL)
        assert len(await lines_of(path, 2)) == 2
        running.cancel()


# --- stopping work ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
async def test_a_timeout_frees_a_core_that_c_code_holds_with_the_lock(tmp_path, method):
    async with isolated(start_method=method) as rt:
        path = tmp_path / "begun"
        assert await rt.run(jobs.square, 2) == 4  # a worker is there, and has the module
        # The time is waited for in full, so the shortest comes first; a busy machine may need more of it
        # until the call has begun.
        for timeout_s in (1, 5, 25):
            quick = rt.with_options(timeout_s=timeout_s)
            with pytest.raises(TaskTimeoutError):
                await quick.run(jobs.hold_the_lock_in_c, str(path))
            begun = path.read_text().split() if path.exists() else []
            if begun:
                break
        assert begun
        await gone(*map(int, begun))
        assert await rt.run(jobs.square, 3) == 9


async def test_many_cancelled_calls_free_their_cores(tmp_path):
    async with isolated() as rt:
        path = tmp_path / "begun"
        running = [asyncio.create_task(rt.run(jobs.burn, str(path))) for _ in range(40)]
        await lines_of(path, 2)
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        pids = [int(line) for line in path.read_text().splitlines()]
        await gone(*pids)
        assert await rt.run(jobs.square, 3) == 9
        counts = rt.statistics().lanes["process"]
        assert counts.cancelled + counts.killed == 40


async def test_cancelling_kills_the_whole_family_of_a_call(tmp_path):
    async with isolated() as rt:
        path = tmp_path / "family"
        running = asyncio.create_task(rt.run(jobs.starts_a_family, str(path)))
        await lines_of(tmp_path / "family.done")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await gone(*map(int, path.read_text().split()))


async def test_abandoned_calls_run_to_their_end(tmp_path):
    path = tmp_path / "calls"
    async with Gate() as gate, isolated(on_cancel="abandon") as rt:
        try:
            # On a busy machine its time may be over before it has begun: then it is not abandoned.
            for timeout_s in (0.2, 2, 20):
                with pytest.raises(TaskTimeoutError):
                    await rt.with_options(timeout_s=timeout_s).run(visit, gate.address, "late")
                if rt.statistics().lanes["process"].abandoned:
                    break
            assert rt.statistics().lanes["process"].abandoned == 1
            assert rt.statistics().workers.killed == 0
        finally:
            gate.open()
        await rt.run(jobs.mark_call, str(path), 1)


async def test_a_demand_to_kill_keeps_calls_to_lanes_that_can():
    async with Runtime(processes=1, on_cancel="kill") as rt:
        assert await rt.run(jobs.pid) != os.getpid()
        with pytest.raises(LaneUnavailableError, match="on_cancel='kill'"):
            await rt.run(task(lane="thread")(jobs.pid))


async def test_a_call_knows_how_much_time_it_has():
    async with Runtime(processes=1) as rt:
        assert await rt.run(jobs.remaining_s) is None
        for lane in ("process", "thread", "event_loop"):
            left = await rt.with_options(timeout_s=60, lane=lane).run(jobs.remaining_s)
            assert 0 < left < 60


# --- what cannot cross ------------------------------------------------------------------------------


async def test_the_path_to_what_cannot_be_sent_is_named():
    async with isolated() as rt:
        pinned = rt.with_options(lane="process")
        with pytest.raises(NotPortableError, match=r"args\[1\]\[0\]\._lock is a _thread\.lock"):
            await pinned.run(print, 1, [jobs.Client()])
        with pytest.raises(NotPortableError, match="a lambda"):
            await pinned.run(lambda: 1)
        with pytest.raises(NotPortableError, match=r"kwargs\['sep'\]"):
            await pinned.run(print, sep=jobs.Client())
        with pytest.raises(NotPortableError, match=r"result\['rows'\]\[1\]\._lock") as caught:
            await pinned.run(jobs.returns_lock)
        assert caught.value.started
        with pytest.raises(NotPortableError, match="could not be made again there"):
            await pinned.run(print, jobs.Stubborn())
        with pytest.raises(NotPortableError, match="could not be made again here"):
            await pinned.run(jobs.returns_stubborn)
        with pytest.raises(NotPortableError, match="OddError"):
            await pinned.run(jobs.raises_odd)
        assert await pinned.run(jobs.square, 3) == 9


async def test_an_exception_comes_with_the_far_sides_frames_and_its_cause():
    async with isolated() as rt:
        with pytest.raises(ValueError, match="outer") as caught:
            await rt.run(jobs.raises_with_cause)
        names = [entry.name for entry in caught.traceback]
        assert names[-1] == "raises_with_cause"
        assert isinstance(caught.value.__cause__, KeyError)


# --- what a worker says -----------------------------------------------------------------------------


async def test_output_of_python_and_of_c_reaches_the_parent(capsys):
    async with isolated() as rt:
        await rt.run(jobs.prints_from_c)
        printed = capsys.readouterr()
    assert "said by C" in printed.out
    assert "said by Python" in printed.out
    assert "to stderr" in printed.err


async def test_log_records_and_warnings_reach_the_parent(caplog):
    async with isolated() as rt:
        with warnings.catch_warnings(record=True) as seen, caplog.at_level(logging.WARNING):
            warnings.simplefilter("always")
            await rt.run(jobs.logs_and_warns)
    (record,) = [record for record in caplog.records if record.name == "far.away"]
    assert (record.levelname, record.getMessage(), record.tenant) == (
        "ERROR",
        "order 7 failed",
        "acme",
    )
    assert "lanewise-worker" in record.processName
    assert any(
        "mind the gap" in str(one.message) and one.category is DeprecationWarning for one in seen
    )


async def test_named_context_variables_go_with_a_call():
    jobs.REQUEST.set("abc")
    async with isolated(propagate=["process_jobs:REQUEST"]) as rt:
        assert await rt.run(jobs.read_request) == "abc"
    async with isolated(propagate=[jobs.REQUEST]) as rt:
        assert await rt.run(jobs.read_request) == "abc"
    with pytest.raises(ValueError, match="no context variable"):
        isolated(propagate=["process_jobs:NOWHERE"])


# --- streams and maps -------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", ["process", "thread", "event_loop"])
async def test_a_stream_yields_its_items_and_closes_its_generator_when_it_is_left(tmp_path, lane):
    path = tmp_path / "closed"
    async with Runtime(processes=1) as rt:
        view = rt.with_options(lane=lane)
        assert [n async for n in view.stream(jobs.count_up, 100)] == list(range(100))
        items = view.stream(jobs.count_up, 10**9, str(path))
        assert [await anext(items) for _ in range(3)] == [0, 1, 2]
        await items.aclose()
        await lines_of(path)
        with pytest.raises(ValueError, match="midway"):
            async for _ in view.stream(jobs.fails_midway, 3):
                pass
        assert await view.run(jobs.square, 3) == 9


@pytest.mark.parametrize("lane", ["process", "thread"])
async def test_a_stream_runs_only_a_little_ahead(tmp_path, lane):
    path = tmp_path / "made"
    async with Runtime(processes=1) as rt:
        items = rt.with_options(lane=lane).stream(jobs.count_up_noting, 10**9, str(path))
        assert await anext(items) == 0
        await items.aclose()
    assert 1 <= len(path.read_text().splitlines()) <= 2 * STREAM_WINDOW


async def test_a_map_keeps_what_came_before_a_crash():
    async with isolated() as rt:
        got = []
        with pytest.raises(WorkerDiedError):  # noqa: PT012 - because: the loop is what raises
            async for n in rt.map(jobs.crash_at, range(200)):
                got.append(n)  # noqa: PERF401 - because: what came before the crash must be kept
        assert got == list(range(37))


async def test_a_map_is_lazy_and_keeps_order():
    read = []

    def numbers():
        n = 0
        while True:
            read.append(n)
            yield n
            n += 1

    async with isolated() as rt:
        results = rt.map(jobs.square, numbers())
        assert [await anext(results) for _ in range(500)] == [n * n for n in range(500)]
        await results.aclose()
        unordered = sorted([n async for n in rt.map(jobs.square, range(3000), ordered=False)])
        assert unordered == [n * n for n in range(3000)]


# --- large data and shared objects ------------------------------------------------------------------


async def test_large_arrays_cross_both_ways_and_are_the_calls_own():
    np = pytest.importorskip("numpy")
    async with isolated(processes=1) as rt:
        array = np.arange(1_000_000, dtype=float)
        for _ in range(3):
            assert await rt.run(jobs.change_first, array) == -1
        assert array[0] == 0
        results = [await rt.run(jobs.zeros, 500_000) for _ in range(3)]
        results[0][:] = 7
        assert results[1].sum() == results[2].sum() == 0


async def test_what_a_worker_keeps_of_an_argument_is_never_overwritten():
    np = pytest.importorskip("numpy")
    async with isolated(processes=1) as rt:
        for n in range(4):
            assert await rt.run(jobs.keep, np.full(200_000, float(n))) == n + 1
        for n in range(4):
            assert await rt.run(jobs.kept_sum, n) == 200_000 * n


async def test_shared_objects_are_read_only_and_sent_once():
    np = pytest.importorskip("numpy")
    async with Runtime(processes=2) as rt:
        array = np.arange(1_000_000, dtype=float)
        handle = rt.share(array)
        assert rt.share(array.copy()) is handle
        array[0] = 99  # what was shared is a copy
        for lane in ("process", "thread"):
            view = rt.with_options(lane=lane)
            assert await view.run(np.sum, handle) == 499_999_500_000.0
            assert not await view.run(jobs.is_writable, handle)
        assert await rt.run(len, [handle, handle]) == 2


@pytest.mark.parametrize(
    ("size", "value", "expected"),
    [
        (len, ["row"] * 40_000, 40_000),  # takes long to be made again, so its length was kept
        (lambda rows: rows[-1], [1, 2, 7], 7),
        (None, b"x" * 5_000, 5_000),
    ],
)
async def test_a_tasks_size_is_that_of_the_shared_object(size, value, expected):
    seen = []
    measured = size and (lambda rows: seen.append(size(rows)) or seen[-1])
    async with Runtime(processes=1) as rt:
        handle = rt.share(value)
        shared = task(jobs.length, size=measured)
        assert await rt.run(shared, handle) == len(value)
        if size is None:
            assert shared.size_of((handle,)) >= expected
        else:
            assert seen[-1] == expected


async def test_without_shared_memory_large_values_cross_through_the_socket(monkeypatch, caplog):
    np = pytest.importorskip("numpy")

    def full(_name, _flags=0):
        raise OSError(28, "No space left on device")

    async with isolated(processes=1) as rt:
        await rt.run(jobs.square, 1)
        monkeypatch.setattr(os, "memfd_create", full)
        array = np.arange(2_000_000, dtype=float)
        for _ in range(2):
            assert await rt.run(np.sum, array) == array.sum()
        handle = rt.share(array)
        assert await rt.run(np.sum, handle) == array.sum()
    assert len([record for record in caplog.records if "slower" in record.message]) == 1


# --- lifetime ---------------------------------------------------------------------------------------


async def test_workers_are_replaced_after_so_many_calls():
    async with isolated(processes=1, max_calls_per_worker=3) as rt:
        pids = collections.Counter([await rt.run(jobs.pid) for _ in range(12)])
        assert max(pids.values()) <= 3
        assert rt.statistics().workers.died == 0


async def test_leaving_kills_what_outlives_the_grace_period(tmp_path, caplog):
    path = tmp_path / "begun"
    async with isolated(grace_s=0.1) as rt:
        running = asyncio.create_task(rt.run(jobs.burn, str(path)))
        await lines_of(path)
    with pytest.raises(WorkerDiedError, match="grace period"):
        await running
    assert "burn" in caplog.text


async def test_the_launcher_may_die_too():
    async with isolated() as rt:
        assert await rt.run(jobs.square, 3) == 9
        (launcher,) = rt._process_lane._crew._launcher.pids
        os.kill(launcher, signal.SIGKILL)
        await gone(launcher)
        for n in range(20):
            assert await rt.run(jobs.square, n) == n * n


async def test_runtimes_in_workers_are_bounded():
    async with isolated(processes=1) as rt:
        assert await rt.run(jobs.nested, 1) == 9
        with pytest.raises(LaneUnavailableError, match="runtimes deep"):
            await rt.run(jobs.nested, 3)


PARENT = """
import asyncio, os, sys
sys.path.insert(0, {path!r})
import process_jobs as jobs
from lanewise import Runtime

async def main():
    async with Runtime(processes=2, lanes=("process",)) as rt:
        if {forked}:
            if os.fork() == 0:
                import time
                time.sleep(600)  # holds every descriptor of its parent
        await asyncio.gather(rt.run(jobs.{job}, {mark!r}), rt.run(jobs.burn, {mark!r}))

asyncio.run(main())
"""


@pytest.mark.parametrize("forked", [False, True])
@pytest.mark.parametrize("job", ["burn", "hold_the_lock_in_c"])
async def test_workers_die_with_a_parent_that_is_killed(tmp_path, job, forked):
    path = tmp_path / "begun"
    source = PARENT.format(
        path=str(Path(jobs.__file__).parent), job=job, mark=str(path), forked=forked
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-c", source, process_group=0
    )
    pids = [int(pid) for pid in await lines_of(path, 2)]
    parent.kill()
    await parent.wait()
    try:
        await gone(*pids)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)


# --- all at once ------------------------------------------------------------------------------------

LOOPS = ["asyncio", "uvloop"]


@pytest.mark.timeout(300)  # sixty workers are started anew
@pytest.mark.parametrize("loop", LOOPS)
def test_killed_workers_cost_the_calls_that_they_ran_and_nothing_else(tmp_path, loop):
    """Calls in flight, workers killed at random: right or failed, never lost, never twice."""
    if loop == "uvloop" and uvloop is None:
        pytest.skip("uvloop is not installed for this interpreter")
    path = str(tmp_path / "calls")
    calls, kills = 1_500, 0

    async def scenario():
        nonlocal kills
        async with isolated() as rt:
            running = [
                asyncio.create_task(rt.run(jobs.log_then_square, path, n)) for n in range(calls)
            ]
            dice = random.Random(1)
            while not all(one.done() for one in running):
                await asyncio.wait(running, timeout=0.05)
                busy = rt._process_lane._crew.pool.busy
                if busy and kills < 60:  # on a slow machine workers must get a chance to start
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(dice.choice(busy).handle.pid, signal.SIGKILL)
                        kills += 1
            return [one.exception() or one.result() for one in running]

    async def bounded():
        async with asyncio.timeout(250):
            return await scenario()

    factory = uvloop.new_event_loop if loop == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        outcomes = runner.run(bounded())
    died = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, WorkerDiedError)]
    assert all(outcome == n * n for n, outcome in enumerate(outcomes) if n not in set(died))
    assert len(died) <= kills
    begun = collections.Counter(Path(path).read_text().split())
    assert max(begun.values()) == 1
    assert len(begun) >= calls - len(died)
