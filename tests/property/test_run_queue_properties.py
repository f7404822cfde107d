"""Cutting waits out of windows, against counting moments one by one."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from lanewise.measuring.gil_sampler import without_run_queue

# All edges lie on multiples of this, so that looking at the middle of each cell sees everything.
CELL_NS = 100_000
ORDINARY_NS = 20_000
MOST_MARGIN_NS = 500_000
CELLS = 60


@st.composite
def disjoint_windows(draw: st.DrawFn) -> list[tuple[int, int]]:
    edges = draw(st.lists(st.integers(0, CELLS), unique=True, max_size=10))
    edges = sorted(edges)[: len(edges) // 2 * 2]
    pairs = [(edges[at] * CELL_NS, edges[at + 1] * CELL_NS) for at in range(0, len(edges), 2)]
    return draw(st.permutations(pairs))


@st.composite
def counters(draw: st.DrawFn) -> list[tuple[int, int]]:
    times = sorted(draw(st.lists(st.integers(0, CELLS), unique=True, max_size=8)))
    waited, readings = 0, []
    for at in times:
        waited += draw(st.sampled_from([0, 10_000, CELL_NS, 3 * CELL_NS, 20 * CELL_NS]))
        readings.append((at * CELL_NS, waited))
    return readings


@given(disjoint_windows(), counters())
def test_a_moment_is_kept_where_it_lies_in_a_window_and_in_no_wait(
    windows: list[tuple[int, int]], queued: list[tuple[int, int]]
) -> None:
    left = without_run_queue(windows, queued)
    assert all(start < stop for start, stop in left)
    for cell in range(-30, CELLS + 1):
        # An ordinary wait of 10 µs that adds up never moves an edge into the middle half of a cell.
        moment = cell * CELL_NS + CELL_NS // 2
        inside = any(start <= moment < stop for start, stop in windows)
        waiting = any(
            after - before > ORDINARY_NS
            and seen - (after - before) - min(seen - earlier, MOST_MARGIN_NS) <= moment < seen
            for (earlier, before), (seen, after) in itertools.pairwise(queued)
        )
        kept = any(start <= moment < stop for start, stop in left)
        assert kept == (inside and not waiting), moment
