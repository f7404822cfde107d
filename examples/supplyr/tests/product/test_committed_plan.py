"""The plan that comes with SUPPLYR: there, by default, and about the tasks that there are."""

from lanewise import Plan
from lanewise.model.task import as_task

from supplyr import tasks
from supplyr.settings import COMMITTED_PLAN, from_environment


def test_it_holds_unless_another_one_or_none_is_named() -> None:
    assert from_environment({}).plan == COMMITTED_PLAN
    assert from_environment({"SUPPLYR_PLAN": ""}).plan is None


def test_it_knows_every_task_and_no_other() -> None:
    known = set(Plan.load(COMMITTED_PLAN).tasks)
    assert known == {as_task(getattr(tasks, name)).name for name in tasks.__all__}


def test_what_it_observed_fits_what_it_says_of_costs() -> None:
    """A task whose lanes carry many times what its costs allow was timed beside something else."""
    for name, task in Plan.load(COMMITTED_PLAN).tasks.items():
        for seen in task.observations:
            assert 0.05 < seen.efficiency < 5, (name, seen)
