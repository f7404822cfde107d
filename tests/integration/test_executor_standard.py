"""CPython's own tests of executors, run against ``lanewise.Executor``.

Nothing of them is copied: the mixins are imported from the ``test`` package of the interpreter that runs
this. What is left out or replaced is set to None, or written anew, with its reason beside it.
"""

import contextlib
import functools
import gc
import importlib
import multiprocessing
import multiprocessing.managers
import os
import re
import signal
import sys
import traceback
import unittest
import unittest.mock
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
import standard_pool

from lanewise import NotPortableError
from lanewise.testing import Leftovers

NAME = "test.test_concurrent_futures"
PARTS = ("util", "executor", "test_wait", "test_as_completed", "test_shutdown", "test_init")
PARTS += ("test_process_pool", "test_deadlock")

try:
    from test import support

    whole = importlib.import_module(NAME)
    # One module up to 3.11, a package since.
    modules = (
        [importlib.import_module(f"{NAME}.{part}") for part in PARTS]
        if hasattr(whole, "__path__")
        else [whole]
    )
except (ImportError, unittest.SkipTest) as missing:
    pytest.skip(
        f"this interpreter comes without CPython's tests of executors ({missing})",
        allow_module_level=True,
    )


def standard(name):
    """Return a class of the standard's tests."""
    return next(getattr(module, name) for module in modules if hasattr(module, name))


# They tell moments apart that lie half a second to six seconds from each other, and a busy machine may
# let a process stand still for as long.
AGAINST_THE_CLOCK = (
    "test_cancel_futures",
    "test_first_completed",
    "test_first_completed_some_already_completed",
    "test_first_exception",
    "test_first_exception_one_already_failed",
    "test_first_exception_some_already_complete",
    "test_future_times_out",
    "test_map_timeout",
    "test_timeout",
    "test_zero_timeout",
)


def patient(name):
    """Return a class of the standard's tests, those of them against the clock with three tries."""
    original = standard(name)
    tests = {
        one: with_three_tries(getattr(original, one))
        for one in AGAINST_THE_CLOCK
        if getattr(original, one, None) is not None
    }
    return type(f"Patient{original.__name__}", (original,), tests)


def with_three_tries(test):
    """Return the test, which has another executor for each try."""

    @functools.wraps(test)
    def run(self):
        # What fails in a part would be noted there, and not be seen here.
        parts = unittest.mock.patch.object(self, "subTest", return_value=contextlib.nullcontext())
        for _ in range(2):
            try:
                with parts:
                    return test(self)
            except AssertionError:
                self.tearDown()
                self.setUp()
        return test(self)

    return run


BaseTestCase = standard("BaseTestCase")


# --- around every test --------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch):
    """There is no process that was not there before, and the standard's helpers saw no leak either."""
    monkeypatch.setattr(support, "environment_altered", False)
    before = Leftovers.now()
    yield
    gc.collect()
    left = Leftovers.now().since(before)
    assert not left, str(left)
    assert not support.environment_altered, "threads or children were left; see the output"


@pytest.fixture(autouse=True)
def there_is_time(monkeypatch):
    """What is there against standstills, one and five seconds, is longer: this machine may be busy."""
    alarm, wait = signal.alarm, multiprocessing.managers.EventProxy.wait
    monkeypatch.setattr(signal, "alarm", lambda seconds: alarm(12 * seconds))
    monkeypatch.setattr(
        multiprocessing.managers.EventProxy,
        "wait",
        lambda event, timeout=None: wait(event, timeout and 60 * timeout),
    )


@pytest.fixture(autouse=True)
def scripts_use_this_library(monkeypatch):
    """Programs that the standard's tests start import the executor from here."""
    far_side = str(Path(standard_pool.__file__).parent)
    path = os.pathsep.join(filter(None, (far_side, os.environ.get("PYTHONPATH"))))
    for module in modules:
        if hasattr(module, "assert_python_ok"):
            original = module.assert_python_ok

            def run(flag, script, original=original):
                script = re.sub(
                    r"from concurrent\.futures import (?=\w*Pool\b)",
                    "from standard_pool import ",
                    script,
                )
                assert "standard_pool" in script
                return original(flag, script, PYTHONPATH=path)

            monkeypatch.setattr(module, "assert_python_ok", run)


# These programs end while their first call is about to begin, for which 3.12.0 to 3.12.2 let no thread
# start any more (mended in 3.12.3).
AT_ONCE = ("test_interpreter_shutdown", "test_hang_gh83386")


@pytest.fixture(autouse=True)
def what_this_python_cannot_do(request):
    if request.node.name in AT_ONCE and (3, 12, 0) <= sys.version_info[:3] <= (3, 12, 2):
        pytest.skip("this Python starts no threads once its main thread has ended")


# --- where executors run ------------------------------------------------------------------------------


class OnForkserver(standard("ProcessPoolForkserverMixin")):
    executor_type = standard_pool.ProcessPool


class OnSpawn(standard("ProcessPoolSpawnMixin")):
    executor_type = standard_pool.ProcessPool


class OnProcesses(standard("ExecutorMixin")):
    """Without a context, as most programs have it."""

    executor_type = standard_pool.ProcessPool


class OnThreads(standard("ThreadPoolMixin")):
    executor_type = standard_pool.ThreadPool


# --- submit, map, wait, as_completed ------------------------------------------------------------------


class Processes(patient("ProcessPoolExecutorTest")):
    # A method of the standard's class, since workers cannot import this module.
    _test_traceback = standard("ProcessPoolExecutorTest")._test_traceback

    test_max_workers_too_large = None  # of Windows' pool alone
    test_saturation = None  # counts _processes
    test_idle_process_reuse_one = None  # counts _processes; here all are started at once
    test_idle_process_reuse_multiple = None  # as above
    test_max_tasks_per_child_defaults_to_spawn_context = None  # reads _mp_context
    test_python_finalization_error = None  # forbids a second thread, of which there is none here

    def test_killed_child(self):
        """Kills one of _processes and wants the pool broken: here one call is lost and nothing else."""
        lost = self.executor.submit(signal.raise_signal, signal.SIGKILL)
        with pytest.raises(BrokenProcessPool):
            lost.result()
        assert self.executor.submit(pow, 2, 8).result() == 256

    def test_traceback(self):
        """Wants the far side's traceback as a text in __cause__: here it is a traceback itself."""
        raised = self.executor.submit(self._test_traceback).exception()
        assert type(raised) is RuntimeError
        assert raised.args == (123,)
        line = "raise RuntimeError(123) # some comment"
        assert line in "".join(traceback.format_exception(raised))
        with support.captured_stderr() as shown:
            sys.excepthook(type(raised), raised, raised.__traceback__)
        assert line in shown.getvalue()

    def test_ressources_gced_in_workers(self):
        """Sends a manager's proxy: workers are not multiprocessing's, so they are told its key."""
        self.executor.shutdown()
        key = bytes(multiprocessing.current_process().authkey)
        self.executor = self.executor_type(
            1,
            self.get_context(),
            initializer=standard_pool.use_authkey,
            initargs=(key,),
        )
        super().test_ressources_gced_in_workers()

    def test_max_tasks_per_child(self):
        """Counts _processes besides."""
        executor = self.executor_type(1, self.get_context(), max_tasks_per_child=3)
        with executor:
            pids = [executor.submit(os.getpid).result() for _ in range(7)]
        assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]


class TestProcessesByForkserver(Processes, OnForkserver, BaseTestCase):
    pass


class TestProcessesBySpawn(Processes, OnSpawn, BaseTestCase):
    pass


class TestThreads(patient("ExecutorTest"), OnThreads, BaseTestCase):
    pass


class TestWaitForProcesses(patient("WaitTests"), OnProcesses, BaseTestCase):
    pass


class TestWaitForThreads(patient("WaitTests"), OnThreads, BaseTestCase):
    test_pending_calls_race = standard("ThreadPoolWaitTests").test_pending_calls_race


class TestAsCompletedByProcesses(patient("AsCompletedTests"), OnProcesses, BaseTestCase):
    pass


class TestAsCompletedByThreads(patient("AsCompletedTests"), OnThreads, BaseTestCase):
    pass


# --- the end ------------------------------------------------------------------------------------------

# ProcessPoolShutdownTest makes the standard's own pool by name and looks at its queues and processes;
# what it proves is proved in test_executor.py.


class Shutdown(patient("ExecutorShutdownTest")):
    test_hang_gh83386 = None  # its program forgets an import where there is a context


class TestShutdownOfProcesses(patient("ExecutorShutdownTest"), OnProcesses, BaseTestCase):
    pass


class TestShutdownOfProcessesByForkserver(Shutdown, OnForkserver, BaseTestCase):
    pass


class TestShutdownOfProcessesBySpawn(Shutdown, OnSpawn, BaseTestCase):
    pass


class TestShutdownOfThreads(patient("ExecutorShutdownTest"), OnThreads, BaseTestCase):
    pass


# --- initializers -------------------------------------------------------------------------------------


class TestInitializerByForkserver(standard("InitializerMixin"), OnForkserver, BaseTestCase):
    pass


class TestInitializerBySpawn(standard("InitializerMixin"), OnSpawn, BaseTestCase):
    pass


# Not with a context, where its initializer is given a queue that only multiprocessing's own children can
# inherit; FailingInitializerResourcesTest asks for leaks, as nothing_is_left does here.
class TestFailingInitializer(standard("FailingInitializerMixin"), OnProcesses, BaseTestCase):
    def _assert_logged(self, _message):
        return contextlib.nullcontext()  # told by the BrokenProcessPool itself


# --- crashes ------------------------------------------------------------------------------------------

# Where the standard breaks the pool, one call fails here, and it says what could not cross.
INSTEAD = {
    "test_error_at_task_pickle": NotPortableError,
    "test_exit_at_task_unpickle": NotPortableError,
    "test_error_at_task_unpickle": NotPortableError,
    "test_exit_during_func_exec_on_worker": RuntimeError,  # no future carries a SystemExit here
    "test_exit_during_result_pickle_on_worker": NotPortableError,
    "test_error_during_result_pickle_on_worker": NotPortableError,
    "test_error_during_result_unpickle_in_result_handler": NotPortableError,
    "test_exit_during_result_unpickle_in_result_handler": NotPortableError,
}


class Crashes(standard("ExecutorDeadlockTest")):
    # Replaces parts of the standard's pool by name.
    test_gh105829_should_not_deadlock_if_wakeup_pipe_full = None

    def _check_crash(self, error, func, *args, **options):
        super()._check_crash(INSTEAD.get(self._testMethodName, error), func, *args, **options)

    def _fail_on_deadlock(self, executor):
        """Would end _processes."""
        self.fail(f"{executor} hangs")

    def test_shutdown_deadlock_pickle(self):
        module = sys.modules[standard("ExecutorDeadlockTest").__module__]
        with unittest.mock.patch.object(module, "PicklingError", NotPortableError):
            super().test_shutdown_deadlock_pickle()


class TestCrashesByForkserver(Crashes, OnForkserver, BaseTestCase):
    pass


class TestCrashesBySpawn(Crashes, OnSpawn, BaseTestCase):
    pass
