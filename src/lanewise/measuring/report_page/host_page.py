"""The machine and the interpreter: one line for the top, everything for the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lanewise.measuring.report_page import humanise
from lanewise.measuring.report_page.comparison import interpreter_name
from lanewise.measuring.report_page.markup import (
    NOTHING,
    Html,
    details,
    element,
    joined,
    lane_label,
    table,
)
from lanewise.measuring.report_page.reading import number, rows, section, text

if TYPE_CHECKING:
    from lanewise.measuring.report_page.reading import Row


def facts(report: Row) -> Html:
    """Return who measured, where and when, as one line."""
    host = section(report, "host")
    usable, logical = number(host.get("usable_cores")), number(host.get("logical_cores"))
    cores = f"{humanise.count(usable)} of {humanise.count(logical)} cores"
    took = number(report.get("duration_s"))
    created = text(report.get("created_at"))
    items = [
        interpreter_name(report) if host else "",
        f"{text(host.get('system'))} {text(host.get('kernel'))}".strip(),
        text(host.get("cpu_model")),
        cores if usable is not None and logical is not None else "",
        f"measured {humanise.moment(created)}" if created else "",
        f"in {humanise.seconds(took)}" if took is not None else "",
        f"lanewise {text(report.get('lanewise_version'))}"
        if report.get("lanewise_version")
        else "",
    ]
    return element("ul", *(element("li", item) for item in items if item), class_="facts")


def host_facts(report: Row) -> Html:
    """Return what is known about the host, and what its lanes themselves cost."""
    host = section(report, "host")
    found = section(host, "calibration")
    sampler = section(host, "gil_sampler")
    watched = text(sampler.get("source") if sampler.get("available") else sampler.get("reason"))
    absent = "" if sampler.get("available") or not sampler else "not available: "
    memory = number(host.get("memory_bytes"))
    known = {
        "Interpreter": interpreter_name(report) if host else "",
        "Executable": text(host.get("executable")),
        "Machine": text(host.get("cpu_model")),
        "Memory": humanise.data(memory) if memory is not None else "",
        "Switch interval": _known(humanise.seconds(host.get("switch_interval_s"))),
        "Loop budget": _known(humanise.seconds(report.get("loop_budget_s"))),
        "How the GIL was watched": absent + watched if watched else "",
        "Pickling": _known(humanise.data(found.get("pickle_bytes_per_s")), "/s"),
        "Transfer to a process": _known(humanise.data(found.get("transfer_bytes_per_s")), "/s"),
        "Command": text(report.get("command")),
    }
    lines = [
        joined([element("dt", key), element("dd", value)]) for key, value in known.items() if value
    ]
    listed = element("dl", *lines, class_="host") if lines else NOTHING
    others = [
        details(interpreter_name(other), _calibration(section(other, "host")))
        for other in rows(report, "others")
    ]
    return joined([listed, _calibration(host), *others])


def _known(value: str, suffix: str = "") -> str:
    return "" if value == humanise.MISSING else value + suffix


def _calibration(host: Row) -> Html:
    lanes = section(section(host, "calibration"), "lanes")
    body: list[list[str]] = []
    for lane in lanes:
        row = section(lanes, lane)
        body.append(
            [
                lane_label(lane),
                humanise.seconds(row.get("dispatch_s")),
                humanise.seconds(row.get("per_call_s")),
                humanise.seconds(row.get("loop_lag_p99_s")),
            ]
        )
    heads = ["lane", "first answer", "per call", "loop lag p99"]
    return table("What an empty call costs in each lane", heads, body, numeric=(1, 2, 3))
