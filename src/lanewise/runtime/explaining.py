"""A decision in words: what else could have been chosen, and what would change the choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lanewise.plan.choose import Choice, Estimate
from lanewise.plan.task_plan import TaskPlan
from lanewise.runtime.crowding import contention_words
from lanewise.runtime.decision import Decision
from lanewise.runtime.learning import LearnedTask

# A lane that carries less than this part of what its costs alone would give is told to be contended.
_CONTENDED_SHARE = 0.6
_LEVELS = (1, 2, 8, 32)
_FACTORS = (0.1, 10.0)

# What would be chosen under a plan for calls of that size, so many at once.
_Choose = Callable[[TaskPlan, float, int], Choice]


def explained(  # noqa: PLR0913 - because: one decision and what it rests on
    decision: Decision,
    known: LearnedTask,
    plan: TaskPlan | None,
    size: float,
    concurrency: int,
    choose: _Choose,
) -> str:
    """Say what was chosen, why, and what every alternative was estimated at.

    Where there is no plan nothing is known, and nothing but the decision to tell.
    """
    lines = [f"{known.name} -> {decision.lane}/{decision.variant}: {decision.reason}"]
    if plan is None:
        return lines[0]
    choice = choose(plan, size, concurrency)
    best_first = sorted(choice.estimates, key=lambda one: -one.throughput_per_s)
    lines += [_estimate_words(one, plan, size, concurrency) for one in best_first]
    lines += [f"  {lane}: {why}" for lane, why in choice.excluded]
    crowding = known.seen(size).crowding
    if crowding.is_contended:
        lines.append(f"  {contention_words(known.name, crowding.slowdown)}")
    if decision.spill is not None:
        lines.append(f"  while {decision.lane} is full and {decision.spill.lane} is not: there")
    lines += _what_would_change_it(choice, plan, size, concurrency, choose)
    source = "the plan" if known.planned is not None else "calls that ran here"
    changed = sum(1 for _ in known.corrected_classes())
    if changed:
        source += f", corrected for {changed} class(es) of sizes by what was seen since"
    lines.append(f"  known from {source}")
    return "\n".join(lines)


def _estimate_words(one: Estimate, plan: TaskPlan, size: float, concurrency: int) -> str:
    verdict = "" if one.keeps_budget else ", breaks the loop budget"
    row = plan.observation_at(one.contender, plan.size_of_call(size), concurrency)
    if row is not None and row.efficiency < _CONTENDED_SHARE and row.concurrency > 1:
        verdict += (
            f", {row.efficiency:.0%} of what its costs alone would give: calls there wait for "
            "something that they share"
        )
    return (
        f"  {one.contender}: {one.throughput_per_s:,.0f} calls/s, "
        f"loop lag {one.loop_lag_s * 1e3:.2g} ms{verdict}"
    )


def _what_would_change_it(
    choice: Choice, plan: TaskPlan, size: float, concurrency: int, choose: _Choose
) -> Iterator[str]:
    for level in _LEVELS:
        other = choose(plan, size, level)
        if other.contender != choice.contender:
            yield f"  with {level} at once instead of {concurrency}: {other.contender}"
            break
    if size > 0:
        for factor in _FACTORS:
            other = choose(plan, size * factor, concurrency)
            if other.contender != choice.contender:
                yield f"  at {factor:g} times the size: {other.contender}"
