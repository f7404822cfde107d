"""Puts the page together: template, style, scripts, words and the document itself."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from lanewise.measuring.report_page import humanise
from lanewise.measuring.report_page.comparison import comparison
from lanewise.measuring.report_page.host_page import facts, host_facts
from lanewise.measuring.report_page.markup import NOTHING, Html, element, joined
from lanewise.measuring.report_page.reading import number, rows, text
from lanewise.measuring.report_page.task_page import overview, task_id, task_section

if TYPE_CHECKING:
    from typing import Any

    from lanewise.measuring.report_page.reading import Row

# Each one sees the functions of those before it; together they are one strict function.
_SCRIPTS = ("base.js", "axes.js", "lane_map.js", "curves.js", "scaling.js", "main.js")


def render_report(report: dict[str, Any]) -> str:
    """Return the report as one HTML page that fetches nothing.

    Args:
        report: The document `lanewise.measure/1`. Whatever is missing or null in it is left out of
            the page; no text in it is trusted.
    """
    document = _without_infinities(report)
    tasks = rows(document, "tasks")
    written = json.dumps(document, ensure_ascii=True, separators=(",", ":"), default=str)
    script = _script()
    return Template(_resource("page.html")).substitute(
        policy=_policy(script),
        style=_resource("style.css"),
        title=element("title", _title(tasks)),
        facts=facts(document),
        notices=_notices(document),
        overview=overview(tasks) if len(tasks) > 1 else NOTHING,
        tasks=_tasks(document, tasks),
        comparison=_comparison(document),
        host=host_facts(document),
        raw=_raw(written),
        data=_inside_script(written),
        script=script,
    )


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _script() -> str:
    inner = "\n".join(_resource(f"script/{name}") for name in _SCRIPTS)
    return f'(() => {{\n"use strict";\n{inner}}})();'


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _inside_script(written: str) -> str:
    """Return JSON in which nothing can end the script element or start a comment."""
    return written.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _without_infinities(value: Any) -> Any:
    """Return the document with null for the numbers that JSON does not have."""
    if isinstance(value, dict):
        return {str(key): _without_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinities(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _title(tasks: list[Row]) -> str:
    named = [text(task.get("name")) for task in tasks if task.get("name")]
    subject = named[0] if len(named) == 1 else f"{len(tasks)} tasks"
    return f"lanewise: {subject}"


def _notices(report: Row) -> Html:
    parts: list[str] = []
    if report.get("interrupted"):
        words = "The measurement was stopped early: what is missing below was not reached."
        parts.append(element("p", element("b", "Interrupted. "), words, class_="callout error"))
    if not rows(report, "tasks"):
        parts.append(element("p", "No task was measured.", class_="callout"))
    return joined(parts)


def _tasks(report: Row, tasks: list[Row]) -> Html:
    budget = number(report.get("loop_budget_s"))
    parts: list[str] = []
    if len(tasks) > 1:
        links = [
            element(
                "a",
                text(task.get("name"), f"task {i + 1}").rpartition(":")[2],
                href=f"#{task_id(i)}",
            )
            for i, task in enumerate(tasks)
        ]
        parts.append(element("nav", *links, aria_label="Tasks"))
    parts += [task_section(task, index, budget) for index, task in enumerate(tasks)]
    return joined(parts)


def _comparison(report: Row) -> Html:
    found = comparison(report)
    if not found:
        return NOTHING
    head = element("h2", "Interpreters side by side")
    return element("section", head, found, class_="interpreters")


def _raw(written: str) -> Html:
    encoded = base64.b64encode(written.encode()).decode()
    target = f"data:application/json;base64,{encoded}"
    words = f"Download the raw data (JSON, {humanise.data(len(written))})"
    return element("a", words, href=target, download="lanewise-report.json", class_="download")
