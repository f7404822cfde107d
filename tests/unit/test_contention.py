"""FT201 from a measurement: threads against processes, and only where the cores were there."""

import pytest

from lanewise.measuring.contention import contentions
from lanewise.measuring.statistics import Interval
from lanewise.model.measurement import Contender, Cost


def cost(cpu_s=0.01, wall_s=0.01):
    return Cost(
        variant="default",
        size=100.0,
        call_size=100.0,
        wall_s=wall_s,
        wall_low_s=wall_s,
        wall_high_s=wall_s,
        first_call_s=wall_s,
        cpu_s=cpu_s,
        gil_held_share=0.0,
        gil_held_share_error=0.0,
        gil_handovers_per_s=None,
        gil_wait_p99_s=None,
        run_queue_s=None,
        blocked_s=None,
        args_bytes=1,
        result_bytes=1,
        pickle_s=1e-6,
        note=None,
    )


def around(value, spread=0.05):
    return Interval(value, value * (1 - spread), value * (1 + spread))


def rates(threads, processes, *, spread=0.05, level=2):
    return {
        (Contender("thread", "default"), 100.0, 1): around(100, spread),
        (Contender("thread", "default"), 100.0, level): around(100 * threads, spread),
        (Contender("process", "default"), 100.0, 1): around(90, spread),
        (Contender("process", "default"), 100.0, level): around(90 * processes, spread),
    }


def found(table, *, cores=2, gil_enabled=False, costs=None):
    return contentions(table, costs or [cost()], cores=cores, gil_enabled=gil_enabled)


def test_two_threads_that_are_slower_than_one_are_told():
    (one,) = found(rates(0.64, 1.9))
    assert (one.concurrency, one.size) == (2, 100.0)
    assert one.scaling == pytest.approx(0.64)
    assert str(one).startswith("FT201 contention: 2 threads carry 0.64 times what one does")


@pytest.mark.parametrize(
    ("table", "options"),
    [
        (rates(1.9, 1.9), {}),  # nothing is shared
        (rates(0.64, 1.1), {}),  # there were no two cores: a busy machine explains it
        (rates(0.64, 1.9, spread=0.4), {}),  # noise explains it
        (rates(0.64, 1.9), {"gil_enabled": True}),  # they take turns anyway
        (rates(0.64, 1.9), {"costs": [cost(cpu_s=0.001)]}),  # they wait for something else
        (rates(0.64, 3.8, level=4), {}),  # more callers than cores
        ({}, {}),
    ],
)
def test_what_has_another_explanation_is_not(table, options):
    assert found(table, **options) == ()


def test_without_processes_to_compare_with_nothing_is_said():
    table = {key: rate for key, rate in rates(0.64, 1.9).items() if key[0].lane == "thread"}
    assert found(table) == ()
