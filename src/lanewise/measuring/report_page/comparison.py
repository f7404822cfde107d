"""Several interpreters side by side, task by task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lanewise.measuring.report_page import humanise
from lanewise.measuring.report_page.markup import NOTHING, Html, element, joined, lane_label, share_bar
from lanewise.measuring.report_page.reading import (
    distinct,
    number,
    ranked,
    rows,
    section,
    text,
)

if TYPE_CHECKING:
    from lanewise.measuring.report_page.reading import Row


def interpreter_name(report: Row) -> str:
    """Return an interpreter with its version and what matters about its lock."""
    host = section(report, "host")
    version = text(host.get("python_version")) or text(report.get("python"), "unknown")
    build = " free-threaded" if host.get("free_threaded_build") else ""
    lock = {True: ", GIL on", False: ", GIL off"}.get(host.get("gil_enabled") is True)
    known = isinstance(host.get("gil_enabled"), bool)
    return f"{text(host.get('implementation'), 'Python')} {version}{build}{lock if known else ''}"


def comparison(report: Row) -> Html:
    """Return one table per task that some other interpreter has measured too."""
    others = rows(report, "others")
    if not others:
        return NOTHING
    reports = [report, *others]
    parts = [_task_table(task, reports) for task in rows(report, "tasks")]
    return joined(parts)


def _task_table(task: Row, reports: list[Row]) -> Html:
    name = text(task.get("name"))
    tasks = [_named(each, name) for each in reports]
    keys = _keys([found for found in tasks if found])
    if not keys:
        return _missing(name, tasks, reports)
    top = [element("th", "variant", scope="col", rowspan=2)]
    top += [element("th", "size", scope="col", rowspan=2, class_="n")]
    under: list[Html] = []
    for each in reports:
        top.append(element("th", interpreter_name(each), scope="colgroup", colspan=4, class_="group"))
        heads = ("wall", "GIL held", "best lane", "throughput")
        under += [
            element("th", head, scope="col", class_="group" if head == "wall" else None)
            for head in heads
        ]
    lines = [_line(variant, size, tasks) for variant, size in keys]
    caption = f"{name} on {len(reports)} interpreters"
    content = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *top), element("tr", *under)),
        element("tbody", *lines),
        class_="comparison",
    )
    box = element("div", content, class_="scroll", tabindex=0, role="region", aria_label=caption)
    return joined([element("h3", element("code", name)), box, _missing("", tasks, reports)])


def _named(report: Row, name: str) -> Row | None:
    found = [task for task in rows(report, "tasks") if text(task.get("name")) == name]
    return found[0] if found else None


def _keys(tasks: list[Row]) -> list[tuple[str, float]]:
    keys: dict[tuple[str, float], None] = {}
    for task in tasks:
        measured = rows(task, "costs") + rows(task, "lanes")
        for variant in dict.fromkeys(text(row.get("variant"), "default") for row in measured):
            alike = [r for r in measured if text(r.get("variant"), "default") == variant]
            keys.update(dict.fromkeys((variant, size) for size in distinct(alike, "size")))
    return sorted(keys, key=lambda key: (key[0] != "default", key[0], key[1]))


def _here(task: Row | None, key: str, variant: str, size: float) -> list[Row]:
    return [
        row
        for row in rows(task, key)
        if text(row.get("variant"), "default") == variant and number(row.get("size")) == size
    ]


def _line(variant: str, size: float, tasks: list[Row | None]) -> Html:
    unit = next((task.get("size_unit") for task in tasks if task), None)
    cells = [element("th", variant, scope="row"), element("td", humanise.size(size, unit), class_="n")]
    fastest = [_fastest(task, variant, size) for task in tasks]
    top = max((number(row["throughput_per_s"]) or 0.0 for row in fastest if row), default=0.0)
    for task, row in zip(tasks, fastest, strict=True):
        cost = next(iter(_here(task, "costs", variant, size)), {})
        held = number(cost.get("gil_held_share"))
        cells.append(element("td", humanise.seconds(cost.get("wall_s")), class_="n group"))
        cells.append(element("td", share_bar(held, humanise.share(held))))
        if row is None:
            cells += [element("td", humanise.MISSING), element("td", humanise.MISSING, class_="n")]
            continue
        at = element("small", f" {humanise.count(row.get('concurrency'))} at once")
        throughput = number(row["throughput_per_s"]) or 0.0
        bar = share_bar(throughput / top if top else 0.0, humanise.rate(throughput), kind="rate")
        cells += [element("td", lane_label(row.get("lane")), at), element("td", bar)]
    return element("tr", *cells)


def _fastest(task: Row | None, variant: str, size: float) -> Row | None:
    lanes = _here(task, "lanes", variant, size)
    best = ranked([row for row in lanes if row.get("eligible") is not False])
    return best[0] if best else None


def _missing(name: str, tasks: list[Row | None], reports: list[Row]) -> Html:
    lines = []
    for task, report in zip(tasks, reports, strict=True):
        error = text((task or {}).get("error"))
        if task is None or error:
            why = error or "not measured"
            lines.append(element("li", f"{interpreter_name(report)}: {why}"))
    if not lines:
        return NOTHING
    head = element("h3", element("code", name)) if name else NOTHING
    return joined([head, element("ul", *lines, class_="plain")])
