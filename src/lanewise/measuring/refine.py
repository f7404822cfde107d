"""Spend the rest of a task's budget where it changes the answer."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass

from lanewise.errors import MeasureError
from lanewise.measuring.bench_client import BenchDiedError
from lanewise.measuring.result import machine_of, plan_of
from lanewise.measuring.statistics import quantile
from lanewise.measuring.task_session import NEVER_RELEASES, TaskSession
from lanewise.model.measurement import BreakEven, Contender, GilRelease
from lanewise.plan.choose import choose
from lanewise.plan.routes import boundaries, crossing

# A break-even point is narrowed until the measured sizes on both sides are this close.
_CLOSE = 1.12
_COMPARED_ROUNDS = 2
_MAX_STEPS = 8
_RELEASE_WINDOW_S = 0.03
_RELEASE_LOOKS = 5
# The search must leave time for loading the lanes.
_RELEASES_UNTIL = 0.5
_BOOTSTRAP_DRAWS = 60
_EXTRA_ROUNDS_AT_MOST = 12


def find_gil_releases(session: TaskSession) -> list[GilRelease]:
    """Find the exact sizes from which a call gives the lock up.

    Where a call never gives it up at one measured size and does at the next, the sizes between are
    bisected down to neighbours, which are then measured like the others: libraries switch at a fixed
    size (hashlib at 2,048 bytes), and no curve through distant sizes shows such a step.
    """
    found: list[GilRelease] = []
    for variant in dict.fromkeys(variant for variant, _ in list(session.samples.costs)):
        sizes = sorted(size for known, size in session.samples.costs if known == variant)
        for low, high in itertools.pairwise(sizes):
            if _never_releases(session, variant, low) and _releases(session, variant, high):
                release = _bisect_release(session, variant, low, high)
                if release is not None:
                    found.append(release)
    return found


def _share(session: TaskSession, variant: str, size: float) -> float | None:
    rounds = [one.held for one in session.samples.costs.get((variant, size), []) if one.held]
    return sum(one.share for one in rounds) / len(rounds) if rounds else None


def _quick_share(session: TaskSession, variant: str, size: float) -> float | None:
    """The held share from a short look, repeated while the machine hides it."""
    for attempt in range(_RELEASE_LOOKS):
        session.cost(variant, size, window_s=_RELEASE_WINDOW_S * (attempt + 1))
        share = _share(session, variant, size)
        if share is not None:
            return share
    return None


def _never_releases(session: TaskSession, variant: str, size: float) -> bool:
    share = _share(session, variant, size)
    return share is not None and share >= NEVER_RELEASES


def _releases(session: TaskSession, variant: str, size: float) -> bool:
    share = _share(session, variant, size)
    return share is not None and share < NEVER_RELEASES - 0.01


def _bisect_release(
    session: TaskSession, variant: str, low: float, high: float
) -> GilRelease | None:
    if not (float(low).is_integer() and float(high).is_integer()):
        return None
    below, above = int(low), int(high)
    tried: list[int] = []
    while above - below > 1 and session.time_left_s(_RELEASES_UNTIL) > 0:
        middle = (below + above) // 2 if above < 2 * below else round(math.sqrt(below * above))
        middle = min(max(middle, below + 1), above - 1)
        session.tell(f"where {variant} gives the lock up: between {below} and {above}")
        try:
            session.prepare(variant, middle)
        except MeasureError:
            break
        tried.append(middle)
        share = _quick_share(session, variant, middle)
        if share is None:
            session.warn(f"the machine was too busy to see where {variant} gives the lock up")
            break
        if share >= NEVER_RELEASES:
            below = middle
        else:
            above = middle
    for size in tried:
        if size not in (below, above):
            del session.samples.costs[variant, size]
            del session.samples.prepared[variant, size]
    if above - below > 1:
        return None
    for size in (below, above):
        session.cost(variant, size)
    return GilRelease(
        variant=variant,
        size=above,
        held_share_below=_share(session, variant, below) or 1.0,
        held_share_from=_share(session, variant, above) or 0.0,
    )


@dataclass(slots=True)
class _Gap:
    """Two neighbouring measured sizes between which the winner changes."""

    concurrency: int
    low: float
    high: float
    at: float
    left: Contender
    right: Contender


def refine_break_evens(session: TaskSession) -> None:
    """Measure between two winners, nearest to where they are expected to meet, until it is close."""
    for _ in range(_MAX_STEPS):
        gaps = _open_gaps(session)
        if not gaps:
            return
        for gap in gaps:
            if session.time_left_s() <= _gap_s(session, gap):
                return
            _measure_inside(session, gap)


def _open_gaps(session: TaskSession) -> list[_Gap]:
    plan = plan_of(session)
    machine = machine_of(session)
    gaps: list[_Gap] = []
    for concurrency in session.concurrencies:
        for at, left, right in boundaries(
            plan, concurrency, machine, session.options.loop_budget_s
        ):
            seen = list(_sizes_with(session, left, right, concurrency))
            low = max((size for size in seen if size < at), default=None)
            high = min((size for size in seen if size >= at), default=None)
            if low is not None and high is not None and low > 0 and high / low > _CLOSE:
                gaps.append(_Gap(concurrency, low, high, at, left, right))
    # The widest gap first: it is the least known.
    return sorted(gaps, key=lambda gap: gap.low / gap.high)


def _sizes_with(
    session: TaskSession, left: Contender, right: Contender, concurrency: int
) -> list[float]:
    loads = session.samples.loads
    return sorted(
        size
        for contender, size, level in loads
        if contender == left and level == concurrency and (right, size, concurrency) in loads
    )


def _next_size(gap: _Gap, *, whole: bool) -> float:
    """Inside the gap, near the expected crossing but never hugging an end."""
    low, high = math.log(gap.low), math.log(gap.high)
    margin = (high - low) * 0.2
    size = math.exp(min(max(math.log(gap.at), low + margin), high - margin))
    return round(size) if whole else size


def _gap_s(session: TaskSession, gap: _Gap) -> float:
    cells = [(gap.left, gap.high, gap.concurrency), (gap.right, gap.high, gap.concurrency)]
    known = [cell for cell in cells if (cell[0].variant, cell[1]) in session.samples.prepared]
    return _COMPARED_ROUNDS * sum(session.cell_s(cell) for cell in known) + 0.2


def _measure_inside(session: TaskSession, gap: _Gap) -> None:
    whole = all(float(size).is_integer() for size in session.samples.sizes())
    size = _next_size(gap, whole=whole)
    if not gap.low < size < gap.high:
        return
    contenders = list(dict.fromkeys((gap.left, gap.right)))
    try:
        for variant in dict.fromkeys(one.variant for one in contenders):
            session.prepare(variant, size)
            for _ in range(_COMPARED_ROUNDS):
                session.cost(variant, size, window_s=0.04)
    except BenchDiedError:
        raise
    except MeasureError as error:
        # Some inputs exist only for certain sizes; then the ladder itself is all that can be known.
        session.warn(f"nothing measured between {gap.low:g} and {gap.high:g}: {error}")
        return
    cells = [(one, size, gap.concurrency) for one in contenders]
    for _ in range(_COMPARED_ROUNDS + 1):
        session.rng.shuffle(cells)
        for cell in cells:
            session.load(cell)


def settle_undecided(session: TaskSession) -> None:
    """Load again what the noise left undecided, as long as there is time."""
    while session.time_left_s() > 0:
        cells = _undecided_cells(session)
        if not cells:
            return
        session.rng.shuffle(cells)
        for cell in cells:
            if session.time_left_s() <= session.cell_s(cell):
                return
            session.load(cell)


def _undecided_cells(session: TaskSession) -> list[tuple[Contender, float, int]]:
    plan, machine = plan_of(session), machine_of(session)
    loads = session.samples.loads
    cells: list[tuple[Contender, float, int]] = []
    for size in session.samples.sizes():
        for concurrency in session.concurrencies:
            choice = choose(plan, size, concurrency, machine, session.options.loop_budget_s)
            if choice.decided:
                continue
            fit = [one for one in choice.estimates if one.keeps_budget] or list(choice.estimates)
            near = sorted(fit, key=lambda one: -one.throughput_per_s)[:3]
            cells += [
                cell
                for cell in ((one.contender, size, concurrency) for one in near)
                if cell in loads and len(loads[cell]) < _EXTRA_ROUNDS_AT_MOST
            ]
    return list(dict.fromkeys(cells))


def break_evens_of(session: TaskSession) -> list[BreakEven]:
    """Return the break-even points with bootstrap intervals over rounds."""
    plan, machine = plan_of(session), machine_of(session)
    budget_s = session.options.loop_budget_s
    rng = random.Random(session.options.seed)  # noqa: S311 - because: resampling, not secrecy
    redrawn = [plan_of(session, session.samples.resampled(rng)) for _ in range(_BOOTSTRAP_DRAWS)]
    points: list[BreakEven] = []
    for concurrency in session.concurrencies:
        for at, left, right in boundaries(plan, concurrency, machine, budget_s):
            around = _bracket(session, left, right, concurrency, at)
            again = [
                crossing(one, concurrency, machine, budget_s, (left, right), around)
                for one in redrawn
            ]
            points.append(
                BreakEven(
                    concurrency=concurrency,
                    from_=str(left),
                    to=str(right),
                    size=at,
                    low=min(at, quantile(again, 0.025)),
                    high=max(at, quantile(again, 0.975)),
                    why=_why(session, left, at, concurrency),
                )
            )
    return points


def _bracket(
    session: TaskSession, left: Contender, right: Contender, concurrency: int, at: float
) -> tuple[float, float]:
    """Sizes within which the point must lie: measured ones, two steps to either side."""
    seen = _sizes_with(session, left, right, concurrency) or session.samples.sizes()
    low = sorted(size for size in seen if 0 < size < at)[-2:]
    high = [size for size in seen if size >= at][:2]
    return (low[0] if low else at, high[-1] if high else at)


def _why(session: TaskSession, left: Contender, at: float, concurrency: int) -> str:
    """Whether the left one breaks the budget from here on, or is merely overtaken."""
    choice = choose(
        plan_of(session), at * 1.01, concurrency, machine_of(session), session.options.loop_budget_s
    )
    for one in choice.estimates:
        if one.contender == left and not one.keeps_budget:
            return "loop budget"
    return "throughput"
