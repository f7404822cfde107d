"""Where a Runtime sends a call: the plan, pins, isolation, variants."""

import asyncio
import math
import warnings

import pytest
import runtime_jobs as jobs
from runtime_support import (
    BY_SIZE,
    LOCATE,
    LONG_S,
    cost,
    lane_of,
    needs_the_lock,
    on_one_process,
    on_threads,
    plan_of,
)

from lanewise import (
    LaneUnavailableError,
    PlanError,
    Runtime,
    task,
)
from lanewise.host.facts import gil_enabled
from lanewise.testing.calls import square


async def test_without_a_plan_a_call_goes_to_a_process_where_it_harms_nobody():
    async with on_one_process() as rt:
        assert "no plan knows it" in rt.explain(jobs.locate, 10)
        assert lane_of(await rt.run(jobs.locate, 10)) == "process"


async def test_without_a_plan_and_without_processes_a_call_goes_to_a_thread():
    async with on_threads() as rt:
        assert lane_of(await rt.run(jobs.locate, 10)) == "thread"


@needs_the_lock
async def test_the_plan_decides_by_the_size_of_the_call():
    async with on_one_process(plan=plan_of(LOCATE, *BY_SIZE)) as rt:
        assert lane_of(await rt.run(jobs.locate, 10)) == "event_loop"
        assert lane_of(await rt.run(jobs.locate, 1000)) == "process"
        assert lane_of(await rt.run(jobs.locate, 11)) == "event_loop"
        routes = rt.statistics().routes
    assert routes == {(LOCATE, "event_loop", "default"): 2, (LOCATE, "process", "default"): 1}


@pytest.mark.skipif(gil_enabled(), reason="with the lock on, threads that hold it harm the loop")
async def test_without_the_lock_the_same_plan_sends_the_same_calls_to_threads():
    async with on_one_process(plan=plan_of(LOCATE, *BY_SIZE)) as rt:
        assert lane_of(await rt.run(jobs.locate, 10)) == "event_loop"
        assert lane_of(await rt.run(jobs.locate, 1000)) == "thread"


async def test_the_plan_sends_calls_that_release_the_lock_to_threads():
    plan = plan_of(LOCATE, cost(10, LONG_S, held=0.0), cost(1000, LONG_S, held=0.0))
    async with on_one_process(plan=plan) as rt:
        assert lane_of(await rt.run(jobs.locate, 100)) == "thread"


async def test_a_plan_is_read_from_its_file(tmp_path):
    path = tmp_path / "lanewise.toml"
    path.write_text("schema = 1\n")
    async with on_threads(plan=path) as rt:
        assert await rt.run(square, 3) == 9
    with pytest.raises(PlanError, match="lanewise measure"):
        Runtime(plan=tmp_path / "missing.toml")


async def test_the_plan_chooses_the_best_variant_that_is_installed():
    plan = plan_of(
        LOCATE,
        cost(10, 1e-3),
        cost(10, 1e-5, variant="fast"),
        cost(10, 1e-6, variant="absent"),
    )
    async with on_threads(plan=plan) as rt:
        name, *_ = await rt.run(jobs.locate, 10)
    assert name == "fast"


async def test_a_variant_that_requires_a_part_of_a_missing_package_is_left_out():
    plan = plan_of(
        "runtime_jobs:with_part_of_absent",
        cost(10, 1e-3),
        cost(10, 1e-5, variant="absent_part"),
    )
    async with on_threads(plan=plan) as rt:
        name, *_ = await rt.run(jobs.with_part_of_absent, 10)
    assert name == "default"


async def test_a_plan_that_knows_only_variants_which_are_not_installed_is_as_good_as_none():
    plan = plan_of(LOCATE, cost(10, 1e-6, variant="absent"))
    async with on_threads(plan=plan) as rt:
        where = await rt.run(jobs.locate, 10)
    assert (where[0], lane_of(where)) == ("default", "thread")


async def test_a_variant_of_the_plan_that_the_task_no_longer_has_is_left_out():
    plan = plan_of(LOCATE, cost(10, 1e-5), cost(10, 1e-7, variant="removed"))
    async with on_threads(plan=plan) as rt:
        name, *_ = await rt.run(jobs.locate, 10)
    assert name == "default"


@pytest.mark.parametrize("n", [10, 1000])
async def test_a_pin_on_the_task_wins_over_the_plan(n):
    plan = plan_of("runtime_jobs:on_a_thread", *BY_SIZE)
    async with on_threads(plan=plan) as rt:
        assert lane_of(await rt.run(jobs.on_a_thread, n)) == "thread"
        assert "pinned to thread" in rt.explain(jobs.on_a_thread, n)


async def test_a_pin_in_the_plan_wins_over_its_costs():
    plan = plan_of(LOCATE, *BY_SIZE, keys='lane = "thread"')
    async with on_threads(plan=plan) as rt:
        assert lane_of(await rt.run(jobs.locate, 10)) == "thread"


async def test_a_pin_of_one_call_wins_over_every_other():
    plan = plan_of("runtime_jobs:on_a_thread", *BY_SIZE, keys='lane = "thread"')
    async with on_threads(plan=plan) as rt:
        here = rt.with_options(lane="event_loop")
        assert lane_of(await here.run(jobs.on_a_thread, 1000)) == "event_loop"
        assert lane_of(await rt.run(jobs.on_a_thread, 1000)) == "thread"


async def test_a_pinned_call_still_gets_the_variant_that_is_best_on_its_lane():
    plan = plan_of(LOCATE, cost(10, 1e-3), cost(10, 1e-5, variant="fast"))
    async with on_threads(plan=plan) as rt:
        where = await rt.with_options(lane="thread").run(jobs.locate, 10)
    assert (where[0], lane_of(where)) == ("fast", "thread")


async def test_a_pin_to_a_lane_that_is_not_there_is_refused_with_the_reason():
    async with on_threads() as rt:
        with pytest.raises(LaneUnavailableError, match="pinned to the process lane") as refused:
            await rt.with_options(lane="process").run(square, 2)
    assert set(refused.value.reasons) == {"process"}


async def test_a_task_that_asks_for_isolation_leaves_its_callers_memory_whatever_its_size():
    plan = plan_of("runtime_jobs:isolated", *BY_SIZE)
    async with on_one_process(plan=plan) as rt:
        assert lane_of(await rt.run(jobs.isolated, 10)) == "process"
    async with on_one_process() as rt:
        assert lane_of(await rt.run(jobs.isolated, 10)) == "process"


@pytest.mark.parametrize("planned", [False, True])
async def test_a_task_that_asks_for_isolation_is_refused_where_nothing_isolates(planned):
    plan = plan_of("runtime_jobs:isolated", *BY_SIZE) if planned else None
    async with on_threads(plan=plan) as rt:
        with pytest.raises(LaneUnavailableError, match="isolat"):
            await rt.run(jobs.isolated, 10)


@needs_the_lock
async def test_explain_tells_the_choice_the_reason_and_the_alternatives_and_runs_nothing():
    async with on_one_process(plan=plan_of(LOCATE, *BY_SIZE)) as rt:
        words = rt.explain(jobs.locate, 1000)
        assert not rt.statistics().lanes
    first, *others = words.splitlines()
    assert first.startswith(f"{LOCATE} -> process/default: ")
    assert any("thread/default" in line and "breaks the loop budget" in line for line in others)
    assert any("process/default" in line and "calls/s" in line for line in others)


@pytest.mark.parametrize("wrong", [lambda *_: 1 / 0, lambda *_: "many", lambda _: None])
async def test_a_size_that_fails_costs_no_call(wrong):
    sized = task(size=wrong)(square)
    async with on_threads() as rt:
        with pytest.warns(RuntimeWarning, match=r"size\(\.\.\.\) of task .*square raised"):
            assert await rt.run(sized, 3) == 9
        assert await rt.run(sized, 4) == 16, "and it is told once"
        with pytest.raises(TypeError, match="square"):
            await rt.run(sized)


@pytest.mark.parametrize("size", [math.nan, math.inf, -math.inf, -3, 0, 10**400])
async def test_whatever_a_size_is_the_call_runs(size):
    sized = task(size=lambda _: size)(square)
    async with on_threads() as rt:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # 10**400 is no float
            assert await asyncio.gather(*(rt.run(sized, n) for n in range(20))) == [
                n * n for n in range(20)
            ]
        assert "square" in rt.explain(sized, 3)
