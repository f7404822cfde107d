"""Which lanes are loaded next: short comparisons before long ones, and nothing for ever."""

from collections.abc import Callable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from lanewise.measuring.schedule import Comparison, Rounds, next_comparison

FOREVER_S = 1e9


def spend(
    known: Mapping[Comparison, Rounds],
    total_s: float = FOREVER_S,
    again_share: float = 0.7,
    calm: Callable[[Comparison], bool] = lambda one: True,
) -> list[Comparison]:
    """Load as told until there is nothing more, and return the order."""
    spent_s, order = 0.0, list[Comparison]()
    while True:
        left_s = total_s - spent_s
        chosen = next_comparison(known, left_s, left_s - total_s * (1 - again_share))
        if chosen is None:
            return order
        order.append(chosen)
        spent_s += known[chosen].cost_s
        known[chosen].made += 1
        known[chosen].calm += calm(chosen)


def test_short_comparisons_have_three_rounds_before_a_long_one_has_its_first() -> None:
    known = {(1.0, 1): Rounds(0.1), (2.0, 1): Rounds(0.2), (9.0, 1): Rounds(5.0)}
    order = spend(known)
    before = order[: order.index((9.0, 1))]
    assert before.count((1.0, 1)) == 3
    assert before.count((2.0, 1)) == 3


def test_a_budget_that_one_long_comparison_would_use_up_is_not_spent_on_it_first() -> None:
    known = {(1.0, 1): Rounds(0.1), (2.0, 8): Rounds(0.1), (9.0, 8): Rounds(11.0)}
    spend(known, total_s=10.0)
    assert known[1.0, 1].made >= 3
    assert known[2.0, 8].made >= 3
    assert known[9.0, 8].made == 0


def test_a_long_comparison_is_loaded_when_there_is_time() -> None:
    known = {(1.0, 1): Rounds(0.1), (9.0, 8): Rounds(5.0)}
    spend(known, total_s=8.0)
    assert known[9.0, 8].made == 1


def test_disturbed_rounds_are_made_again_but_not_for_ever() -> None:
    known = {(1.0, 1): Rounds(0.1), (2.0, 1): Rounds(0.1)}
    order = spend(known, calm=lambda one: one == (2.0, 1))
    assert known[1.0, 1].made == 7
    # While both lack rounds, the disturbed one is behind by half.
    assert order[:8].count((1.0, 1)) > order[:8].count((2.0, 1))


costs_s = st.floats(0.01, 20.0)
comparisons = st.dictionaries(
    st.tuples(st.sampled_from([1.0, 10.0, 100.0, 1000.0]), st.sampled_from([1, 2, 8])),
    costs_s.map(Rounds),
    min_size=1,
)


@given(comparisons, st.floats(1.0, 100.0))
def test_the_time_is_kept(known: dict[Comparison, Rounds], total_s: float) -> None:
    spend(known, total_s)
    assert sum(one.made * one.cost_s for one in known.values()) <= total_s * (1 + 1e-9)


@given(comparisons)
def test_with_time_for_all_each_has_the_same_rounds(known: dict[Comparison, Rounds]) -> None:
    spend(known)
    assert {one.made for one in known.values()} == {7}


@given(comparisons, st.floats(1.0, 100.0))
def test_what_is_shorter_is_never_behind(known: dict[Comparison, Rounds], total_s: float) -> None:
    spend(known, total_s)
    for one in known.values():
        for other in known.values():
            if one.cost_s < other.cost_s and other.made > 1:
                assert one.made >= min(other.made, 3)
