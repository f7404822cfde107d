"""Markup whose escaping cannot be forgotten: text is escaped unless it already is `Html`."""

from __future__ import annotations

from html import escape
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from lanewise.measuring.report_page.reading import LANE_NAMES, lane_name, text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class Html(str):
    """Markup that is escaped already."""

    __slots__ = ()


NOTHING = Html("")


def element(name: str, *children: str | None, **attributes: str | float | None) -> Html:
    """Return one element; `class_` becomes `class`, `data_x` becomes `data-x`."""
    opened = name
    for key, value in attributes.items():
        if value is not None:
            opened += f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
    if name in {"br", "col"}:
        return Html(f"<{opened}>")
    return Html(f"<{opened}>{joined(children)}</{name}>")


def joined(parts: Iterable[str | None]) -> Html:
    """Return parts one after the other, each escaped unless it is `Html`."""
    return Html("".join(p if isinstance(p, Html) else escape(p) for p in parts if p is not None))


def lane_label(lane: Any, variant: Any = None) -> Html:
    """Return a lane as a coloured label with its variant in words."""
    known = lane if isinstance(lane, str) and lane in LANE_NAMES else "other"
    named = text(variant, "default")
    which = NOTHING if named == "default" else element("i", f", variant {named}")
    return element("span", lane_name(lane), which, class_=f"lane lane-{known}")


def table(  # noqa: PLR0913
    caption: str,
    heads: list[str],
    body: list[list[str]],
    *,
    numeric: tuple[int, ...] = (),
    grouped: bool = False,
    quiet: bool = False,
) -> Html:
    """Return a table that scrolls sideways in its own box, or nothing when it has no rows.

    Args:
        caption: What the table is about; `quiet` keeps it from sight where a heading says the same.
        heads: The columns.
        body: Cells of each row; the first cell of a `grouped` table tells which rows are together.
        numeric: The columns that are aligned to the right.
        grouped: Whether a line separates groups of rows.
        quiet: Whether the caption is only for those who hear the page.
    """
    if not body:
        return NOTHING

    def kind(column: int) -> str | None:
        return "n" if column in numeric else None

    top = [element("th", h, scope="col", class_=kind(i)) for i, h in enumerate(heads)]
    groups = [list(found) for _, found in groupby(body, itemgetter(0))] if grouped else [body]
    bodies = [
        element(
            "tbody",
            *(
                element("tr", *(element("td", cell, class_=kind(i)) for i, cell in enumerate(line)))
                for line in group
            ),
        )
        for group in groups
    ]
    content = element(
        "table",
        element("caption", caption, class_="unseen" if quiet else None),
        element("thead", element("tr", *top)),
        *bodies,
    )
    return element("div", content, class_="scroll", tabindex=0, role="region", aria_label=caption)


def details(summary: str, *content: str) -> Html:
    """Return a fold, or nothing when there is nothing in it."""
    if not any(content):
        return NOTHING
    return element("details", element("summary", summary), *content)


def share_bar(share: float | None, label: str, *, kind: str = "gil") -> Html:
    """Return a share of 1 as a small bar with its value next to it."""
    if share is None:
        return Html(escape(text(label, "–")))
    width = max(0.0, min(share, 1.0)) * 100
    fill = element("span", class_="fill", style=f"width:{width:.1f}%")
    track = element("span", fill, class_=f"track {kind}", aria_hidden="true")
    return element("span", track, element("span", label), class_="bar")
