"""One task: headline, lane map, curves, scalability, costs and routes, in this order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lanewise.measuring.report_page import humanise, tables
from lanewise.measuring.report_page.advice import advice_of, concurrency_words, sentence, strip
from lanewise.measuring.report_page.markup import NOTHING, Html, details, element, joined
from lanewise.measuring.report_page.reading import LANE_NAMES, distinct, rows, text, texts

if TYPE_CHECKING:
    from lanewise.measuring.report_page.reading import Row


def task_id(index: int) -> str:
    """Return the anchor of a task."""
    return f"task-{index}"


def task_section(task: Row, index: int, budget_s: float | None) -> Html:
    """Return everything about one task."""
    name = text(task.get("name"), text(task.get("target"), f"task {index + 1}"))
    module, _, function = name.rpartition(":")
    title = joined([element("span", module + ":") if module else None, function])
    return element(
        "section",
        element("h2", title, id=f"{task_id(index)}-title", class_="name"),
        headline(task),
        _troubles(task),
        _lane_map(task, index, budget_s),
        _curves(task, index, budget_s),
        _scaling(task, index),
        _costs(task),
        _routes(task),
        id=task_id(index),
        class_="task",
        aria_labelledby=f"{task_id(index)}-title",
    )


def headline(task: Row) -> Html:
    """Return what to do, in words, for each group of concurrencies."""
    known = distinct(rows(task, "routes"), "concurrency")
    unit = task.get("size_unit")
    lines = [
        element(
            "div",
            element("p", concurrency_words(advice.concurrencies, known), class_="when"),
            element("p", sentence(advice, unit), class_="what"),
            class_="advice",
        )
        for advice in advice_of(task)
    ]
    if not lines and not text(task.get("error")):
        return element("p", "No route was found for this task.", class_="nothing")
    return element("div", *lines, class_="headline") if lines else NOTHING


def overview(tasks: list[Row]) -> Html:
    """Return all tasks at a glance: name, strip, and what to do at the lowest concurrency."""
    items = []
    for index, task in enumerate(tasks):
        name = text(task.get("name"), text(task.get("target"), f"task {index + 1}"))
        found = advice_of(task)
        known = distinct(rows(task, "routes"), "concurrency")
        lines = [
            element(
                "span",
                element("span", concurrency_words(advice.concurrencies, known), class_="when"),
                strip(advice, task),
                class_="line",
            )
            for advice in found
        ]
        trouble = text(task.get("error")) or ("" if found else "no route found")
        failed = element("span", trouble, class_="failed") if trouble else NOTHING
        link = element("a", element("code", name), href=f"#{task_id(index)}")
        items.append(element("li", link, element("span", *lines, failed, class_="lines")))
    used = {text(route.get("lane")) for task in tasks for route in rows(task, "routes")}
    kinds = [
        element("span", name, class_=f"lane-{lane}")
        for lane, name in LANE_NAMES.items()
        if lane in used
    ]
    kinds += [
        element("span", "variant", class_="lane-other variant"),
        element("span", "undecided", class_="lane-other undecided"),
    ]
    words = element("span", "small calls on the left, large ones on the right")
    key = element("p", *kinds, words, class_="key") if used else NOTHING
    return joined([element("ol", *items, class_="overview"), key])


def _troubles(task: Row) -> Html:
    items: list[str] = []
    error = text(task.get("error"))
    if error:
        items.append(element("p", element("b", "Not measured. "), error, class_="callout error"))
    for variant in rows(task, "variants"):
        status = text(variant.get("status"), "ok")
        if status != "ok":
            named = element("b", f"Variant {text(variant.get('name'), 'default')} {status}. ")
            items.append(element("p", named, text(variant.get("reason")), class_="callout"))
    items += [element("p", each, class_="callout") for each in texts(task, "warnings")]
    return joined(items)


def _chart(kind: str, index: int, label: str) -> Html:
    return element("div", class_="plot", data_chart=kind, data_task=index, data_label=label)


def _controls(kind: str, index: int) -> Html:
    return element("div", class_="controls", data_control=kind, data_task=index)


def _lane_map(task: Row, index: int, budget_s: float | None) -> Html:
    if not rows(task, "routes") and not rows(task, "lanes"):
        return NOTHING
    budget = "" if budget_s is None else f" ({humanise.seconds(budget_s)})"
    lead = (
        "The lane each call should take, by the size of the call and the number of calls at once. "
        "A lane only counts where it keeps the event loop within its budget"
    )
    return element(
        "figure",
        element("h3", "Lane map"),
        element("p", f"{lead}{budget}.", class_="lead"),
        _chart("lane-map", index, "Lane map: winning lane by size and concurrency"),
        details("Lane map as tables", tables.winners(task), tables.break_even(task)),
    )


def _curves(task: Row, index: int, budget_s: float | None) -> Html:
    if not rows(task, "lanes"):
        return NOTHING
    budget = "its budget" if budget_s is None else f"the budget of {humanise.seconds(budget_s)}"
    lag = f"How late the event loop wakes up while the lane works, against {budget}."
    return element(
        "figure",
        element("h3", "Throughput"),
        element("p", "Calls per second over size; bands are confidence intervals.", class_="lead"),
        _controls("concurrency", index),
        _chart("throughput", index, "Throughput over size by lane and variant"),
        element("h3", "Latency"),
        element(
            "p", "Of one call: the line is the median, the band reaches to p95.", class_="lead"
        ),
        _chart("latency", index, "Latency over size, one panel per lane"),
        element("h3", "Loop lag"),
        element("p", lag, class_="lead"),
        _chart("lag", index, "Loop lag p99 over size, one panel per lane"),
        details("Curves as a table", tables.measured(task)),
    )


def _scaling(task: Row, index: int) -> Html:
    saturation, predictions = rows(task, "saturation"), rows(task, "predictions")
    if not saturation and not predictions:
        return NOTHING
    parts: list[str] = [
        element("h3", "Scalability"),
        element(
            "p",
            "Points are measured, lines are the Universal Scalability Law fitted to them. "
            "A ring marks the saturation point: more calls at once gain nothing.",
            class_="lead",
        ),
        _controls("size", index),
    ]
    if saturation:
        parts.append(_chart("scaling", index, "Throughput over concurrency with the fitted law"))
        parts.append(tables.saturation(task))
    if predictions:
        assumed = dict.fromkeys(text(row.get("assumption")) for row in predictions)
        lines = [element("li", each) for each in assumed if each]
        parts += [
            element("h3", "On a bigger machine, and without the GIL"),
            _chart("predictions", index, "Predicted throughput by number of cores and build"),
            element("ul", *lines, class_="plain assumptions") if lines else NOTHING,
            details("Predictions as a table", tables.predictions(task)),
        ]
    return element("figure", *parts)


def _costs(task: Row) -> Html:
    found = tables.costs(task)
    if not found:
        return NOTHING
    release = tables.gil_release(task)
    lead = "One call alone, outside any lane. GIL held: the share of the time it keeps the lock."
    return element(
        "figure",
        element("h3", "What a call costs"),
        element("p", lead, class_="lead"),
        release,
        found,
    )


def _routes(task: Row) -> Html:
    found = tables.routes(task)
    return element("figure", element("h3", "Routes"), found) if found else NOTHING
