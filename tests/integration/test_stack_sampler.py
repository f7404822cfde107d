"""Stacks of threads and the time that they spent on cores, as the watch of a loop takes them."""

from __future__ import annotations

import sys
import threading
import time

import pytest
from leftovers_support import PATIENCE_S

from lanewise.runtime import stack_sampler
from lanewise.runtime.core_clock import CoreClock
from lanewise.runtime.stack_sampler import StackSampler


def burn(length_s):
    until_s = time.perf_counter() + length_s
    number = 0
    while time.perf_counter() < until_s:
        number += 1
    return number


def park(ready, over):
    ready.set()
    over.wait(PATIENCE_S)


@pytest.fixture
def parked():
    """A thread that stands in park()."""
    ready, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=park, args=(ready, over))
    thread.start()
    assert ready.wait(PATIENCE_S)
    yield thread
    over.set()
    thread.join()


@pytest.mark.parametrize("by_dump", [False, True])
def test_the_stack_of_a_parked_thread_shows_where_it_stands(parked, by_dump, monkeypatch):
    if by_dump:
        monkeypatch.setattr(stack_sampler, "_FRAMES_ARE_SAFE_SINCE", (9,))
    sampler = StackSampler()
    sampler.prepare()
    for _ in range(3):
        stacks = sampler.sample()
        functions = [frame.function for frame in stacks[parked.ident]]
        assert "park" in functions
        assert functions.index("run") < functions.index("park") < functions.index("wait")
        assert threading.get_ident() not in stacks
    sampler.close()
    sampler.close()


def test_without_a_scratch_file_there_are_no_stacks_and_no_error(parked, monkeypatch):
    def fail():
        raise OSError("no descriptors left")

    monkeypatch.setattr(stack_sampler, "_FRAMES_ARE_SAFE_SINCE", (9,))
    monkeypatch.setattr(stack_sampler, "_scratch_file", fail)
    assert StackSampler().sample() == {}


def test_stacks_can_be_taken_while_threads_run_and_end():
    over = threading.Event()

    def down(depth):
        return depth if depth == 0 else down(depth - 1)

    def run_about():
        while not over.is_set():
            down(30)
            threading.Thread(target=down, args=(5,)).start()

    threads = [threading.Thread(target=run_about) for _ in range(3)]
    for thread in threads:
        thread.start()
    sampler = StackSampler()
    for _ in range(50):
        for stack in sampler.sample().values():
            assert all(frame.line >= 0 for frame in stack)
    sampler.close()
    over.set()
    for thread in threads:
        thread.join()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_the_time_of_a_thread_is_that_which_it_spent_on_a_core(parked):
    clock, me = CoreClock(threading.get_native_id()), threading.get_ident()
    # The process's time is read before its threads', and what a busy machine does between the two counts
    # for the one and not for the other.
    for _ in range(3):
        before = clock.now()
        burn(0.05)
        spent = clock.now().since(before)
        if spent.threads_s[me] <= spent.process_s * 1.01:
            break
    clock.close()
    clock.close()
    assert 0 <= spent.threads_s[parked.ident] < spent.threads_s[me]
    assert spent.threads_s[me] <= spent.process_s * 1.01
    assert spent.queued_s >= 0
    assert clock.now().queued_s == 0
