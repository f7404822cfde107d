"""``lanewise.Executor`` under the standard's signatures, for the standard's own tests."""

import multiprocessing

import lanewise


class ProcessPool(lanewise.Executor):
    """Takes what ``ProcessPoolExecutor`` takes, and shows two of the private parts that tests look at."""

    def __init__(
        self,
        max_workers=None,
        mp_context=None,
        initializer=None,
        initargs=(),
        *,
        max_tasks_per_child=None,
    ):
        super().__init__(
            max_workers,
            initializer=initializer,
            initargs=initargs,
            start_method=None if mp_context is None else mp_context.get_start_method(),
            max_calls_per_worker=max_tasks_per_child,
        )

    @property
    def _broken(self):
        return self._engine._broken is not None

    @property
    def _executor_manager_thread(self):
        return self._engine._thread


class ThreadPool(lanewise.Executor):
    """Takes what ``ThreadPoolExecutor`` takes."""

    def __init__(self, max_workers=None):
        super().__init__(max_workers, lane="thread")


def use_authkey(key):
    """Have this process trusted by managers of the one that it works for."""
    multiprocessing.current_process().authkey = key
