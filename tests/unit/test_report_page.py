"""The report page: well-formed, self-contained, escaped, complete, and calm about gaps."""

from __future__ import annotations

import base64
import copy
import hashlib
import itertools
import json
import math
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from lanewise.measuring.report_page import render_report

HOSTILE = "<b>5 > 3</b></script><script>alert(1)</script><!-- ${data} & \"quoted\" 'text' \u2028"
SIZES = [100, 400, 1600, 6400, 25600, 102400]
CONCURRENCIES = [1, 2, 4, 8]
BUDGET_S = 0.001


def cost(variant: str, size: int, wall_s: float, held: float) -> dict[str, Any]:
    return {
        "variant": variant, "size": size, "call_size": size, "wall_s": wall_s,
        "wall_low_s": wall_s * 0.97, "wall_high_s": wall_s * 1.04, "first_call_s": wall_s * 1.6,
        "cpu_s": wall_s * 0.99, "gil_held_share": held, "gil_held_share_error": 0.012,
        "gil_handovers_per_s": 190.0 if held < 0.9 else 0.4, "run_queue_s": wall_s * 0.01,
        "blocked_s": 0.0, "args_bytes": size * 24, "result_bytes": size * 2,
        "pickle_s": size * 4e-9 + 2e-6, "note": "busy machine" if size == 400 else None,
    }  # fmt: skip


def law(rate: float, contention: float, concurrency: int, cores: int = 4) -> float:
    used = min(concurrency, cores)
    return rate * used / (1 + contention * (used - 1) + 0.0004 * concurrency * (concurrency - 1))


def lane(variant: str, name: str, cost: dict[str, Any], concurrency: int) -> dict[str, Any]:
    overhead = {"event_loop": 2e-6, "thread": 6e-5, "process": 2.2e-4}[name]
    wall, held, size = cost["wall_s"], cost["gil_held_share"], cost["size"]
    contention = {"event_loop": 1.0, "thread": held, "process": 0.04}[name]
    rate = 1 / (wall + overhead + (size * 2.4e-8 if name == "process" else 0))
    throughput = law(rate, contention, concurrency) * (1 + 0.03 * math.sin(size + concurrency))
    lag = {"event_loop": wall, "thread": min(wall, 0.005 * concurrency**0.5) * held, "process": 0}
    lag_s = 9e-5 + lag[name]
    eligible = lag_s <= BUDGET_S
    return {
        "variant": variant, "lane": name, "size": size, "concurrency": concurrency,
        "throughput_per_s": throughput, "throughput_low_per_s": throughput * 0.93,
        "throughput_high_per_s": throughput * 1.06, "latency_p50_s": concurrency / throughput,
        "latency_p95_s": 1.5 * concurrency / throughput, "loop_lag_p99_s": lag_s,
        "loop_lag_reference_p99_s": 8.5e-5, "eligible": eligible, "calls": 400, "rounds": 3,
        "reason": None if eligible else f"breaks the loop budget: {lag_s * 1e3:.1f} ms",
    }  # fmt: skip


def route(
    concurrency: int, start: float, end: float | None, where: str, *, decided: bool = True
) -> dict[str, Any]:
    name, _, variant = where.partition("/")
    return {
        "concurrency": concurrency, "min_size": start, "max_size": end, "lane": name,
        "variant": variant, "decided": decided,
        "reason": f"{name} is fastest within the loop budget" if decided else "too close to call",
    }  # fmt: skip


def overtaking(lanes: list[dict[str, Any]], concurrency: int) -> list[tuple[float, str, str]]:
    found: list[tuple[float, str, str]] = []
    for size in sorted({row["size"] for row in lanes}):
        here = [r for r in lanes if (r["size"], r["concurrency"]) == (size, concurrency)]
        best = max(here, key=lambda r: (r["eligible"], r["throughput_per_s"]))
        if not found or found[-1][1:] != (best["lane"], best["variant"]):
            found.append((size, best["lane"], best["variant"]))
    return found


def decide(task: dict[str, Any]) -> None:
    for concurrency in task["concurrencies"]:
        steps = overtaking(task["lanes"], concurrency)
        for i, (size, name, variant) in enumerate(steps):
            start = size * 0.55 if i else 0
            end = steps[i + 1][0] * 0.55 if i + 1 < len(steps) else None
            task["routes"].append(route(concurrency, start, end, f"{name}/{variant}"))
            if i:
                before = "/".join(steps[i - 1][1:])
                point = {"concurrency": concurrency, "from": before, "to": f"{name}/{variant}"}
                point |= {"size": start, "low": start * 0.9, "high": start * 1.13}
                task["break_even"].append(
                    point | {"why": "loop budget" if i == 1 else "throughput"}
                )


def fit(task: dict[str, Any]) -> None:
    for row in task["lanes"]:
        if row["concurrency"] != 1 or row["size"] not in {1600, 102400}:
            continue
        held = next(
            c["gil_held_share"]
            for c in task["costs"]
            if (c["variant"], c["size"]) == (row["variant"], row["size"])
        )
        contention = {"event_loop": 1.0, "thread": held, "process": 0.04}[row["lane"]]
        where = {key: row[key] for key in ("variant", "lane", "size")}
        rate = row["throughput_per_s"]
        task["saturation"].append(
            where
            | {"concurrency": 1 if contention > 0.9 else 4, "contention": contention}
            | {
                "coherency": 0.0004,
                "rate_per_s": rate,
                "agrees": True if row["lane"] == "thread" else None,
            }
            | {"gil_held_share": held if row["lane"] == "thread" else None}
        )
        for cores, free in itertools.product([4, 16, 64], [False, True]):
            if row["lane"] == "event_loop" or (free and row["lane"] == "process"):
                continue
            share = 0.03 if free else contention
            assumed = "no lock, 3 % shared work" if free else "contention stays as measured here"
            predicted = where | {"cores": cores, "free_threaded": free, "assumption": assumed}
            predicted["throughput_per_s"] = law(rate, share, cores, cores)
            task["predictions"].append(predicted)


def empty_task(name: str, unit: str = "declared") -> dict[str, Any]:
    lists = ("variants", "costs", "lanes", "break_even", "saturation", "routes", "gil_release")
    task: dict[str, Any] = {key: [] for key in (*lists, "predictions", "warnings")}
    return task | {
        "name": name,
        "target": name,
        "size_unit": unit,
        "concurrencies": [],
        "error": None,
    }


def full_task(
    name: str, unit: str, shapes: dict[str, tuple[float, float, float]]
) -> dict[str, Any]:
    """A task whose variants cost (fixed_s, per_item_s, gil_held_share)."""
    task = empty_task(name, unit)
    task["concurrencies"] = CONCURRENCIES
    for variant, (fixed, each, held) in shapes.items():
        requires = None if variant == "default" else variant
        task["variants"].append(
            {"name": variant, "requires": requires, "status": "ok", "reason": None}
        )
        task["costs"] += [cost(variant, s, fixed + each * s, held) for s in SIZES]
    for one, name_, concurrency in itertools.product(
        task["costs"], ("event_loop", "thread", "process"), CONCURRENCIES
    ):
        task["lanes"].append(lane(one["variant"], name_, one, concurrency))
    decide(task)
    fit(task)
    return task


def host(version: str, *, free_threaded: bool = False) -> dict[str, Any]:
    costs = {"event_loop": 9e-7, "thread": 5.8e-5, "process": 2.1e-4}
    lanes = {
        k: {"dispatch_s": v, "per_call_s": v * 0.9, "loop_lag_p99_s": 9e-5}
        for k, v in costs.items()
    }
    return {
        "python_version": version, "implementation": "CPython", "executable": "python",
        "free_threaded_build": free_threaded, "gil_enabled": not free_threaded, "system": "Linux",
        "kernel": "6.1.0", "cpu_model": "AMD EPYC 7B13", "logical_cores": 8, "usable_cores": 4,
        "memory_bytes": 16_800_000_000, "switch_interval_s": 0.005,
        "gil_sampler": {"available": True, "source": "the lock word itself", "reason": None},
        "calibration": {"lanes": lanes, "pickle_bytes_per_s": 8.2e8, "transfer_bytes_per_s": 1.1e9},
    }  # fmt: skip


def document(tasks: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "schema": "lanewise.measure/1", "lanewise_version": "0.1.0", "duration_s": 58.1,
        "created_at": "2026-11-22T20:50:00Z", "command": "lanewise measure supplyr.tasks",
        "interrupted": False, "loop_budget_s": BUDGET_S, "host": host("3.11.7"), "tasks": tasks,
        "others": [],
    } | more  # fmt: skip


def sample() -> dict[str, Any]:
    dedupe = full_task(
        "supplyr.dedupe:find_duplicates",
        "declared",
        {"default": (2e-6, 9e-7, 0.99), "rapidfuzz": (3e-4, 3.4e-8, 0.45)},
    )
    scores = full_task("supplyr.scores:normalise", "bytes", {"default": (9e-6, 2.1e-8, 0.18)})
    scores["variants"].append(
        {
            "name": "numba",
            "requires": "numba",
            "status": "unavailable",
            "reason": "numba is not installed",
        }
    )
    release = {"variant": "default", "size": 2048, "held_share_below": 1.0, "held_share_from": 0.18}
    scores["gil_release"] = [release]
    scores["warnings"] = ["The machine was busy during 2 of 24 rounds."]
    parse = full_task("supplyr.ingest:parse_rows", "declared", {"default": (2e-6, 3e-7, 0.97)})
    for row in parse["lanes"]:
        if row["size"] == 102400 and row["concurrency"] == 8:
            row.update(eligible=False, reason="breaks the loop budget: 2.1 ms")
    for row in parse["routes"]:
        if row["concurrency"] == 2 and row["min_size"] == 0:
            row.update(decided=False, reason="thread and event loop overlap")
    broken = empty_task("supplyr.broken:explode")
    broken["error"] = "ValueError: inputs(100) raised <NoneType> is not subscriptable"
    other = copy.deepcopy([dedupe, scores])
    for task in other:
        for one in task["costs"]:
            one.update(wall_s=one["wall_s"] * 1.21, gil_held_share=None)
        for one in task["lanes"]:
            scale = 3.1 if one["lane"] == "thread" and one["concurrency"] > 2 else 0.85
            one["throughput_per_s"] *= scale
    others = [{"python": "python3.13t", "host": host("3.13.9", free_threaded=True), "tasks": other}]
    return document([dedupe, scores, parse, broken], others=others)


def small() -> dict[str, Any]:
    task = full_task("m:f", "bytes", {"default": (2e-6, 9e-7, 0.99)})
    task["lanes"] = task["lanes"][::9]
    others = [{"python": "python3.13", "host": host("3.13.9"), "tasks": [copy.deepcopy(task)]}]
    return document([task], others=others)


class Page(HTMLParser):
    """Checks nesting while it reads, and keeps tags, texts and scripts."""

    ALONE = frozenset({"meta", "br", "link", "img", "input", "col", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.ALONE:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def hostile(value: Any) -> Any:
    """The same document with markup in every text that is not a switch."""
    if isinstance(value, dict):
        return {key: hostile(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


def without(value: Any) -> Any:
    """The same document with None for everything that is not a list or an object."""
    if isinstance(value, dict):
        return {key: without(item) for key, item in value.items()}
    return [without(item) for item in value] if isinstance(value, list) else None


def test_the_page_is_well_formed_and_names_every_task():
    page = Page(render_report(sample()))
    for task in sample()["tasks"]:
        assert task["name"] in page.text
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = [a["href"] for t, a in page.tags if t == "a" and str(a.get("href")).startswith("#")]
    assert {str(target)[1:] for target in targets} <= set(ids)


def test_the_page_fetches_nothing():
    text = render_report(sample())
    page = Page(text)
    loading = [
        v for _, a in page.tags for k, v in a.items() if k in {"src", "srcset", "href", "action"}
    ]
    assert all(str(value).startswith(("#", "data:")) for value in loading)
    assert not {"link", "iframe", "object", "base", "img"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?://|@import|url\((?![#`])|fetch\(|XMLHttpRequest|import\(", text)
    assert "default-src 'none'" in text


def test_the_policy_admits_exactly_the_script_of_the_page():
    text = render_report(sample())
    script = Page(text).scripts[-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text


def test_no_text_of_the_document_becomes_markup():
    text = render_report(hostile(sample()))
    page = Page(text)
    assert text.count("<script") == 2
    assert "<!--" not in text
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in Page(render_report(sample())).tags}
    assert not any(key.startswith("on") for _, attrs in page.tags for key in attrs)
    assert "<b>5 > 3</b></script>" in page.text


def test_the_page_carries_the_document_twice_for_the_charts_and_for_download():
    report = sample()
    report["command"] = HOSTILE
    page = Page(render_report(report))
    assert json.loads(page.scripts[0]) == report
    link = next(a for tag, a in page.tags if tag == "a" and "download" in a)
    assert json.loads(base64.b64decode(str(link["href"]).split(",", 1)[1])) == report


def test_the_headline_says_what_to_do_at_each_concurrency():
    task = empty_task("m:f")
    task["routes"] = [
        route(1, 0, 340, "event_loop/default"),
        route(1, 340, 12_000, "thread/rapidfuzz"),
        route(1, 12_000, None, "process/default", decided=False),
        route(2, 0, None, "process/default"),
        route(4, 0, None, "process/default"),
        route(8, 0, None, "process/default"),
    ]
    words = Page(render_report(document([task]))).text
    assert (
        "Up to size 340: event loop; from 340 to 12,000: thread, variant rapidfuzz; "
        "above 12,000: process (undecided)." in words
    )
    assert "2 to 8 calls at once" in words
    assert "At every size: process." in words


def test_boundaries_that_differ_between_concurrencies_are_given_as_a_span():
    task = empty_task("m:f", "bytes")
    for concurrency, size in ((1, 2000), (2, 2400), (4, 9000)):
        task["routes"] += [
            route(concurrency, 0, size, "event_loop/default"),
            route(concurrency, size, None, "process/default"),
        ]
    words = Page(render_report(document([task]))).text
    assert "Up to 2 kB\u20132.4 kB: event loop; above 2 kB\u20132.4 kB: process." in words
    assert "4 calls at onceUp to 9 kB: event loop; above 9 kB: process." in words


def test_troubles_are_told():
    words = Page(render_report(sample() | {"interrupted": True})).text
    assert "Interrupted." in words
    assert "Not measured. ValueError: inputs(100) raised <NoneType>" in words
    assert "Variant numba unavailable. numba is not installed" in words
    assert "The machine was busy during 2 of 24 rounds." in words
    assert "gives the lock up from 2.05 kB on" in words


def test_interpreters_stand_side_by_side():
    words = Page(render_report(sample())).text
    assert "CPython 3.11.7, GIL on" in words
    assert "CPython 3.13.9 free-threaded, GIL off" in words
    assert "CPython 3.13.9 free-threaded, GIL off: not measured" in words


@pytest.mark.parametrize("key", ["others", "tasks", "host", "loop_budget_s", "created_at"])
@pytest.mark.parametrize("value", [None, [], {}, "text", 0, -1.5, math.nan])
def test_any_part_may_be_missing_or_something_else(key, value):
    Page(render_report(small() | {key: value}))


@pytest.mark.parametrize("key", sorted(empty_task("m:f")))
@pytest.mark.parametrize("value", [None, [], [None], [{}], "text", 7])
def test_any_part_of_a_task_may_be_missing_or_something_else(key, value):
    report = small()
    report["tasks"][0][key] = value
    Page(render_report(report))


def test_nothing_at_all_is_still_a_page():
    assert "No task was measured." in Page(render_report({})).text
    Page(render_report(without(sample())))
    Page(render_report(document([{"error": "it broke"}])))
    Page(render_report(document([{}])))


def test_numbers_that_json_lacks_become_null():
    report = sample()
    report["tasks"][0]["costs"][0].update(wall_s=math.inf, cpu_s=math.nan, gil_held_share=10**400)
    page = Page(render_report(report))
    assert json.loads(page.scripts[0])["tasks"][0]["costs"][0]["wall_s"] is None


def test_everything_but_the_charts_is_there_without_a_script():
    page = Page(render_report(sample()))
    captions = [tag for tag, _ in page.tags].count("caption")
    assert captions > 20
    assert all(attrs.get("scope") for tag, attrs in page.tags if tag == "th")
    plots = [attrs for tag, attrs in page.tags if attrs.get("class") == "plot"]
    assert plots
    assert all(attrs["data-label"] for attrs in plots)
