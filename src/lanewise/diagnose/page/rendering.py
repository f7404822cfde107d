"""Puts the page of a diagnosis together."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from importlib import resources
from string import Template
from typing import Any

from lanewise.diagnose.advice import Advice
from lanewise.diagnose.page.drawing import bar, flame, key, timeline
from lanewise.diagnose.session import Session
from lanewise.diagnose.summary import ProcessSummary, document, thread_title
from lanewise.measuring.report_page.humanise import moment, seconds
from lanewise.measuring.report_page.markup import NOTHING, Html, element, joined, table

_MOST_ROWS = 30
_TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
$title
<style>
$style
</style>
</head>
<body>
<header class="top"><h1>lanewise diagnose</h1>
$facts
</header>
<main>
$advice
$processes
<section class="about"><h2>Raw data</h2>
<p>$raw</p></section>
</main>
</body>
</html>
"""


def render_page(
    session: Session, summaries: Sequence[ProcessSummary], advice: Sequence[Advice]
) -> str:
    """Return a diagnosis as one HTML page that fetches nothing. No text in it is trusted."""
    made = document(session, summaries, [one.as_dict() for one in advice])
    return Template(_TEMPLATE).substitute(
        title=element("title", f"lanewise diagnose: {' '.join(session.command)}"),
        style=_resource("lanewise.measuring.report_page", "style.css")
        + _resource(__package__, "page.css"),
        facts=_facts(session),
        advice=_advice(session, advice),
        processes=joined(_process(one) for one in summaries),
        raw=_raw(made),
    )


def _resource(package: str | None, name: str) -> str:
    assert package is not None
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _facts(session: Session) -> Html:
    items = [
        " ".join(session.command),
        moment(session.created_at),
        str(session.host.get("cpu_model", "")),
        f"{session.rate_hz:g} looks a second at most",
        f"lanewise {session.lanewise_version}",
    ]
    return element("ul", *(element("li", item) for item in items if item), class_="facts")


def _advice(session: Session, advice: Sequence[Advice]) -> Html:
    items = []
    for one in advice:
        gain = "" if one.predicted_gain is None else f", throughput × {one.predicted_gain:.2f}"
        lag = one.predicted_loop_lag_p99_s
        later = "" if lag is None else f", loop lag p99 → {seconds(lag)}"
        items.append(
            element(
                "li",
                element(
                    "b",
                    f"{one.function or 'The program'}: "
                    f"{one.strategy.replace('_', ' ')}{gain}{later}",
                ),
                element("p", one.reason),
                element("p", f"Assumed: {one.assumption}", class_="soft"),
                element("p", "Verify: ", element("code", one.verify), class_="soft"),
            )
        )
    notes = [element("p", note, class_="callout") for note in session.notes]
    return element(
        "section", element("h2", "What to do"), element("ul", *items, class_="advice-list"), *notes
    )


def _process(summary: ProcessSummary) -> Html:
    record = summary.record
    held = (
        f"The GIL is held {summary.gil_held_share:.1%} ± {summary.gil_held_error:.1%} of the time. "
        if record.gil_known and record.gil_enabled
        else ""
    )
    lag = (
        ""
        if summary.lag_p99_s is None
        else f"The event loop's lag is {seconds(summary.lag_p99_s)} at p99. "
    )
    about = (
        f"Python {record.python_version}, {record.cores} cores, {seconds(record.wall_s)}. "
        f"Source: {record.source}."
    )
    return element(
        "section",
        element("h2", f"{record.pid} {record.command}", class_="name"),
        element("p", held, lag, about, class_="lead"),
        *(element("p", weakness, class_="callout") for weakness in summary.weaknesses),
        key(),
        element("figure", element("h3", "Threads"), _threads(summary)),
        element(
            "figure",
            element("h3", "Over time"),
            _timeline_lead(summary),
            timeline(summary),
            _stalls(summary),
        ),
        element("figure", element("h3", "Flame graph"), flame(summary)),
        element("figure", element("h3", "Functions"), _functions(summary)),
        element("figure", element("h3", "Who makes whom wait for the GIL"), _waits(summary)),
    )


def _timeline_lead(summary: ProcessSummary) -> Html:
    words = "The line is the share of time in which the GIL is held."
    if summary.loops:
        words += " Red: the event loop served nobody."
    return element("p", words, class_="lead")


def _threads(summary: ProcessSummary) -> Html:
    body = [
        [thread_title(summary.record, one.thread), bar(one.shares), f"{one.alive_s:.1f} s"]
        for one in sorted(
            summary.threads, key=lambda one: one.shares["io_sleep"] + one.shares["lock_wait"]
        )
    ][:_MOST_ROWS]
    return table(
        "Threads", ["thread", "where its time went", "watched for"], body, numeric=(2,), quiet=True
    )


def _functions(summary: ProcessSummary) -> Html:
    body = [
        [
            one.frame.qualname,
            f"{one.frame.file}:{one.frame.line}",
            bar(one.shares, min(1.0, sum(one.shares.values()))),
            f"{sum(one.shares.values()):.1%}",
        ]
        for one in summary.functions[:_MOST_ROWS]
    ]
    heads = ["function", "hottest line", "where its time went", "of the wall time"]
    return table("Functions, with the libraries that they call", heads, body, numeric=(3,))


def _waits(summary: ProcessSummary) -> Html:
    record = summary.record
    body = [
        [
            thread_title(record, one.waiter),
            thread_title(record, one.holder) if one.holder >= 0 else "nobody (handing over)",
            f"{one.frame.qualname} {one.frame.file}:{one.frame.line}" if one.frame else "",
            f"{one.share:.1%}",
        ]
        for one in summary.waits[:_MOST_ROWS]
    ]
    found = table("Waits", ["waits", "behind", "in", "of the time"], body, numeric=(3,), quiet=True)
    return found or element("p", "Nobody waited for it.", class_="lead")


def _stalls(summary: ProcessSummary) -> Html:
    body = [
        [
            f"{stall.start_s - summary.record.start_us / 1e6:.2f} s",
            seconds(stall.duration_s),
            stall.cause,
            f"{stall.function} {stall.path}:{stall.line}" if stall.path else "",
        ]
        for stall in sorted(summary.stalls, key=lambda stall: -stall.duration_s)[:_MOST_ROWS]
    ]
    heads = ["at", "for", "cause", "where"]
    return (
        table("Stalls of the event loop, the longest first", heads, body, numeric=(0, 1)) or NOTHING
    )


def _raw(made: dict[str, Any]) -> Html:
    encoded = base64.b64encode(json.dumps(made, default=str).encode()).decode()
    return element(
        "a",
        "Download the figures (JSON)",
        href=f"data:application/json;base64,{encoded}",
        download="lanewise-diagnosis.json",
        class_="download",
    )
