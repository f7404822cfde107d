"""Plots of results as SVG, and pages that hold them: self-contained, no library.

Latencies differ by a factor of a hundred between builds, so their axis is logarithmic.
"""

import html
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lanewise.measuring.store import write_atomically

COLOURS = {
    "idle": "#6b7280",
    "lanewise": "#00856a",
    "pool": "#2b6cb8",
    "threads": "#c98300",
    "handler": "#b3261e",
    "under the plan": "#00856a",
    "in the handlers": "#b3261e",
}
_WIDTH, _HEIGHT = 720, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 130, 34, 46
# Percentiles are drawn by how many nines they have, which is what a tail is about.
_SHARES = (0.0, 0.5, 0.9, 0.99, 0.999)


class Curve(NamedTuple):
    """A line of a plot: its name, and points (x, y)."""

    name: str
    points: Sequence[tuple[float, float]]


def colour(name: str) -> str:
    """Return the colour of a build, which is the same in all plots."""
    found = [value for key, value in COLOURS.items() if name.startswith(key)]
    return found[0] if found else "#a8518f"


def tail_plot(title: str, curves: Sequence[Curve]) -> str:
    """Return a plot of latency in seconds (y) over the share of requests that had it (x)."""
    moved = [Curve(one.name, [(_nines(x), y) for x, y in one.points]) for one in curves]
    furthest = max(x for one in moved for x, _ in one.points)
    ticks = [(_nines(share), _share_name(share)) for share in _SHARES]
    # As far as there is anything, and to the next name.
    ticks = [tick for at, tick in enumerate(ticks) if at < 2 or ticks[at - 1][0] < furthest]
    return _plot(title, moved, ticks, "share of requests", "latency")


def line_plot(title: str, curves: Sequence[Curve], ticks: Sequence[tuple[float, str]]) -> str:
    """Return a plot of values (y, from zero) over named places (x)."""
    return _plot(
        title, curves, ticks, "heavy work offered", "answered in time, a second", log=False
    )


def _nines(share: float) -> float:
    return -math.log10(max(1e-4, 1 - share))


def _share_name(share: float) -> str:
    return "all" if share == 0 else f"{100 * share:g} %"


def _plot(
    title: str,
    curves: Sequence[Curve],
    ticks: Sequence[tuple[float, str]],
    below: str,
    beside: str,
    *,
    log: bool = True,
) -> str:
    values = [y for one in curves for _, y in one.points if y > 0] or [1.0]
    right = max(x for x, _ in ticks) or 1.0
    least, most = _bounds(values, log=log)

    def place(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(1.0, x / right)
        part = (
            (math.log10(max(y, least)) - math.log10(least)) / (math.log10(most) - math.log10(least))
            if log
            else y / most
        )
        return across, _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * part

    parts = _axes(place, ticks, _marks(least, most, log=log), log=log)
    ends: list[float] = []
    for one in sorted(curves, key=lambda one: -one.points[-1][1]):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in one.points))
        stroke = colour(one.name)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{stroke}" stroke-width="2"/>'
        )
        # Names stand at their lines' ends, apart from each other.
        height = max([place(*one.points[-1])[1] + 4, *(end + 15 for end in ends)])
        ends.append(height)
        name = html.escape(one.name)
        parts.append(
            f'<text x="{_WIDTH - _RIGHT + 8}" y="{height:.0f}" fill="{stroke}">{name}</text>'
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 6}" class="m">{html.escape(below)}</text>')
    parts.append(f'<text x="4" y="16">{html.escape(beside)}</text>')
    inner = "".join(parts)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(title)}" '
        f'xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif" '
        f'font-size="12" fill="currentColor"><style>.m{{text-anchor:middle}}'
        f".e{{text-anchor:end}}</style>{inner}</svg>"
    )


def _bounds(values: Sequence[float], *, log: bool) -> tuple[float, float]:
    if not log:
        return 0.0, max(values) * 1.1
    least = 10.0 ** math.floor(math.log10(min(values)))
    return least, max(10 * least, 10.0 ** math.ceil(math.log10(max(values))))


def _marks(least: float, most: float, *, log: bool) -> list[float]:
    if not log:
        return [most * part / 4 for part in range(5)]
    return [10.0**power for power in range(round(math.log10(least)), round(math.log10(most)) + 1)]


def _axes(
    place: object, ticks: Sequence[tuple[float, str]], marks: Sequence[float], *, log: bool
) -> list[str]:
    assert callable(place)
    parts = []
    for mark in marks:
        _, y = place(0, mark)
        told = _time(mark) if log else f"{mark:.3g}"
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="currentColor" stroke-opacity=".15"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" class="e">{told}</text>'
        )
    for x, name in ticks:
        across, _ = place(x, marks[0])
        label = html.escape(name)
        parts.append(f'<text x="{across:.1f}" y="{_HEIGHT - 26}" class="m">{label}</text>')
    return parts


def _time(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1e3:g} ms"


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ --page: #fff; --ink: #14181f; --soft: #5b6472; --panel: #f6f7f9; --line: #dfe3e8; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --page: #0f1217; --ink: #e7eaef; --soft: #98a2b0; --panel: #171b22; --line: #2b313b; }}
}}
body {{ margin: 0 auto; max-width: 860px; padding: 26px 20px; background: var(--page);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums; }}
h1 {{ font-size: 1.35rem; }} h2 {{ font-size: 1.05rem; margin-top: 2.2rem; }}
p {{ color: var(--soft); max-width: 70ch; }}
figure {{ margin: 0; padding: 12px; background: var(--panel); border-radius: 10px; }}
svg {{ width: 100%; height: auto; }}
div.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .9rem; }}
td, th {{ padding: 5px 12px; border-bottom: 1px solid var(--line); text-align: right; }}
td:first-child, th:first-child {{ text-align: left; }}
</style>
<h1>{title}</h1>{body}</html>
"""


def figure(heading: str, said: str, svg: str) -> str:
    """Return a plot with its heading and what it shows, for a page."""
    return f"<h2>{html.escape(heading)}</h2><p>{html.escape(said)}</p><figure>{svg}</figure>"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table for a page."""
    head = "".join(f"<th>{html.escape(text)}</th>" for text in headings)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def write_page(path: Path, title: str, parts: Sequence[str]) -> None:
    """Write a page that needs nothing beside itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _PAGE.format(title=html.escape(title), body="".join(parts)))
