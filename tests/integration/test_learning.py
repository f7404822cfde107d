"""A runtime that learns where calls belong, without a plan and against one that is wrong."""

import asyncio
import contextlib
import json

import learning_jobs as jobs
from runtime_support import cost, needs_the_lock, plan_of

from lanewise import Plan, Runtime, TaskTimeoutError, task
from lanewise.model.measurement import Contender


def last_lane(rt, function):
    (known,) = [
        one for name, one in rt._life.state.router._tasks.items() if name.endswith(function)
    ]
    return list(known.routes.values())[-1]


async def called(rt, function, *args, calls):
    for _ in range(calls):
        await rt.run(function, *args)
    await asyncio.sleep(0)


async def test_what_is_quick_ends_up_on_the_loop():
    async with Runtime(processes=1) as rt:
        await called(rt, jobs.quick, 3, calls=20)
        assert last_lane(rt, "quick") == Contender("event_loop", "default")
        assert rt.statistics().routes["learning_jobs:quick", "event_loop", "default"] >= 10


@needs_the_lock
async def test_what_computes_for_long_stays_in_processes():
    async with Runtime(processes=1) as rt:
        await called(rt, jobs.computes, 400_000, calls=5)
        assert last_lane(rt, "computes") == Contender("process", "default")
        assert set(rt.statistics().lanes) == {"process"}


async def test_what_waits_ends_up_in_threads():
    async with Runtime(processes=1) as rt:
        await called(rt, jobs.waits, 0.02, calls=6)
        assert last_lane(rt, "waits") == Contender("thread", "default")


async def test_what_was_learned_is_a_plan_that_can_be_written_and_read():
    async with Runtime(processes=1) as rt:
        await called(rt, jobs.waits, 0.02, calls=4)
        text = rt.learned_plan().to_toml()
    learned = Plan.parse(text)
    assert list(learned.tasks) == ["learning_jobs:waits"]
    async with Runtime(learned, processes=1) as rt:
        await rt.run(jobs.waits, 0.001)
        assert rt.statistics().routes == {("learning_jobs:waits", "thread", "default"): 1}


async def test_what_cannot_cross_is_learned_in_threads_and_not_tried_for_ever(recwarn):
    async with Runtime(processes=1) as rt:
        for _ in range(6):
            assert await rt.run(lambda: 7) == 7
        attempts = rt.statistics().calls
        names = {task for task, _ in attempts}
        assert len(names) == 1
        assert attempts[names.pop(), "process"].failed == 3


@needs_the_lock
async def test_a_plan_that_is_wrong_is_corrected_and_the_statistics_say_so():
    name = "learning_jobs:turns"
    wrong = plan_of(name, cost(8, 1e-5))
    async with Runtime(wrong, processes=1) as rt:
        await called(rt, jobs.turns, 300_000, calls=8)
        statistics = rt.statistics()
        assert last_lane(rt, "turns") == Contender("process", "default")
    (correction,) = statistics.corrections
    assert (correction.task, correction.planned) == (name, "event_loop/default")
    assert correction.now == "process/default"


async def test_a_deadline_keeps_calls_off_lanes_that_could_not_stop_them():
    async with Runtime(processes=1) as rt:
        await called(rt, jobs.waits, 0.02, calls=6)
        assert "deadline" not in rt.explain(jobs.waits, 0.02)
        before = rt.statistics().routes["learning_jobs:waits", "process", "default"]
        # Where it goes is what is asked, not whether it comes back in time from there.
        with contextlib.suppress(TaskTimeoutError):
            await rt.with_options(timeout_s=0.19).run(jobs.waits, 0.02)
        assert rt.statistics().routes["learning_jobs:waits", "process", "default"] == before + 1
        await rt.with_options(timeout_s=60).run(jobs.waits, 0.02)
        assert rt.statistics().routes["learning_jobs:waits", "process", "default"] == before + 1


async def test_ten_thousand_functions_leave_a_bounded_memory():
    async with Runtime(lanes=("event_loop", "thread")) as rt:
        for n in range(10_000):
            await rt.run(task(name=f"made:{n}")(jobs.quick), 3)
        state = rt._life.state
        assert len(state.router._tasks) <= 4_096
        assert len(state.tally.tracks) <= 4_096
        counts = rt.statistics()
        assert sum(one.done for one in counts.lanes.values()) == 10_000
        assert counts.tasks["(others)"].done > 0


@needs_the_lock
async def test_a_calibration_kept_from_a_busy_moment_is_put_right_and_not_kept(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("LANEWISE_CACHE_DIR", str(tmp_path))
    async with Runtime(processes=1):
        pass
    (kept,) = tmp_path.glob("calibration-*.json")
    data = json.loads(kept.read_text())
    data["calibration"]["lanes"]["process"] = {"dispatch_s": 5.0, "per_call_s": 5.0}
    kept.write_text(json.dumps(data))
    async with Runtime(processes=1) as rt:
        await called(rt, jobs.computes, 400_000, calls=6)
        assert last_lane(rt, "computes") == Contender("process", "default")
    assert not kept.exists()
