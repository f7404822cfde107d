"""All decisions of one task: routes over the sizes, and the break-even points between them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lanewise.model.measurement import Contender, Route
from lanewise.plan.choose import Choice, choose
from lanewise.plan.lane_model import Machine
from lanewise.plan.task_plan import TaskPlan

# Between two measured sizes the decision is looked at this often before boundaries are narrowed.
_LOOKS_BETWEEN = 6
# A boundary is narrowed until its two sides differ by less than this.
_BOUNDARY_RATIO = 1.005
# A stretch of sizes narrower than this between two others is noise, not a region of its own.
_NARROWEST = 1.25


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring sizes with one winner. ``stop`` is exclusive, None at the end."""

    start: float
    stop: float | None
    choice: Choice


def routes_of(plan: TaskPlan, machine: Machine, loop_budget_s: float) -> tuple[Route, ...]:
    """Return the routes of every concurrency that the plan knows."""
    return tuple(
        Route(
            concurrency=concurrency,
            min_size=0 if at == 0 else stretch.start,
            max_size=stretch.stop,
            lane=stretch.choice.contender.lane,
            variant=stretch.choice.contender.variant,
            decided=stretch.choice.decided,
            reason=stretch.choice.reason,
        )
        for concurrency in plan.concurrencies
        for at, stretch in enumerate(stretches(plan, concurrency, machine, loop_budget_s))
    )


def boundaries(
    plan: TaskPlan, concurrency: int, machine: Machine, loop_budget_s: float
) -> list[tuple[float, Contender, Contender]]:
    """Return (size, from, to) for each change of the winner over the measured range."""
    found = stretches(plan, concurrency, machine, loop_budget_s)
    return [
        (right.start, left.choice.contender, right.choice.contender)
        for left, right in itertools.pairwise(found)
    ]


def crossing(  # noqa: PLR0913 - because: two contenders, where, and under which conditions
    plan: TaskPlan,
    concurrency: int,
    machine: Machine,
    loop_budget_s: float,
    pair: tuple[Contender, Contender],
    between: tuple[float, float],
) -> float:
    """Return the size between two sizes at which the second of a pair takes over from the first.

    Where it never does, the upper size; where it always has, the lower one.
    """
    left, right = pair

    def decide(size: float) -> Choice:
        return choose(plan, size, concurrency, machine, loop_budget_s, pair)

    low, high = between
    if decide(low).contender == right:
        return low
    if decide(high).contender == left:
        return high
    return _narrow(low, high, left, right, decide)


def stretches(
    plan: TaskPlan, concurrency: int, machine: Machine, loop_budget_s: float
) -> list[Stretch]:
    """Return the stretches of sizes with one winner each, in ascending order."""

    def decide(size: float) -> Choice:
        return choose(plan, size, concurrency, machine, loop_budget_s)

    looks = [(size, decide(size)) for size in _looked_at(plan.sizes)]
    merged = _merged(looks)
    result: list[Stretch] = []
    start = looks[0][0]
    for (left_last, choice), (right_first, following) in itertools.pairwise(merged):
        boundary = _narrow(
            left_last[1], right_first[0], choice.contender, following.contender, decide
        )
        result.append(Stretch(start, boundary, choice))
        start = boundary
    return [*result, Stretch(start, None, merged[-1][1])]


def _looked_at(sizes: Sequence[float]) -> list[float]:
    looked: list[float] = []
    for low, high in itertools.pairwise(sizes):
        looks = 0
        if low > 0:  # neighbours that are close to each other have nothing between them
            looks = min(_LOOKS_BETWEEN, math.floor(math.log(high / low) / math.log(_NARROWEST)))
        step = (high / low) ** (1 / (looks + 1)) if looks else 1.0
        looked += [low * step**at for at in range(looks + 1)]
    return [*looked, sizes[-1]]


_Group = tuple[tuple[float, float], Choice]


def _merged(looks: Sequence[tuple[float, Choice]]) -> list[_Group]:
    """Join neighbours with the same winner, then drop stretches too narrow to be real."""
    groups = _joined([((size, size), choice) for size, choice in looks])
    while len(groups) > 2:  # noqa: PLR2004 - because: a first or last stretch may be narrow by the ladder's choice
        inner = range(1, len(groups) - 1)
        narrow = min(inner, key=lambda at: _width(groups, at))
        if _width(groups, narrow) >= _NARROWEST:
            break
        left = groups[narrow - 1]
        groups[narrow - 1 : narrow + 1] = [((left[0][0], groups[narrow][0][1]), left[1])]
        groups = _joined(groups)
    return groups


def _width(groups: Sequence[_Group], at: int) -> float:
    """The ratio of sizes that a group spans, up to the first size of the next."""
    return groups[at + 1][0][0] / max(groups[at][0][0], 1e-12)


def _joined(groups: Sequence[_Group]) -> list[_Group]:
    joined: list[_Group] = []
    for (first, last), choice in groups:
        if joined and joined[-1][1].contender == choice.contender:
            (start, _), earlier = joined[-1]
            # A stretch is decided when any of it is: its ends lie near a boundary by nature.
            kept = earlier if earlier.decided or not choice.decided else choice
            joined[-1] = ((start, last), kept)
        else:
            joined.append(((first, last), choice))
    return joined


def _narrow(
    low: float, high: float, left: Contender, right: Contender, decide: Callable[[float], Choice]
) -> float:
    """Bisect for the size at which ``right`` takes over."""
    while low > 0 and high / low > _BOUNDARY_RATIO and high - low > 1e-9:  # noqa: PLR2004 - because: sizes below that are not sizes
        middle = math.sqrt(low * high)
        winner = decide(middle).contender
        if winner == right or winner != left:
            high = middle
        else:
            low = middle
    return high


def without_reasons(routes: Sequence[Route]) -> list[Route]:
    """The bare decisions, for comparing two plans."""
    return [replace(route, reason="") for route in routes]
