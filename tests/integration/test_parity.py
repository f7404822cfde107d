"""Does a task mean the same on every lane?"""

import asyncio
import os
import warnings
from pathlib import Path

import parity_jobs as jobs
import pytest

from lanewise import LanewiseError, NotPortableError, Runtime, task
from lanewise.testing import check_parity

EVERYWHERE = ("event_loop", "thread", "process")


def test_what_means_the_same_everywhere_is_portable():
    report = check_parity(jobs.total, [([1, 2, 3], 2.0), ([], 1.0)])
    assert report.verdict == "portable", report
    assert report.ok
    assert {*EVERYWHERE} <= {*report.lanes}
    assert not report.effects
    assert not report.notes


def test_one_tuple_is_one_call():
    assert check_parity(jobs.total, ([1, 2], 3.0), lanes=EVERYWHERE).ok


@pytest.mark.parametrize(
    ("function", "args", "words"),
    [
        (jobs.sorts_its_argument, ([3, 1, 2],), "argument 0 is changed"),
        (jobs.remembers, ("row",), "SEEN of its module is changed"),
        (jobs.changes_a_class, (1,), "Settings.level of its module is changed"),
        (jobs.sets_the_environment, ("x",), "the environment is changed"),
    ],
)
def test_what_changes_more_than_it_returns_needs_isolation(monkeypatch, function, args, words):
    monkeypatch.setenv("LANEWISE_PARITY", "before")
    report = check_parity(function, [args], lanes=EVERYWHERE)
    assert report.verdict == "needs isolation", report
    assert f"{words}, on thread" in report.effects
    assert f"{words}, on process, where nobody sees it" in report.effects
    assert "isolation" in str(report)


@pytest.mark.parametrize("function", [jobs.counts, jobs.where])
def test_what_rests_on_something_that_lanes_do_not_share_depends_on_them(function):
    report = check_parity(function, [("row",)], lanes=EVERYWHERE)
    assert report.verdict == "depends on the lane", report
    assert report.differences


@pytest.mark.parametrize("function", [jobs.cached, jobs.cached_by_decorator])
def test_a_cache_is_no_effect(monkeypatch, function):
    monkeypatch.setattr(jobs, "CACHE", {})
    assert check_parity(function, [("key",)], lanes=EVERYWHERE).ok


def test_a_cache_that_was_filled_is_noted(monkeypatch):
    monkeypatch.setattr(jobs, "CACHE", {})
    report = check_parity(jobs.cached, [("key",)], lanes=EVERYWHERE)
    assert any("CACHE" in note and "first call alone" in note for note in report.notes)


def test_what_raises_the_same_everywhere_is_portable():
    assert check_parity(jobs.fails, [("way",)], lanes=EVERYWHERE).ok


def test_what_cannot_leave_its_process_is_not_portable():
    report = check_parity(jobs.returns_a_lock, [(1,)], lanes=EVERYWHERE)
    assert report.verdict in ("not portable", "depends on the lane")
    assert "process" in report.left_out
    local = check_parity(task(lambda n: n), [(1,)], lanes=EVERYWHERE)
    assert local.verdict == "not portable", local


def test_each_variant_is_compared():
    assert check_parity(jobs.doubled, [(5,)], lanes=EVERYWHERE).ok
    report = check_parity(jobs.doubled_wrong, [(2,), (5,)], lanes=EVERYWHERE)
    assert "variant wrong gives 11 where default gives 10" in report.differences, report


async def test_it_may_be_called_where_a_loop_runs():
    assert check_parity(jobs.total, ([1], 1.0), lanes=("thread",)).lanes == ("thread",)


@pytest.mark.parametrize("inputs", [[], [3], ["ab"]])
def test_inputs_that_are_none_are_refused(inputs):
    with pytest.raises(ValueError, match="input"):
        check_parity(jobs.total, inputs)


def test_an_input_that_cannot_be_copied_is_told():
    with pytest.raises(NotPortableError, match="cannot be pickled"):
        check_parity(jobs.total, [(lambda: None, 1)])


def test_a_lane_that_is_nowhere_is_told():
    with pytest.raises((LanewiseError, ValueError)):
        check_parity(jobs.total, ([1], 1.0), lanes=("cluster",))


def test_the_callers_own_process_is_left_as_it_was(tmp_path):
    before = dict(os.environ), Path.cwd()
    check_parity(jobs.total, ([1], 1.0), lanes=EVERYWHERE)
    assert (dict(os.environ), Path.cwd()) == before


@pytest.mark.parametrize("lane", ["event_loop", "thread"])
async def test_in_debug_mode_a_task_that_changes_what_it_shares_is_told_of_once(lane):
    changing, honest = task(jobs.sorts_its_argument), task(jobs.total)
    async with Runtime(lanes=("event_loop", "thread"), debug=True) as rt:
        view = rt.with_options(lane=lane)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for _ in range(3):
                assert await view.run(changing, [3, 1, 2]) == 1
            assert await view.run(honest, [1, 2], factor=2) == 6
            await asyncio.sleep(0)
        assert len(told) == 1
        assert "argument 0 is changed" in str(told[0].message)
        assert "isolation" in str(told[0].message)


async def test_isolated_tasks_and_functions_that_promise_nothing_are_not_looked_at():
    isolated = task(isolation="required")(jobs.sorts_its_argument)
    async with Runtime(processes=1, debug=True) as rt:
        assert await rt.run(isolated, [3, 1, 2]) == 1
        assert await rt.with_options(lane="thread").run(jobs.sorts_its_argument, [3, 1, 2]) == 1


async def test_debug_mode_is_the_loops_own(monkeypatch):
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "get_debug", lambda: True)
    async with Runtime(lanes=("thread",)) as rt:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            await rt.run(task(jobs.sorts_its_argument), rows=[2, 1])
            await asyncio.sleep(0)
        assert "argument rows is changed" in str(told[0].message)
