"""The tables: what was measured, in the units people read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lanewise.measuring.report_page import humanise
from lanewise.measuring.report_page.markup import (
    NOTHING,
    Html,
    element,
    joined,
    lane_label,
    share_bar,
    table,
)
from lanewise.measuring.report_page.reading import (
    distinct,
    in_order,
    number,
    ranked,
    rows,
    text,
)

if TYPE_CHECKING:
    from lanewise.measuring.report_page.reading import Row


def _sorted(items: list[Row], *keys: str) -> list[Row]:
    def order(row: Row) -> list[tuple[float, str]]:
        return [(in_order(row.get(key)), text(row.get(key))) for key in keys]

    return sorted(items, key=order)


def _size_head(task: Row) -> str:
    return "size of arguments" if task.get("size_unit") == "bytes" else "size"


def _size(row: Row, task: Row, key: str = "size") -> str:
    return humanise.size(row.get(key), task.get("size_unit"))


def costs(task: Row) -> Html:
    """Return what one call costs, per variant and size, alone and without any lane."""
    body: list[list[str]] = []
    for row in rows(task, "costs"):
        low, high = number(row.get("wall_low_s")), number(row.get("wall_high_s"))
        spread = f"{humanise.seconds(low)} to {humanise.seconds(high)}"
        wall = joined(
            [
                element("strong", humanise.seconds(row.get("wall_s"))),
                element("small", spread) if low is not None and high is not None else None,
            ]
        )
        gil = number(row.get("gil_held_share"))
        held = share_bar(gil, humanise.share(gil, row.get("gil_held_share_error")))
        note = text(row.get("note"))
        body.append(
            [
                text(row.get("variant"), "default"),
                _size(row, task),
                wall,
                humanise.seconds(row.get("first_call_s")),
                humanise.seconds(row.get("cpu_s")),
                held,
                humanise.rate(row.get("gil_handovers_per_s")),
                humanise.seconds(row.get("run_queue_s")),
                humanise.seconds(row.get("blocked_s")),
                humanise.data(row.get("args_bytes")),
                humanise.data(row.get("result_bytes")),
                humanise.seconds(row.get("pickle_s")),
                element("span", note, class_="note") if note else NOTHING,
            ]
        )
    heads = ["variant", _size_head(task), "wall", "first call", "CPU", "GIL held", "handovers"]
    heads += ["run queue", "blocked", "bytes in", "bytes out", "pickle", "note"]
    if not any(line[-1] for line in body):
        heads, body = heads[:-1], [line[:-1] for line in body]
    caption = "Cost of one call, by variant and size"
    return table(
        caption, heads, body, numeric=(1, 2, 3, 4, 6, 7, 8, 9, 10, 11), grouped=True, quiet=True
    )


def winners(task: Row) -> Html:
    """Return the lane map as a table: the fastest eligible lane per size and concurrency."""
    lanes = rows(task, "lanes")
    sizes = distinct(lanes, "size")
    body: list[list[str]] = []
    for concurrency in distinct(lanes, "concurrency"):
        line: list[str] = [humanise.count(concurrency)]
        for size in sizes:
            here = [
                r
                for r in lanes
                if number(r.get("size")) == size and number(r.get("concurrency")) == concurrency
            ]
            best = ranked([r for r in here if r.get("eligible") is not False])
            if best:
                line.append(lane_label(best[0].get("lane"), best[0].get("variant")))
            else:
                line.append("none within budget" if here else humanise.MISSING)
        body.append(line)
    heads = ["concurrency", *(humanise.size(s, task.get("size_unit")) for s in sizes)]
    return table("Fastest lane within the loop budget, by concurrency and size", heads, body)


def break_even(task: Row) -> Html:
    """Return the sizes at which one lane overtakes another."""
    body: list[list[str]] = [
        [
            humanise.count(row.get("concurrency")),
            lane_label(*_ends(row.get("from"))),
            lane_label(*_ends(row.get("to"))),
            _size(row, task),
            f"{_size(row, task, 'low')} to {_size(row, task, 'high')}",
            text(row.get("why"), humanise.MISSING),
        ]
        for row in rows(task, "break_even")
    ]
    heads = ["concurrency", "from", "to", "at size", "interval", "because of"]
    return table("Break-even points", heads, body, grouped=True, numeric=(3,))


def _ends(end: object) -> tuple[str, str]:
    lane, _, variant = text(end, "none").partition("/")
    return lane, variant or "default"


def measured(task: Row) -> Html:
    """Return every lane measurement: the numbers behind the curves."""
    body: list[list[str]] = []
    for row in _sorted(rows(task, "lanes"), "variant", "lane", "concurrency", "size"):
        low, high = row.get("throughput_low_per_s"), row.get("throughput_high_per_s")
        refused = row.get("eligible") is False
        body.append(
            [
                lane_label(row.get("lane"), row.get("variant")),
                humanise.count(row.get("concurrency")),
                _size(row, task),
                humanise.rate(row.get("throughput_per_s")),
                f"{humanise.rate(low)} to {humanise.rate(high)}",
                humanise.seconds(row.get("latency_p50_s")),
                humanise.seconds(row.get("latency_p95_s")),
                humanise.seconds(row.get("loop_lag_p99_s")),
                humanise.count(row.get("calls")),
                text(row.get("reason"), "no" if refused else "yes"),
            ]
        )
    heads = ["lane", "concurrency", _size_head(task), "throughput", "interval", "latency p50"]
    heads += ["latency p95", "loop lag p99", "calls", "eligible"]
    caption = "Every measurement behind the curves"
    return table(caption, heads, body, numeric=(1, 2, 3, 5, 6, 7, 8), grouped=True)


def saturation(task: Row) -> Html:
    """Return where each lane stops growing, and why: contention beside the measured GIL share."""
    body: list[list[str]] = []
    for row in rows(task, "saturation"):
        contention, held = number(row.get("contention")), number(row.get("gil_held_share"))
        verdict = None if row.get("agrees") is None else "agree" if row["agrees"] else "differ"
        body.append(
            [
                lane_label(row.get("lane"), row.get("variant")),
                _size(row, task),
                element("strong", humanise.count(row.get("concurrency"))),
                share_bar(contention, humanise.share(contention), kind="fit"),
                share_bar(held, humanise.share(held)),
                text(verdict, humanise.MISSING),
                humanise.count(row.get("coherency")),
                humanise.rate(row.get("rate_per_s")),
            ]
        )
    heads = ["lane", _size_head(task), "grows up to", "contention (fitted)", "GIL held (measured)"]
    heads += ["agreement", "coherency", "rate of one"]
    return table("Saturation points", heads, body, numeric=(1, 2, 6, 7), grouped=True)


def predictions(task: Row) -> Html:
    """Return the predicted throughput on other machines and builds."""
    body: list[list[str]] = [
        [
            lane_label(row.get("lane"), row.get("variant")),
            _size(row, task),
            humanise.count(row.get("cores")),
            "free-threaded" if row.get("free_threaded") else "with GIL",
            humanise.rate(row.get("throughput_per_s")),
            text(row.get("assumption"), humanise.MISSING),
        ]
        for row in _sorted(rows(task, "predictions"), "size", "variant", "lane", "cores")
    ]
    heads = ["lane", _size_head(task), "cores", "build", "throughput", "assumption"]
    return table("Predicted throughput", heads, body, numeric=(1, 2, 4), grouped=True)


def routes(task: Row) -> Html:
    """Return every route with its reason."""
    body: list[list[str]] = []
    for row in _sorted(rows(task, "routes"), "concurrency", "min_size"):
        upper = row.get("max_size")
        span = f"from {_size(row, task, 'min_size')}"
        if number(upper) is not None:
            span += f" to {_size(row, task, 'max_size')}"
        decided = row.get("decided") is not False
        mark = None if decided else element("em", " undecided")
        body.append(
            [
                humanise.count(row.get("concurrency")),
                span,
                joined([lane_label(row.get("lane"), row.get("variant")), mark]),
                element("span", text(row.get("reason"), humanise.MISSING), class_="reason"),
            ]
        )
    heads = ["concurrency", "size", "route", "reason"]
    return table("Routes and their reasons", heads, body, grouped=True, quiet=True)


def gil_release(task: Row) -> Html:
    """Return from which size on each variant gives the lock up, as sentences."""
    lines = []
    for row in rows(task, "gil_release"):
        below, onward = row.get("held_share_below"), row.get("held_share_from")
        named = text(row.get("variant"), "default")
        lines.append(
            element(
                "li",
                element("b", named),
                f" gives the lock up from {_size(row, task)} on: ",
                f"it holds it {humanise.share(below)} of the time below, ",
                f"{humanise.share(onward)} from there.",
            )
        )
    return element("ul", *lines, class_="plain") if lines else NOTHING
