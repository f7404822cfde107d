"""What a look makes of a loop's thread that was woken and has no core yet."""

import types

import pytest

from lanewise.diagnose.interpreter import NO_STACK, Lock, PythonThread
from lanewise.diagnose.kernel_view import SchedulerTimes, Waiting
from lanewise.diagnose.looker import InterpreterLooker
from lanewise.diagnose.session import ProcessRecord, ThreadRecord
from lanewise.diagnose.watched import Watched

THREAD = PythonThread(1, 100, Lock(4096, 4104), 8192)
TIMES = SchedulerTimes(5, 5, 5)


class Kernel:
    """A thread that has not been given a core since the first look."""

    def __init__(self, *waits):
        self._waits = list(waits)
        self.native_id = 100

    def times(self):
        return TIMES

    def waiting(self):
        return self._waits.pop(0) if len(self._waits) > 1 else self._waits[0]

    def on_core(self):
        return 0


def looks_at(*waits):
    record = ProcessRecord(100, "python")
    interpreter = types.SimpleNamespace(
        holder=lambda lock: 0,
        stack=lambda thread: NO_STACK,
        collecting=lambda thread: False,
        waits=lambda thread, address: False,
    )
    looker = InterpreterLooker(record, interpreter, 0)
    record.threads.append(ThreadRecord(100, ""))
    watched = Watched(0, Kernel(*waits), TIMES, TIMES)
    for now_us in (1000, 2000, 3000):
        looker._look_at(THREAD, {THREAD.state}, watched, {1: 100}, now_us)
    return record.looks


def test_a_loop_that_was_woken_and_has_no_core_does_not_sleep():
    looks = looks_at(Waiting("epoll"), Waiting("running"))
    assert [look.runnable for look in looks] == [False, True, True]
    assert looks[1].on_core == 0


@pytest.mark.parametrize("call", ["epoll", "futex", "poll"])
def test_a_thread_that_sleeps_on_is_one_look(call):
    [look] = looks_at(Waiting(call))
    assert (look.start_us, look.end_us, look.moments) == (1000, 3000, 3)


def test_only_loops_are_asked_again():
    [look] = looks_at(Waiting("poll"), Waiting("running"))
    assert look.moments == 3
