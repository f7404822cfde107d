"""What type checkers promise users. Checked by ``mypy --strict`` and never run.

Every ``type: ignore`` here stands for a mistake that must be found: ``warn_unused_ignores``, part of
strict, makes one that is not found an error.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from concurrent.futures.process import BrokenProcessPool
from typing import Any, assert_type

import lanewise
from lanewise import (
    LaneUnavailableError,
    LanewiseError,
    NotPortableError,
    OverloadedError,
    Plan,
    Runtime,
    Task,
    TaskTimeoutError,
    WorkerDiedError,
    task,
)
from lanewise.lanes.event_loop import EventLoopLane
from lanewise.lanes.process import ProcessLane
from lanewise.lanes.thread import ThreadLane
from lanewise.model.lane import Lane
from lanewise.testing import InlineLane, RecordedCall


@task
def match(rows: list[str], threshold: float = 0.9) -> list[tuple[int, int]]:
    return []


@task(size=len, inputs=lambda size: (["row"] * size,), timeout_s=2.0, lane="process")
def parse(rows: list[str], *, strict: bool = False) -> int:
    return len(rows)


@parse.variant("fast", requires="orjson", tolerance=1e-9)
def parse_fast(rows: list[str], *, strict: bool = False) -> int:
    return len(rows)


def plain(number: int, /, *, times: int = 1) -> str:
    return str(number * times)


# --- a task is still the function that it was -----------------------------------------------------

assert_type(match(["a"], 0.5), list[tuple[int, int]])
assert_type(parse(["a"], strict=True), int)
assert_type(parse_fast(["a"]), int)
as_a_function: Callable[[list[str], float], list[tuple[int, int]]] = match
as_a_task: Task[[list[str], float], list[tuple[int, int]]] = Task(lambda rows, threshold: [])

match("a")  # type: ignore[arg-type]
match()  # type: ignore[call-arg]
match(["a"], treshold=0.5)  # type: ignore[call-arg]
parse(["a"], True)  # type: ignore[call-arg]

# --- declarations ---------------------------------------------------------------------------------


task(plain, lane="thread")  # type: ignore[call-overload]
task(lane="gpu")  # type: ignore[call-overload]
task(isolation="maybe")  # type: ignore[call-overload]
task(timeout="2s")  # type: ignore[call-overload]


# --- calls through a runtime ----------------------------------------------------------------------


async def calls(rt: Runtime) -> None:
    assert_type(await rt.run(match, ["a"], 0.5), list[tuple[int, int]])
    assert_type(await rt.run(parse, ["a"], strict=True), int)
    assert_type(await rt.run(parse_fast, ["a"]), int)
    assert_type(await rt.run(plain, 3, times=2), str)
    assert_type(await rt.run(match, rt.share(["a"]), 0.5), list[tuple[int, int]])
    assert_type(await lanewise.run(match, ["a"]), list[tuple[int, int]])
    assert_type(await rt.with_options(lane="thread", timeout_s=1).run(plain, 3), str)

    await rt.run(match, "a")  # type: ignore[arg-type]
    await rt.run(match, rt.share("a"))  # type: ignore[arg-type]
    await rt.run(match)  # type: ignore[call-arg]
    await rt.run(parse, ["a"], lax=True)  # type: ignore[call-arg]
    await rt.run(plain, number=3)  # type: ignore[call-arg]
    await rt.run(3)  # type: ignore[arg-type]
    await lanewise.run(match, "a")  # type: ignore[arg-type]
    rt.with_options(lane="gpu")  # type: ignore[arg-type]
    rt.with_options(time_s=1)  # type: ignore[call-arg]


async def maps(rt: Runtime) -> None:
    assert_type(rt.map(parse, [["a"], ["b"]]), AsyncGenerator[int, None])
    async for count in rt.map(parse, [["a"]], ordered=False, window=4):
        assert_type(count, int)
    async for text in rt.map(plain, iter(range(3))):
        assert_type(text, str)
    rt.map(parse, 3)  # type: ignore[arg-type]


async def lifetime() -> None:
    async with Runtime(plan="lanewise.toml", processes=2, lanes=("thread", "process")) as rt:
        assert_type(rt, Runtime)
        assert_type(rt.explain(match, ["a"]), str)
        assert_type(rt.statistics().shed, int)
        assert_type(rt.statistics().lanes["thread"].busy_s, float)
    Runtime(plan=Plan.load("lanewise.toml"))
    Runtime(plan=3)  # type: ignore[arg-type]
    Runtime(lanes=("gpu",))  # type: ignore[arg-type]
    Runtime(workers=2)  # type: ignore[call-arg]


def snapshots_do_not_change(rt: Runtime) -> None:
    rt.statistics().shed = 3  # type: ignore[misc]


# --- exceptions -----------------------------------------------------------------------------------


def handlers(
    died: WorkerDiedError, late: TaskTimeoutError, full: OverloadedError, lost: LaneUnavailableError
) -> None:
    pool: BrokenProcessPool = died
    timeout: TimeoutError = late
    every: list[LanewiseError] = [died, late, full, lost, NotPortableError("words")]
    assert_type(full.retry_after_s, float)
    assert_type(lost.reasons, dict[str, str])
    del pool, timeout, every
    OverloadedError("words")  # type: ignore[call-arg]


# --- lanes, ours and for tests --------------------------------------------------------------------

lanes: list[Lane] = [EventLoopLane(), ThreadLane(2), ProcessLane(2), InlineLane("process")]
assert_type(InlineLane().calls, tuple[RecordedCall, ...])
InlineLane("gpu")  # type: ignore[arg-type]


class LaneWithoutClose:
    name = "thread"

    async def open(self) -> None: ...

    async def run(self, function: Callable[..., Any], *args: Any) -> Any: ...


not_a_lane: Lane = LaneWithoutClose()  # type: ignore[assignment]
