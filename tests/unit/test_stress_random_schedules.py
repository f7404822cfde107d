"""Schedules at random: in the order in which threads come to their places, and repeatable."""

from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from lanewise.readiness.stress.far_side.at_random import schedules_at_random
from lanewise.readiness.stress.far_side.scheduler import Pause


def places(thread: int, count: int) -> list[Pause]:
    """As many places as asked for, told apart by their line."""
    return [Pause(thread, "f", f"line {at}", "read x", 1) for at in range(count)]


@given(st.integers(1, 12), st.integers(1, 12), st.text(max_size=5))
def test_turns_alternate_and_go_forwards(one: int, other: int, seed: str) -> None:
    both = (places(0, one), places(1, other))
    for first, pauses in islice(schedules_at_random(both, seed), 50):
        assert pauses
        assert pauses[0].thread == first
        for thread in (0, 1):
            mine = [both[thread].index(pause) for pause in pauses if pause.thread == thread]
            assert mine == sorted(set(mine))


def test_the_same_seed_gives_the_same_schedules() -> None:
    both = (places(0, 9), places(1, 9))
    runs = [list(islice(schedules_at_random(both, "a"), 100)) for _ in range(2)]
    assert runs[0] == runs[1]
    assert list(islice(schedules_at_random(both, "b"), 100)) != runs[0]


def test_every_place_of_both_threads_gets_its_turn() -> None:
    both = (places(0, 20), places(1, 20))
    used = {p for _, pauses in islice(schedules_at_random(both, "a"), 1000) for p in pauses}
    assert used == {*both[0], *both[1]}


def test_a_thread_without_places_leaves_nothing_to_choose() -> None:
    assert list(schedules_at_random((places(0, 3), []), "a")) == []
