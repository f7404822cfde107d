"""Rare orders of events in the process lane: each of these once went wrong."""

import asyncio
import collections
import functools
import gc
import logging
import os
import signal
import textwrap

import edge_jobs as jobs
import pytest
from leftovers_support import lines_of, nothing_is_left  # noqa: F401 - because: a fixture

from lanewise import (
    LaneUnavailableError,
    NotPortableError,
    Runtime,
    WorkerDiedError,
    deadline,
)
from lanewise.lanes.process import ProcessLane, births
from lanewise.model.lane import Failed, Terms

PATIENCE_S = 60


def isolated(**options):
    return Runtime(**{"processes": 1, "lanes": ("process",), **options})


class opened:  # noqa: N801 - because: used like a function
    """A lane without a runtime."""

    def __init__(self, lane):
        self.lane = lane

    async def __aenter__(self):
        await self.lane.open()
        return self.lane

    async def __aexit__(self, *_):
        await self.lane.close(0)


def in_short(outcomes):
    return [type(one.error).__name__ if isinstance(one, Failed) else one for one in outcomes]


# --- chunks whose worker dies -----------------------------------------------------------------------


async def test_a_chunk_that_never_began_an_item_gets_nothing_of_the_one_before():
    async with opened(ProcessLane(1)) as lane:
        await lane.run_chunk(jobs.tagged, "default", [10, 11, 12])
        outcomes, _ = await lane.run_chunk(jobs.tagged, "default", ["a", "b", jobs.Bomb()])
    assert in_short(outcomes) == ["WorkerDiedError"] * 3


async def test_results_that_cannot_be_made_here_shift_no_others():
    here = os.getpid()
    async with opened(ProcessLane(1)) as lane:
        items = [(here, what) for what in (0, "odd", 2, "die", 4)]
        outcomes, _ = await lane.run_chunk(jobs.odd_or_dead, "default", items)
        assert in_short(outcomes) == [0, "NotPortableError", 2, "WorkerDiedError", 4]
        items = [(here, what) for what in (0, "large odd", 2, 3, 4)]
        outcomes, _ = await lane.run_chunk(jobs.odd_or_dead, "default", items)
        # They came in one pickle with the one that cannot be made.
        assert in_short(outcomes) == ["NotPortableError"] * 2 + [2, 3, 4]


async def test_a_worker_that_dies_after_the_last_item_costs_nothing():
    async with opened(ProcessLane(1)) as lane:
        outcomes, _ = await lane.run_chunk(jobs.last_word, "default", [1, 2, 3])
    assert [outcome.x for outcome in outcomes] == [1, 2, 3]


async def test_many_deaths_in_one_chunk_keep_what_its_items_gave():
    async with opened(ProcessLane(1)) as lane:
        outcomes, _ = await lane.run_chunk(
            jobs.die_below_zero, "default", [0, 1, -1, 2, -1, 3, -1, 4]
        )
    died = "WorkerDiedError"
    assert in_short(outcomes) == [0, 1, died, 2, died, 3, died, died]
    assert outcomes[-1].error.poisoned, "the last one was not started"


async def test_without_a_shared_page_no_item_runs_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(births, "memory_file", lambda _size: None)
    path = str(tmp_path / "ran")
    async with opened(ProcessLane(1)) as lane:
        items = [(path, x) for x in range(8)]
        outcomes, _ = await lane.run_chunk(jobs.note_and_die_once, "default", items)
    assert len(outcomes) == 8
    assert max(collections.Counter((tmp_path / "ran").read_text().split()).values()) == 1


async def test_a_map_of_partial_objects_travels_in_chunks():
    async with isolated() as rt:
        results = [n async for n in rt.map(functools.partial(jobs.add, 1), range(2_000))]
        assert results == list(range(1, 2_001))
        assert rt.statistics().fallbacks == {}


# --- streams ----------------------------------------------------------------------------------------


async def test_a_stream_with_a_large_argument_begins():
    async with asyncio.timeout(PATIENCE_S), isolated() as rt:
        assert [n async for n in rt.stream(jobs.count, bytearray(4_000_000), 40)] == list(range(40))


async def test_a_stream_sent_to_a_worker_that_was_dead_goes_to_another():
    async with asyncio.timeout(PATIENCE_S), isolated() as rt:
        os.kill(await rt.run(jobs.pid), signal.SIGKILL)
        assert [n async for n in rt.stream(jobs.count, None, 40)] == list(range(40))


async def test_an_abandoned_stream_gives_its_worker_back():
    async with asyncio.timeout(PATIENCE_S), isolated(on_cancel="abandon") as rt:
        begun = asyncio.Event()

        async def consume():
            async for _ in rt.stream(jobs.count, None, 10**9):
                begun.set()

        consumer = asyncio.create_task(consume())
        await begun.wait()
        consumer.cancel()
        await asyncio.gather(consumer, return_exceptions=True)
        assert await rt.run(jobs.add, 1, 2) == 3
        assert rt.statistics().workers.killed == 0


async def test_records_of_a_signal_handler_do_not_stop_what_the_worker_sends(caplog):
    async with asyncio.timeout(PATIENCE_S), isolated() as rt:
        sizes = [len(data) async for data in rt.stream(jobs.logs_from_a_signal_handler)]
        assert sizes == [60_000] * 40
        assert await rt.run(jobs.add, 1, 2) == 3
    assert any(record.name == "far.signal" for record in caplog.records)


# --- workers that cannot be started -----------------------------------------------------------------


@pytest.mark.parametrize("initializer", [jobs.exit_now, jobs.fail])
async def test_an_initializer_that_fails_is_told_when_the_runtime_is_entered(initializer):
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(LaneUnavailableError, match="cannot be started"):
            await isolated(processes=2, initializer=initializer).__aenter__()


async def test_an_initializer_that_cannot_cross_is_told_when_the_runtime_is_entered():
    with pytest.raises(NotPortableError, match=r"the initializer .* a lambda"):
        await isolated(initializer=lambda: None).__aenter__()


async def test_an_initializer_that_fails_later_fails_the_calls(tmp_path):
    path = tmp_path / "mark"
    async with asyncio.timeout(PATIENCE_S):
        async with isolated(
            max_calls_per_worker=1, initializer=jobs.fail_once_marked, initargs=(str(path),)
        ) as rt:
            assert await rt.run(jobs.add, 1, 2) == 3
            path.touch()
            # The first ones find workers that were started before.
            calls = [rt.run(jobs.add, 1, 2) for _ in range(10)]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert "too late" in str(outcomes[-1])
    assert isinstance(outcomes[-1], LaneUnavailableError)


async def test_what_a_worker_cannot_map_fails_the_call_that_needs_it():
    np = pytest.importorskip("numpy")
    async with asyncio.timeout(PATIENCE_S):
        async with isolated(initializer=jobs.limit_address_space, initargs=(900 << 20,)) as rt:
            large = rt.share(np.zeros(120_000_000))
            with pytest.raises(NotPortableError, match="allocate"):
                await rt.run(jobs.first_of, large)
            assert await rt.run(jobs.add, 1, 2) == 3


async def test_a_module_that_starts_threads_is_not_forked_with_them(tmp_path, monkeypatch):
    (tmp_path / "has_a_thread.py").write_text(
        textwrap.dedent(
            """
            import queue, threading
            wanted = queue.Queue()
            def work():
                while True:
                    number, box = wanted.get()
                    box.put(number + 1)
            threading.Thread(target=work, daemon=True).start()
            def answer(number):
                box = queue.Queue()
                wanted.put((number, box))
                return box.get(timeout=20)
            """
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    async with isolated(processes=2, preload=["has_a_thread"]) as rt:
        for number in range(4):
            assert await rt.run(jobs.import_and_call, "has_a_thread", number) == number + 1


async def test_a_module_that_never_ends_its_import_holds_nobody_up(tmp_path, monkeypatch):
    mark = tmp_path / "imported"
    (tmp_path / "imports_once.py").write_text(
        textwrap.dedent(
            f"""
            import os, time
            if os.path.exists({str(mark)!r}):
                time.sleep(600)
            open({str(mark)!r}, "w").close()
            def answer():
                return 42
            """
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    async with asyncio.timeout(PATIENCE_S), isolated(processes=2) as rt:
        assert await rt.run(jobs.import_and_call, "imports_once") == 42
        with pytest.raises(WorkerDiedError):
            await rt.run(jobs.exit_now)
        for _ in range(3):
            assert await rt.run(jobs.add, 1, 2) == 3


# --- what calls do ----------------------------------------------------------------------------------


async def test_bound_methods_of_builtin_types_go_as_they_are_now():
    async with isolated() as rt:
        values = {"k": 1}
        assert await rt.run(values.get, "k") == 1
        values["k"] = 2
        assert await rt.run(values.get, "k") == 2


async def test_what_was_called_is_not_kept():
    async with isolated() as rt:
        for _ in range(20):
            await rt.run(functools.partial(jobs.add, bytes(1_000_000)), b"")
        gc.collect()
        held = [one for one in gc.get_objects() if isinstance(one, functools.partial)]
        assert not [one for one in held if one.func is jobs.add]


async def test_reading_a_shared_array_is_not_held_against_a_worker():
    np = pytest.importorskip("numpy")
    async with isolated(worker_memory_bytes=200_000_000) as rt:
        shared = rt.share(np.ones(40_000_000))
        assert await rt.run(jobs.total_slowly, shared) == 40_000_000


async def test_a_call_that_fails_like_one_that_never_ran_is_not_run_again(tmp_path):
    path = tmp_path / "ran"
    async with Runtime(processes=1) as rt:
        with pytest.raises(NotPortableError, match="lambda"):
            await rt.run(jobs.calls_what_cannot_cross, str(path))
    assert len(path.read_text().split()) == 1


async def test_workers_draw_different_numbers():
    pytest.importorskip("numpy")
    async with isolated(processes=2, max_calls_per_worker=1, preload=["numpy.random"]) as rt:
        drawn = await asyncio.gather(*[rt.run(jobs.draw) for _ in range(6)])
    assert len({number for _, number in drawn}) == len({pid for pid, _ in drawn}) == 6


async def test_what_a_call_forks_does_not_answer_for_it():
    async with isolated() as rt:
        for _ in range(2):
            assert await rt.run(jobs.forks_and_exits) == 7
            assert await rt.run(jobs.forks_and_returns) == "of the worker"
        assert [one async for one in rt.map(jobs.forks_and_returns, range(5))] == [
            "of the worker"
        ] * 5
        assert rt.statistics().workers.died == 0


async def test_a_result_that_ends_the_program_when_it_is_made_ends_nothing():
    async with isolated() as rt:
        with pytest.raises(NotPortableError, match="SystemExit"):
            await rt.run(jobs.exits_at_unpickling)
        assert await rt.run(jobs.add, 1, 2) == 3


async def test_an_abandoned_call_outlives_those_behind_it(tmp_path):
    path = tmp_path / "ended"
    async with opened(ProcessLane(1)) as lane:
        abandon = Terms(on_cancel="abandon")
        for _ in range(50):  # from now on they share the worker's inbox
            await lane.run(jobs.nothing, "default", (), {}, abandon)
        calls = [
            asyncio.create_task(lane.run(jobs.nothing, "default", (wait_s,), {}, abandon))
            for wait_s in (0.5, 0, 0, 0)
        ]
        last = asyncio.create_task(
            lane.run(jobs.sleep_and_mark, "default", (str(path), 0), {}, abandon)
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        calls[0].cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await last
        assert lane.statistics().killed == 0


# --- the end ----------------------------------------------------------------------------------------


async def test_calls_behind_a_killed_one_are_refused_at_once_when_the_lane_ends():
    lane = ProcessLane(1)
    await lane.open()
    for _ in range(60):
        await lane.run(jobs.nothing, "default", (0.0,), {})
    calls = [
        asyncio.create_task(lane.run(jobs.nothing, "default", (60.0 if n == 0 else 0.0,), {}))
        for n in range(20)
    ]
    chunk = asyncio.create_task(lane.run_chunk(jobs.nothing, "default", [60.0, 0.0]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await lane.close(0)
    async with asyncio.timeout(PATIENCE_S):
        outcomes = await asyncio.gather(*calls, chunk, return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, LaneUnavailableError)]
    assert len(refused) >= 19
    assert all("closed" in str(one) for one in refused)


def test_outside_of_calls_there_is_no_deadline():
    assert deadline() is None


def test_nothing_is_logged_by_a_lane_that_is_only_made(caplog):
    with caplog.at_level(logging.DEBUG):
        ProcessLane(1)
    assert not caplog.records
