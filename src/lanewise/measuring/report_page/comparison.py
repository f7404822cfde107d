"""Several interpreters side by side, task by task."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from lanewise.measuring.report_page import humanise
from lanewise.measuring.report_page.markup import (
    NOTHING,
    Html,
    element,
    joined,
    lane_label,
    share_bar,
)
from lanewise.measuring.report_page.reading import distinct, number, ranked, rows, section, text

if TYPE_CHECKING:
    from lanewise.measuring.report_page.reading import Row


def interpreter_name(report: Row) -> str:
    """Return an interpreter with its version and what matters about its lock."""
    host = section(report, "host")
    version = text(host.get("python_version")) or text(report.get("python"), "unknown")
    build = " free-threaded" if host.get("free_threaded_build") else ""
    enabled = host.get("gil_enabled")
    lock = f", GIL {'on' if enabled else 'off'}" if isinstance(enabled, bool) else ""
    return f"{text(host.get('implementation'), 'Python')} {version}{build}{lock}"


def comparison(report: Row) -> Html:
    """Return one table per task that some other interpreter has measured too."""
    others = rows(report, "others")
    if not others:
        return NOTHING
    return joined(_one_task(task, [report, *others]) for task in rows(report, "tasks"))


def _one_task(task: Row, reports: list[Row]) -> Html:
    name = text(task.get("name"), text(task.get("target"), "unnamed task"))
    measured: list[tuple[Row, Row]] = []
    absent: list[Html] = []
    for report in reports:
        theirs = _named(report, task)
        if theirs and _keys([theirs]):
            measured.append((report, theirs))
        else:
            why = text((theirs or {}).get("error"), "not measured")
            absent.append(element("li", f"{interpreter_name(report)}: {why}"))
    return joined(
        [
            element("h3", element("code", name)),
            _table(name, measured) if len(measured) > 1 else NOTHING,
            element("ul", *absent, class_="plain") if absent else NOTHING,
        ]
    )


def _named(report: Row, task: Row) -> Row | None:
    alike = [one for one in rows(report, "tasks") if one.get("name") == task.get("name")]
    return alike[0] if alike else None


def _table(name: str, measured: list[tuple[Row, Row]]) -> Html:
    tasks = [theirs for _, theirs in measured]
    top = [
        element("th", "variant", scope="col", rowspan=2),
        element("th", "size", scope="col", rowspan=2, class_="n"),
    ]
    under: list[Html] = []
    for report, _ in measured:
        whose = interpreter_name(report)
        top.append(element("th", whose, scope="colgroup", colspan=4, class_="group"))
        under.append(element("th", "wall", scope="col", class_="n group"))
        heads = ("GIL held", "best lane", "throughput")
        under += [element("th", head, scope="col") for head in heads]
    bodies = [
        element("tbody", *(_line(variant, size, tasks) for _, size in group))
        for variant, group in groupby(_keys(tasks), itemgetter(0))
    ]
    caption = f"{name} on {len(measured)} interpreters"
    content = element(
        "table",
        element("caption", caption, class_="unseen"),
        element("thead", element("tr", *top), element("tr", *under)),
        *bodies,
    )
    return element("div", content, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _keys(tasks: list[Row]) -> list[tuple[str, float]]:
    keys: dict[tuple[str, float], None] = {}
    for task in tasks:
        measured = rows(task, "costs") + rows(task, "lanes")
        for variant in dict.fromkeys(text(row.get("variant"), "default") for row in measured):
            alike = [r for r in measured if text(r.get("variant"), "default") == variant]
            keys.update(dict.fromkeys((variant, size) for size in distinct(alike, "size")))
    return sorted(keys, key=lambda key: (key[0] != "default", key[0], key[1]))


def _line(variant: str, size: float, tasks: list[Row]) -> Html:
    fastest = [_fastest(task, variant, size) for task in tasks]
    top = max((number(row["throughput_per_s"]) or 0.0 for row in fastest if row), default=0.0)
    shown = humanise.size(size, tasks[0].get("size_unit"))
    cells = [element("th", variant, scope="row"), element("td", shown, class_="n")]
    for task, row in zip(tasks, fastest, strict=True):
        cost = next(iter(_here(task, "costs", variant, size)), {})
        held = number(cost.get("gil_held_share"))
        cells.append(element("td", humanise.seconds(cost.get("wall_s")), class_="n group"))
        cells.append(element("td", share_bar(held, humanise.share(held))))
        cells += _best(row, top)
    return element("tr", *cells)


def _best(row: Row | None, top: float) -> list[Html]:
    if row is None:
        return [element("td", "none within budget"), element("td", humanise.MISSING)]
    at = element("small", f" {humanise.count(row.get('concurrency'))} at once")
    throughput = number(row["throughput_per_s"]) or 0.0
    bar = share_bar(throughput / top if top else 0.0, humanise.rate(throughput), kind="rate")
    return [element("td", lane_label(row.get("lane")), at), element("td", bar)]


def _here(task: Row, key: str, variant: str, size: float) -> list[Row]:
    return [
        row
        for row in rows(task, key)
        if text(row.get("variant"), "default") == variant and number(row.get("size")) == size
    ]


def _fastest(task: Row, variant: str, size: float) -> Row | None:
    lanes = _here(task, "lanes", variant, size)
    best = ranked([row for row in lanes if row.get("eligible") is not False])
    return best[0] if best else None
