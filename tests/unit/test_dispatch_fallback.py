"""Where a call goes that did not get to the lane that it was sent to."""

import warnings

import pytest

from lanewise import NotPortableError, task
from lanewise.model.lane import PLAIN_TERMS
from lanewise.model.task import as_task
from lanewise.plan.document import Plan
from lanewise.runtime.decision import Decision
from lanewise.runtime.dispatch import Dispatcher
from lanewise.runtime.learning import LearnedTask
from lanewise.runtime.lifetime import CallOptions
from lanewise.runtime.routing import Router
from lanewise.runtime.tally import Tally


class FakeLane:
    """Runs calls, or has them refused."""

    def __init__(self, name, *, refuses=False):
        self.name = name
        self.refuses = refuses

    async def run(self, function, variant, args, kwargs, terms):
        if self.refuses:
            raise NotPortableError(f"the {self.name} lane has no such module")
        return self.name

    async def close(self, grace_s=None):
        """Nothing is open."""


def plain():
    """Stands for what is computed."""


@task(isolation="required")
def isolated():
    """The same, where it may not be in this process."""


class Calls:
    """Calls of one task that were sent to the cluster."""

    def __init__(self, function, **refuses):
        self.task = as_task(function)
        lanes = {name: FakeLane(name, refuses=refuses[name]) for name in refuses}
        router = Router(Plan(), frozenset(lanes), {}, None, 0.001, 2, gil_enabled=True)
        self.dispatcher = Dispatcher(lanes, router, Tally(), {})
        self.known = LearnedTask(self.task.name, None, isolated=False, size_unit="bytes")

    async def run(self, lane="cluster", pinned=None):
        """Send one; return where it ran."""
        decision = Decision(lane, "default", "for a test", known=self.known)
        options = CallOptions(lane=pinned)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return await self.dispatcher.call(self.task, (), {}, PLAIN_TERMS, options, decision)
        finally:
            # The switch interval, which is the process's, stays short for a while after a thread.
            await self.dispatcher.close(None)


@pytest.mark.parametrize("function", [plain, isolated])
async def test_what_a_node_refuses_runs_in_a_process_here(function):
    calls = Calls(function, cluster=True, process=False, thread=False)
    for _ in range(4):
        assert await calls.run() == "process"
    assert calls.known.unportable is None
    assert calls.known.failing == {"cluster/default"}


async def test_what_a_process_refuses_as_well_runs_on_a_thread():
    calls = Calls(plain, cluster=True, process=True, thread=False)
    for _ in range(3):
        assert await calls.run() == "thread"
    assert "process lane" in calls.known.unportable


async def test_without_processes_it_runs_on_a_thread_and_is_not_taken_for_what_cannot_cross():
    calls = Calls(plain, cluster=True, thread=False)
    for _ in range(3):
        assert await calls.run() == "thread"
    assert calls.known.unportable is None


async def test_what_must_be_isolated_runs_on_no_thread():
    calls = Calls(isolated, cluster=True, thread=False)
    with pytest.raises(NotPortableError):
        await calls.run()


async def test_what_is_pinned_to_the_cluster_runs_nowhere_else():
    calls = Calls(plain, cluster=True, process=False, thread=False)
    with pytest.raises(NotPortableError):
        await calls.run(pinned="cluster")


async def test_refusals_are_counted_in_a_row():
    known = LearnedTask("f", None, isolated=False, size_unit="bytes")
    for _ in range(2):
        known.could_not_enter("default", "cluster")
    known.could_not_enter("default")
    known.crossed("cluster")
    known.could_not_enter("default", "cluster")
    assert not known.failing
