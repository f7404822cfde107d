"""Counts add up at every moment, whatever becomes of calls."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from lanewise import LanewiseError, Runtime
from lanewise.runtime.statistics import CallCounts
from lanewise.testing.calls import ExpectedError, raise_expected, square

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.integers(1, 6)),
        st.tuples(st.just("fail"), st.integers(1, 3)),
        st.tuples(st.just("hurry"), st.integers(1, 3)),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(st.just("turn"), st.integers(1, 4)),
    ),
    max_size=20,
)


def adds_up(counts):
    ended = counts.done + counts.failed + counts.cancelled + counts.killed
    return counts.admitted == ended + counts.running + counts.waiting


def check(rt):
    statistics = rt.statistics()
    for some in (statistics.lanes, statistics.tasks, statistics.calls):
        assert all(adds_up(counts) for counts in some.values())
        assert all(
            getattr(counts, name) >= 0 for counts in some.values() for name in CallCounts.__slots__
        )
        assert sum(counts.shed for counts in some.values()) == statistics.shed
    assert statistics.shed == sum(statistics.shed_by_reason.values())
    return statistics


async def scenario(steps, lanes):
    calls = []
    async with Runtime(lanes=lanes, threads=2, max_queue=2, queue_timeout_s=0.005) as rt:
        for kind, number in steps:
            if kind == "call":
                calls += [asyncio.create_task(rt.run(square, n)) for n in range(number)]
            elif kind == "fail":
                calls += [asyncio.create_task(rt.run(raise_expected, "so")) for _ in range(number)]
            elif kind == "hurry":
                view = rt.with_options(timeout_s=0.0005, priority="low")
                calls += [asyncio.create_task(view.run(square, n)) for n in range(number)]
            elif kind == "cancel" and calls:
                calls[number % len(calls)].cancel()
            elif kind == "turn":
                for _ in range(number):
                    await asyncio.sleep(0)
            check(rt)
        ends = await asyncio.gather(*calls, return_exceptions=True)
        statistics = check(rt)
        in_flight = [one for one in statistics.lanes.values() if one.running or one.waiting]
        assert not in_flight
    allowed = (ExpectedError, LanewiseError, asyncio.CancelledError, int)
    assert all(isinstance(end, allowed) for end in ends)
    done = sum(isinstance(end, int) for end in ends)
    assert sum(one.done for one in statistics.lanes.values()) >= done


@settings(max_examples=40, deadline=None)
@given(STEPS, st.sampled_from([("thread",), ("event_loop",), ("event_loop", "thread")]))
def test_every_call_is_counted_once(steps, lanes):
    asyncio.run(scenario(steps, lanes))
