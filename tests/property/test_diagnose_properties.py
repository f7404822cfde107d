"""Whatever is recorded, time is neither lost nor made, and lines are those that Python itself says."""

from __future__ import annotations

import bisect
import json
import types
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise.diagnose import loops, shares, summary
from lanewise.diagnose.code_table import decode_lines
from lanewise.diagnose.loops import lag_s
from lanewise.diagnose.session import ProcessRecord, Session, ThreadRecord
from lanewise.diagnose.shares import spent, thread_times
from lanewise.diagnose.states import COLUMNS, Look

STATES = [column for column in COLUMNS if column != "run_queue"]


@st.composite
def records(draw: st.DrawFn) -> ProcessRecord:
    record = ProcessRecord(pid=1, command="x")
    for thread in range(draw(st.integers(1, 3))):
        now_us = run_ns = queued_ns = 0
        for _ in range(draw(st.integers(0, 30))):
            start_us = now_us + draw(st.integers(1, 20_000))
            now_us = start_us + draw(st.sampled_from([0, 0, 7_000]))
            state = draw(st.sampled_from(STATES))
            runnable = state in {"python_gil", "native_gil", "native_free"} or draw(st.booleans())
            run_ns += draw(st.integers(0, 30_000_000))
            queued_ns += draw(st.integers(0, 30_000_000))
            record.looks.append(
                Look(
                    start_us, now_us, 1 + (now_us > start_us), thread, state, runnable,
                    draw(st.sampled_from([-1, 0, 1])) if runnable else 0,
                    state.endswith("_gil") or draw(st.booleans()), False, -1, 0, run_ns, queued_ns, -1, 0,
                )
            )  # fmt: skip
        record.threads.append(
            ThreadRecord(thread, "", draw(st.booleans()), 0, now_us, run_ns, queued_ns)
        )
        record.end_us = max(record.end_us, now_us)
    return record


@given(records())
def test_the_columns_of_a_thread_add_up_to_the_time_it_was_watched(record: ProcessRecord) -> None:
    for one in thread_times(record, spent(record)):
        assert sum(one.shares.values()) == pytest.approx(1.0)
        assert all(share >= 0 for share in one.shares.values())


@given(records())
def test_running_and_queueing_are_what_the_kernel_counted(record: ProcessRecord) -> None:
    for one in thread_times(record, spent(record)):
        thread = record.threads[one.thread]
        run_s, queued_s = thread.run_ns / 1e9, thread.queued_ns / 1e9
        if run_s + queued_s <= one.alive_s:
            assert one.shares["run_queue"] * one.alive_s == pytest.approx(queued_s)


@given(records())
def test_a_summary_is_made_of_anything_that_was_recorded(record: ProcessRecord) -> None:
    session = Session("", "", [], {}, 200.0, [record])
    text = json.dumps(summary.document(session, summary.summarise(session)), allow_nan=False)
    assert json.loads(text)["schema"] == "lanewise.diagnosis/1"


@given(
    st.lists(st.integers(0, 10_000), max_size=20), st.integers(1, 1_000_000), st.floats(0.5, 0.999)
)
def test_lag_is_what_random_moments_wait(durations: list[int], idle: int, share: float) -> None:
    wall = sum(durations) + idle
    found_us = lag_s(durations, wall, share) * 1e6
    # How much of the time waits for longer than that, counted moment by moment.
    beyond = sum(max(0.0, duration - found_us) for duration in durations)
    assert beyond <= (1 - share) * wall + 1e-6
    if found_us > 0:
        assert beyond == pytest.approx((1 - share) * wall)


def code_objects() -> Iterator[types.CodeType]:
    left: list[object] = [
        value
        for module in (loops, shares, summary, json.decoder)
        for value in vars(module).values()
    ]
    while left:
        value = left.pop()
        code = getattr(value, "__code__", None)
        if isinstance(code, types.CodeType):
            yield code
            left += [one for one in code.co_consts if isinstance(one, types.CodeType)]


def test_lines_are_those_that_python_says() -> None:
    seen = 0
    for code in code_objects():
        starts, lines = decode_lines(code.co_linetable, code.co_firstlineno)
        for start, _, line in code.co_lines():
            if line is not None:
                at = bisect.bisect_right(starts, start // 2) - 1
                assert lines[at] == line
                seen += 1
    assert seen > 200
