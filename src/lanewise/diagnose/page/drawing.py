"""The flame graph, the timeline of stalls and the bars, as SVG and HTML without a script."""

from __future__ import annotations

from lanewise.diagnose.page.flame import Box, boxes, tree_of
from lanewise.diagnose.states import COLUMNS, MEANING, Shares
from lanewise.diagnose.summary import ProcessSummary
from lanewise.measuring.report_page.humanise import seconds
from lanewise.measuring.report_page.markup import NOTHING, Html, element, joined

_WIDTH = 1064
_ROW = 20
_LEAST_SHARE = 0.002
_LETTER_PX = 6.4
_LEAST_TOLD = 0.001
_TIMELINE_HEIGHT = 96
_BINS = 200
_MOST_TICKS = 10


def key() -> Html:
    """Say which colour is which column."""
    items = [element("span", MEANING[column], class_=f"c-{column}") for column in COLUMNS]
    return element("p", *items, class_="key states")


def flame(summary: ProcessSummary) -> Html:
    """Draw all stacks, each frame divided into the columns that its time went to."""
    placed = list(boxes(tree_of(summary), _LEAST_SHARE))
    if len(placed) <= 1:
        return NOTHING
    height = (max(box.row for box in placed) + 1) * _ROW
    return element(
        "div",
        element(
            "svg",
            *(_frame(box, summary) for box in placed),
            viewBox=f"0 0 {_WIDTH} {height}",
            role="img",
            aria_label="Flame graph: functions by the time under them, coloured by what they did",
            class_="flame",
        ),
        class_="scroll",
    )


def _frame(box: Box, summary: ProcessSummary) -> Html:
    left, width = box.left * _WIDTH, (box.right - box.left) * _WIDTH
    top = box.row * _ROW
    parts: list[str] = []
    at = left
    total = box.node.total or 1.0
    for column in COLUMNS:
        share = box.node.seconds[column] / total
        if share > 0:
            parts.append(
                element(
                    "rect",
                    x=f"{at:.2f}",
                    y=top,
                    width=f"{share * width:.2f}",
                    height=_ROW - 1,
                    class_=f"c-{column}",
                )
            )
            at += share * width
    letters = int((width - 6) / _LETTER_PX)
    if letters >= 3:  # noqa: PLR2004 - because: less than three letters say nothing
        title = box.node.title
        shown = title if len(title) <= letters else f"{title[: letters - 1]}…"
        parts.append(element("text", shown, x=f"{left + 3:.2f}", y=top + 14))
    divided = ", ".join(
        f"{MEANING[column]} {box.node.seconds[column] / total:.0%}"
        for column in COLUMNS
        if box.node.seconds[column] / total >= 0.005  # noqa: PLR2004 - because: rounds to a percent
    )
    wall = seconds(summary.record.wall_s)
    words = f"{box.node.title} {box.node.place}\n{seconds(box.node.total)} of {wall}: {divided}"
    return element("g", element("title", words), *parts)


def timeline(summary: ProcessSummary) -> Html:
    """Draw when the lock was held, and each stall of the loop with its length."""
    wall_s = summary.record.wall_s
    start_s = summary.record.start_us / 1e6
    base = _TIMELINE_HEIGHT - 18
    parts: list[str] = [
        element("polyline", points=_held_line(summary, base), class_="held"),
        element("line", x1=0, x2=_WIDTH, y1=base, y2=base, class_="axis"),
    ]
    for stall in summary.stalls:
        left = (stall.start_s - start_s) / wall_s * _WIDTH
        width = max(stall.duration_s / wall_s * _WIDTH, 2)
        place = f"{stall.function} {stall.path}:{stall.line}"
        words = (
            f"{stall.start_s - start_s:.2f} s: {seconds(stall.duration_s)}, {stall.cause}\n{place}"
        )
        parts.append(
            element(
                "rect",
                element("title", words),
                x=f"{left:.2f}",
                y=4,
                width=f"{width:.2f}",
                height=base - 4,
                class_="stall",
            )
        )
    for tick in range(_MOST_TICKS + 1):
        x = tick / _MOST_TICKS * (_WIDTH - 40)
        words = seconds(wall_s * x / _WIDTH)
        parts.append(element("text", words, x=f"{x:.1f}", y=_TIMELINE_HEIGHT - 4, class_="tick"))
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {_WIDTH} {_TIMELINE_HEIGHT}",
        role="img",
        aria_label="Timeline: the share of time in which the GIL is held, and stalls of the event loop",
        class_="timeline",
    )


def _held_line(summary: ProcessSummary, base: int) -> str:
    record = summary.record
    bins = max(1, min(_BINS, int(record.wall_s * 10)))
    length_us = max((record.end_us - record.start_us) / bins, 1)
    held = [0.0] * bins
    for one in summary.seconds:
        if one.holds and one.look >= 0:
            at = int((record.looks[one.look].start_us - record.start_us) / length_us)
            held[min(max(at, 0), bins - 1)] += one.seconds / (length_us / 1e6)
    return " ".join(
        f"{(at + 0.5) / bins * _WIDTH:.1f},{base - min(share, 1.0) * (base - 6):.1f}"
        for at, share in enumerate(held)
    )


def bar(shares: Shares, width_share: float = 1.0) -> Html:
    """Draw one row's columns beside each other, with the figures in its title."""
    words = ", ".join(
        f"{MEANING[one]} {shares[one]:.1%}" for one in COLUMNS if shares[one] >= _LEAST_TOLD
    )
    parts = [
        element(
            "span",
            class_=f"c-{one}",
            style=f"width:{100 * shares[one] / (sum(shares.values()) or 1):.2f}%",
        )
        for one in COLUMNS
        if shares[one] > 0
    ]
    return element(
        "span",
        joined(parts),
        class_="columns",
        title=words,
        style=f"width:{100 * width_share:.1f}%",
    )
