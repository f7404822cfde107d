"""What ``Executor`` promises beside the standard's semantics, and what they meet in real programs."""

import asyncio
import contextlib
import gc
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
import weakref
from concurrent.futures import CancelledError, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import executor_jobs
import process_jobs as jobs
import pytest

from lanewise import Executor, WorkerDiedError
from lanewise.testing import Leftovers
from lanewise.testing.calls import visit

PATIENCE_S = 60


@pytest.fixture(autouse=True)
def nothing_is_left():
    """Afterwards there is no process and no thread that was not there before."""
    before = Leftovers.now()
    yield
    gc.collect()
    left = Leftovers.now().since(before)
    assert not left, str(left)


class Door:
    """Calls of ``visit`` wait here until they are let go."""

    def __init__(self, directory):
        self.address = str(directory / "door")
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(self.address)
        self._server.listen()
        self._server.settimeout(PATIENCE_S)
        self._inside = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open()

    def arrival(self):
        """Wait until a call is here; return its name."""
        connection, _ = self._server.accept()
        connection.settimeout(PATIENCE_S)
        self._inside.append(connection)
        return connection.makefile().readline().strip()

    def open(self):
        """Let all go on that are here, and refuse others."""
        for connection in self._inside:
            connection.close()
        self._server.close()


def ended(pid):
    """Wait until a process has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        return bool(poller.poll(PATIENCE_S * 1000))
    finally:
        os.close(fd)


def program(script):
    """Run a program that uses the library; return what it printed."""
    far_side = str(Path(jobs.__file__).parent)
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (far_side, os.environ.get("PYTHONPATH")))),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


# --- a worker that dies -------------------------------------------------------------------------------


def test_a_crash_costs_its_call_and_no_other():
    with Executor(2) as pool:
        before = [pool.submit(jobs.square, n) for n in range(20)]
        lost = pool.submit(jobs.exit_with, 3)
        after = [pool.submit(jobs.square, n) for n in range(20)]
        with pytest.raises(BrokenProcessPool) as caught:
            lost.result()
        assert isinstance(caught.value, WorkerDiedError)
        assert caught.value.exit_code == 3
        assert [future.result() for future in before + after] == [n * n for n in range(20)] * 2
        assert pool.submit(jobs.square, 3).result() == 9


def test_a_worker_that_is_killed_takes_its_own_call_with_it(tmp_path):
    with Executor(2) as pool, Door(tmp_path) as door:
        lost = pool.submit(jobs.kill_self, signal.SIGKILL)
        held = pool.submit(visit, door.address, "held")
        assert door.arrival() == "held"
        assert isinstance(lost.exception(), BrokenProcessPool)
        door.open()
        assert held.result() == "held"


def test_an_initializer_that_fails_breaks_the_executor():
    with Executor(1, initializer=jobs.explode) as pool:
        waiting = [pool.submit(jobs.square, n) for n in range(3)]
        for future in waiting:
            with pytest.raises(BrokenProcessPool, match="cannot be made again"):
                future.result()
        with pytest.raises(BrokenProcessPool, match="cannot be made again"):
            pool.submit(jobs.square, 3)


def test_an_initializer_runs_once_in_each_worker(tmp_path):
    path = tmp_path / "begun"
    with Executor(1, initializer=jobs.mark, initargs=(str(path),)) as pool:
        pids = {str(pool.submit(jobs.pid).result()) for _ in range(5)}
    begun = path.read_text().split()
    assert pids <= set(begun)
    assert len(set(begun)) == len(begun)


def test_an_initializer_is_refused_where_no_worker_would_run_it():
    with pytest.raises(ValueError, match="initializer"):
        Executor(lane="thread", initializer=jobs.pid)


# --- where calls come from ----------------------------------------------------------------------------


async def test_a_loop_runs_calls_in_it():
    loop = asyncio.get_running_loop()
    with Executor(2) as pool:
        calls = [loop.run_in_executor(pool, jobs.square, n) for n in range(20)]
        assert await asyncio.gather(*calls) == [n * n for n in range(20)]
        with pytest.raises(ValueError, match="outer"):
            await loop.run_in_executor(pool, jobs.raises_with_cause)


def test_several_threads_may_submit_at_once():
    results = {}
    with Executor(2) as pool:

        def submit(number):
            futures = [pool.submit(jobs.square, n) for n in range(100)]
            results[number] = [future.result() for future in futures]

        threads = [threading.Thread(target=submit, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {number: [n * n for n in range(100)] for number in range(4)}


def test_variables_that_go_with_a_call_are_those_of_who_submits_it():
    with Executor(1, propagate=("process_jobs:REQUEST",)) as pool:
        assert pool.submit(jobs.read_request).result() == "none"
        token = jobs.REQUEST.set("seven")
        try:
            seen = pool.submit(jobs.read_request)
        finally:
            jobs.REQUEST.reset(token)
        assert seen.result() == "seven"
        assert pool.submit(jobs.read_request).result() == "none"


def test_one_worker_runs_one_call_after_the_other(tmp_path):
    path = tmp_path / "order"
    with Executor(1) as pool:
        futures = [pool.submit(jobs.log_then_square, str(path), n) for n in range(50)]
        wait(futures)
    assert [int(line) for line in path.read_text().split()] == list(range(50))


def test_a_callable_that_cannot_be_looked_up_harms_no_other_call():
    with Executor(1, lane="thread") as pool:
        error = pool.submit(executor_jobs.OddHash()).exception()
        assert error is None or "no hash" in str(error)
        assert pool.submit(jobs.square, 3).result() == 9


# --- lanes --------------------------------------------------------------------------------------------


def test_the_thread_lane_stays_in_this_process():
    with Executor(2, lane="thread") as pool:
        assert pool.submit(os.getpid).result() == os.getpid()
        assert list(pool.map(jobs.square, range(10), chunksize=3)) == [n * n for n in range(10)]


def test_the_automatic_lane_follows_what_is_known_of_a_function():
    with Executor(1, lane="auto") as pool:
        assert pool.submit(os.getpid).result() != os.getpid()
        assert pool.submit(executor_jobs.pid_on_a_thread).result() == os.getpid()


def test_unknown_lanes_are_refused():
    with pytest.raises(ValueError, match="nowhere"):
        Executor(lane="nowhere")


# --- map ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunksize", [1, 3])
def test_map_reads_its_items_at_once_and_yields_in_order(chunksize):
    read = []

    def items():
        for n in range(7):
            read.append(n)
            yield n

    with Executor(2) as pool:
        results = pool.map(jobs.square, items(), chunksize=chunksize)
        assert read == list(range(7))
        assert list(results) == [n * n for n in range(7)]


def test_items_of_a_chunk_run_in_one_worker():
    with Executor(2) as pool:
        pids = list(pool.map(executor_jobs.pid_of, range(12), chunksize=4))
    assert all(len(set(pids[n : n + 4])) == 1 for n in (0, 4, 8))


def test_map_in_chunks_does_not_keep_what_it_yielded():
    with Executor(1) as pool:
        for thing in pool.map(executor_jobs.make_thing, range(4), chunksize=2):
            alive = weakref.ref(thing)
            del thing
            gc.collect()
            assert alive() is None


# --- exceptions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", ["process", "thread"])
def test_exceptions_show_where_they_were_raised(lane):
    with Executor(1, lane=lane) as pool, pytest.raises(ValueError, match="outer") as caught:
        pool.submit(jobs.raises_with_cause).result()
    shown = "".join(traceback.format_exception(caught.value))
    assert 'raise ValueError("outer") from error' in shown
    assert "process_jobs.py" in shown
    assert isinstance(caught.value.__cause__, KeyError)


# --- the end ------------------------------------------------------------------------------------------


def test_calls_that_are_cancelled_at_the_end_are_told_to_those_who_wait(tmp_path):
    with Executor(1) as pool, Door(tmp_path) as door:
        held = pool.submit(visit, door.address, "held")
        assert door.arrival() == "held"
        rest = [pool.submit(jobs.square, n) for n in range(30)]
        pool.shutdown(wait=False, cancel_futures=True)
        # One call more than there are workers is as good as running.
        done, not_done = wait(rest[1:], timeout=PATIENCE_S)
        assert not not_done
        assert all(future.cancelled() for future in done)
        door.open()
        assert held.result() == "held"
        assert rest[0].result() == 0


def test_who_is_told_of_a_cancelled_call_may_use_the_executor(tmp_path):
    told = threading.Event()
    refused = []
    with Executor(1) as pool, Door(tmp_path) as door:

        def again(future):
            with contextlib.suppress(CancelledError):
                future.result()
                return
            try:
                pool.submit(jobs.square, 3)
            except RuntimeError as error:
                refused.append(error)
            pool.shutdown()
            told.set()

        pool.submit(visit, door.address, "held")
        assert door.arrival() == "held"
        for n in range(30):
            pool.submit(jobs.square, n).add_done_callback(again)
        pool.shutdown(wait=False, cancel_futures=True)
        assert told.wait(PATIENCE_S)
        door.open()
    assert refused


@pytest.mark.parametrize("lane", ["process", "thread"])
def test_an_executor_that_is_forgotten_ends_its_calls_and_then_itself(lane):
    pool = Executor(2, lane=lane)
    results = pool.map(abs, range(-5, 5))
    thread = pool._engine._thread
    del pool
    gc.collect()
    thread.join()
    assert list(results) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("lane", ["process", "thread"])
def test_shutting_down_without_waiting_lets_calls_end(lane):
    pool = Executor(2, lane=lane)
    results = pool.map(abs, range(-5, 5))
    thread = pool._engine._thread
    pool.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(abs, 1)
    thread.join()
    assert list(results) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]


def test_an_executor_that_was_never_used_starts_nothing():
    before = Leftovers.now()
    with Executor(2):
        assert not Leftovers.now().since(before)


def test_a_program_that_ends_without_shutdown_leaves_no_process():
    printed = program(
        """
import executor_jobs, lanewise
if __name__ == "__main__":
    pool = lanewise.Executor(2)
    print(*pool.submit(executor_jobs.pids).result(), flush=True)
    pool.submit(print, "the last call")
"""
    )
    pids, last = printed.splitlines()
    assert last == "the last call"
    assert all(ended(int(pid)) for pid in pids.split())


def test_a_program_whose_main_thread_fails_leaves_no_process():
    printed = program(
        """
import os, executor_jobs, lanewise
if __name__ == "__main__":
    pool = lanewise.Executor(2)
    print(*pool.submit(executor_jobs.pids).result(), flush=True)
    os._exit(0)
"""
    )
    assert all(ended(int(pid)) for pid in printed.split())


def test_a_forked_child_ends_by_itself_and_disturbs_nothing():
    printed = program(
        """
import os, sys, warnings, lanewise
warnings.simplefilter("ignore")  # of forking beside threads
if __name__ == "__main__":
    with lanewise.Executor(1) as pool:
        print(pool.submit(abs, -1).result(), flush=True)
        child = os.fork()
        if child == 0:
            sys.exit(0)
        print(os.waitpid(child, 0)[1], pool.submit(abs, -2).result())
"""
    )
    assert printed.split() == ["1", "0", "2"]


def test_in_a_forked_child_it_says_where_it_was_started_and_does_not_hang():
    printed = program(
        """
import os, sys, warnings, lanewise
warnings.simplefilter("ignore")  # of forking beside threads
if __name__ == "__main__":
    before = lanewise.Executor(1)
    with lanewise.Executor(1) as pool:
        pool.submit(abs, -1).result()
        child = os.fork()
        if child == 0:
            try:
                pool.submit(abs, -3)
            except RuntimeError as error:
                print("forked" in str(error), flush=True)
            pool.shutdown()
            print(before.submit(abs, -4).result(), flush=True)  # not started before the fork
            before.shutdown()
            os._exit(0)
        print(os.waitpid(child, 0)[1], pool.submit(abs, -2).result())
"""
    )
    assert printed.split() == ["True", "4", "0", "2"]
