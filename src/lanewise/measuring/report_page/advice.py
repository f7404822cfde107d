"""Routes turned into what to do: sentences, grouped by concurrency, and a coloured strip."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lanewise.measuring.report_page import humanise
from lanewise.measuring.report_page.markup import NOTHING, Html, element, joined, lane_label
from lanewise.measuring.report_page.reading import (
    LANE_NAMES,
    distinct,
    in_order,
    lane_and_variant,
    number,
    rows,
    text,
)

if TYPE_CHECKING:
    from typing import Any

    from lanewise.measuring.report_page.reading import Row


# Bounds that differ by less than this factor are told as one span.
_ONE_SENTENCE = 1.3


@dataclass(frozen=True, slots=True)
class Step:
    """One stretch of sizes that goes to one lane; the ends are spans when concurrencies differ."""

    lane: str
    variant: str
    decided: bool
    start: tuple[float, float]
    end: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do at these concurrencies."""

    concurrencies: tuple[float, ...]
    steps: tuple[Step, ...]


def advice_of(task: Row) -> list[Advice]:
    """Return what to do, one entry for all the concurrencies with about the same routes."""
    routes = rows(task, "routes")
    groups: list[list[tuple[float, list[Step]]]] = []
    for concurrency in distinct(routes, "concurrency"):
        steps = _steps([r for r in routes if number(r.get("concurrency")) == concurrency])
        group = next((group for group in groups if _alike(group[0][1], steps)), None)
        if group is None:
            groups.append(group := [])
        group.append((concurrency, steps))
    return [_merged(group) for group in groups]


def _alike(some: list[Step], others: list[Step]) -> bool:
    """Tell whether the same lanes follow each other, with bounds close enough for one sentence."""
    if len(some) != len(others):
        return False
    return all(
        (a.lane, a.variant, a.decided) == (b.lane, b.variant, b.decided)
        and _close(a.start, b.start)
        and (a.end is None) == (b.end is None)
        and (a.end is None or b.end is None or _close(a.end, b.end))
        for a, b in zip(some, others, strict=True)
    )


def _close(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return max(a[0], b[0]) <= _ONE_SENTENCE * min(a[0], b[0])


def _steps(routes: list[Row]) -> list[Step]:
    steps: list[Step] = []
    for route in sorted(routes, key=lambda r: in_order(r.get("min_size"))):
        start, end = number(route.get("min_size")) or 0.0, number(route.get("max_size"))
        lane, variant = text(route.get("lane"), "none"), text(route.get("variant"), "default")
        decided = route.get("decided") is not False
        last = steps[-1] if steps else None
        if last and (last.lane, last.variant, last.decided) == (lane, variant, decided):
            start = steps.pop().start[0]
        ends = None if end is None else (end, end)
        steps.append(Step(lane, variant, decided, (start, start), ends))
    return steps


def _merged(group: list[tuple[float, list[Step]]]) -> Advice:
    steps = []
    for alike in zip(*(steps for _, steps in group), strict=True):
        starts = [s.start[0] for s in alike]
        ends = [s.end[0] for s in alike if s.end is not None]
        end = (min(ends), max(ends)) if ends else None
        first = alike[0]
        spread = (min(starts), max(starts))
        steps.append(Step(first.lane, first.variant, first.decided, spread, end))
    return Advice(tuple(concurrency for concurrency, _ in group), tuple(steps))


def concurrency_words(chosen: tuple[float, ...], known: list[float]) -> str:
    """Return concurrencies in words: 1 call at a time, 2 to 8 calls at once."""
    names = [humanise.count(value) for value in chosen]
    if len(names) == 1:
        return "1 call at a time" if chosen[0] == 1 else f"{names[0]} calls at once"
    first = known.index(chosen[0]) if chosen[0] in known else 0
    if len(names) > 2 and known[first : first + len(chosen)] == list(chosen):  # noqa: PLR2004
        return f"{names[0]} to {names[-1]} calls at once"
    return f"{', '.join(names[:-1])} and {names[-1]} calls at once"


def _bound(span: tuple[float, float], unit: Any) -> str:
    low, high = (humanise.rough_size(value, unit) for value in span)
    return low if low == high else f"{low}{humanise.MISSING}{high}"


def _range_words(step: Step, unit: Any, *, named: bool) -> str:
    size = "size " if named and unit != "bytes" else ""
    starts_at_nothing = step.start[1] <= 0
    if step.end is None:
        return "At every size" if starts_at_nothing else f"Above {size}{_bound(step.start, unit)}"
    if starts_at_nothing:
        return f"Up to {size}{_bound(step.end, unit)}"
    return f"From {size}{_bound(step.start, unit)} to {_bound(step.end, unit)}"


def sentence(advice: Advice, unit: Any) -> Html:
    """Return what to do at these concurrencies as one sentence."""
    parts: list[str] = []
    for index, step in enumerate(advice.steps):
        words = _range_words(step, unit, named=index == 0)
        label = lane_label(step.lane, step.variant)
        doubt = NOTHING if step.decided else element("em", " (undecided)")
        end = "." if index == len(advice.steps) - 1 else "; "
        lead = f"{words if index == 0 else words[0].lower() + words[1:]}: "
        parts += [element("span", lead, label, doubt, end, class_="step"), " "]
    return joined(parts)


def strip(advice: Advice, task: Row) -> Html:
    """Return the steps as a bar over the measured sizes, logarithmic like the lane map."""
    low, high = _extent(task)
    width = math.log10(high / low)
    cells = []
    for step in advice.steps:
        start = _place(step.start[0], low, width)
        end = 1.0 if step.end is None else _place(step.end[0], low, width)
        known = step.lane if step.lane in LANE_NAMES else "other"
        grow = f"flex-grow:{max(end - start, 0.02):.4f}"
        kind = f"lane-{known}" + ("" if step.variant == "default" else " variant")
        kind += "" if step.decided else " undecided"
        name = lane_and_variant(step.lane, step.variant)
        cells.append(element("span", class_=kind, style=grow, title=name))
    return element("span", *cells, class_="strip", aria_hidden="true")


def _extent(task: Row) -> tuple[float, float]:
    sizes = distinct(rows(task, "lanes") + rows(task, "costs"), "size")
    bounds = distinct(rows(task, "routes"), "min_size") + distinct(rows(task, "routes"), "max_size")
    positive = [value for value in sizes + bounds if value > 0] or [1.0]
    return min(positive) / 1.6, max(positive) * 1.6


def _place(value: float, low: float, width: float) -> float:
    if value <= low:
        return 0.0
    return max(0.0, min(1.0, math.log10(value / low) / width))
