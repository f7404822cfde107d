"""Metrics in the Prometheus format: read back, complete, escaped, bounded and never shrinking."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from tests.unit.web_statistics import counts, full, loop, statistics

from lanewise.runtime.loop_lag import BOUNDS_S
from lanewise.web import metrics_text
from lanewise.web.task_labels import OTHERS, TaskLabels

SAMPLE = re.compile(
    r"^(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$", re.ASCII
)
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)', re.ASCII)


def unescaped(text):
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text)


def parsed(text):
    """Read the format as its description has it; return the types and the samples."""
    assert text.endswith("\n")
    types, samples = {}, {}
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("# "):
            _, word, name, rest = line.split(" ", 3)
            if word == "TYPE":
                assert name not in types
                types[name] = rest
            continue
        found = SAMPLE.match(line)
        assert found is not None, line
        given = found["labels"] or ""
        assert LABEL.sub("", given) == "", line
        labels = frozenset((name, unescaped(value)) for name, value in LABEL.findall(given))
        family = re.sub(r"_(bucket|sum|count)$", "", found["name"])
        assert found["name"] in types or types.get(family) == "histogram", line
        assert (found["name"], labels) not in samples, line
        samples[found["name"], labels] = float(found["value"])
    return types, samples


def value(text, name, **labels):
    return parsed(text)[1][f"lanewise_{name}", frozenset(labels.items())]


def test_it_can_be_read_back():
    types, samples = parsed(metrics_text(statistics()))
    assert {name for name, _ in samples} >= set(types) - {"lanewise_loop_lag_seconds"}


@pytest.mark.parametrize("given", [statistics(), full()], ids=["plain", "everything"])
def test_the_reference_parser_reads_it_too(given):
    parser = pytest.importorskip("prometheus_client.parser")
    found = list(parser.text_string_to_metric_families(metrics_text(given)))
    assert {family.type for family in found} == {"counter", "gauge", "histogram"}
    assert all(family.documentation for family in found)


def test_each_lane_has_its_counts():
    text = metrics_text(statistics())
    assert value(text, "calls_submitted_total", lane="thread") == 12
    assert value(text, "calls_ended_total", lane="process", outcome="killed") == 1
    assert value(text, "calls_shed_total", lane="thread") == 2
    assert value(text, "busy_seconds_total", lane="process") == 1.5
    assert value(text, "wait_seconds_total", lane="process") == 0.25
    assert value(text, "calls_running", lane="thread") == 1
    assert value(text, "places", lane="thread") == 8


def test_a_lane_without_calls_is_told_from_the_start():
    assert value(metrics_text(statistics()), "calls_submitted_total", lane="event_loop") == 0


def test_each_reason_for_refusing_is_told_from_the_start():
    text = metrics_text(statistics())
    assert value(text, "shed_total", reason="full") == 3
    assert value(text, "shed_total", reason="queue_timeout") == 0


def test_what_happened_to_workers():
    text = metrics_text(statistics())
    assert value(text, "workers", state="busy") == 1
    assert value(text, "worker_events_total", event="started") == 3


def test_the_lag_is_a_histogram_whose_buckets_add_up():
    given = loop(0.0, 0.0001, 0.02, 0.3, 60.0)
    types, samples = parsed(metrics_text(statistics(loop=given)))
    assert types["lanewise_loop_lag_seconds"] == "histogram"
    buckets = {
        float(dict(labels)["le"]): number
        for (name, labels), number in samples.items()
        if name == "lanewise_loop_lag_seconds_bucket"
    }
    bounds = sorted(buckets)
    assert bounds == [*BOUNDS_S, math.inf]
    heights = [buckets[bound] for bound in bounds]
    assert heights == sorted(heights)
    assert heights[-1] == 5
    assert samples["lanewise_loop_lag_seconds_count", frozenset()] == 5
    assert samples["lanewise_loop_lag_seconds_sum", frozenset()] == pytest.approx(60.3201)


def test_where_nothing_watches_nothing_is_told():
    text = metrics_text(statistics(loop=None, workers=None))
    assert "loop_lag" not in text
    assert "worker" not in text
    parsed(text)


def test_an_empty_runtime_has_metrics():
    text = metrics_text(statistics(lanes={}, tasks={}, places={}, workers=None, loop=None))
    assert value(text, "gil_enabled") == 1


def test_names_that_break_lines_and_quotes_come_back_as_they_were():
    name = 'a"b\\c\nd\\n{e}=,ä'
    _, samples = parsed(metrics_text(statistics(tasks={name: counts()})))
    assert ("lanewise_task_calls_shed_total", frozenset({("task", name)})) in samples


def test_a_name_that_cannot_be_encoded_does_not_spoil_the_rest():
    metrics_text(full()).encode()


# --- which tasks are told -------------------------------------------------------------------------


def tasks_of(number, each=None):
    each = each or (lambda i: i + 1)
    return {f"app:t{i:04}": counts(admitted=each(i), shed=0) for i in range(number)}


def submitted(text):
    return {
        dict(labels)["task"]: number
        for (name, labels), number in parsed(text)[1].items()
        if name == "lanewise_task_calls_submitted_total"
    }


def test_a_hundred_tasks_have_lines_of_their_own_and_the_rest_is_one():
    found = submitted(metrics_text(statistics(tasks=tasks_of(150))))
    assert len(found) == 101
    assert sorted(found)[1] == "app:t0050"  # those with most calls
    assert found[OTHERS] == sum(range(1, 51))


def test_what_the_runtime_counts_together_already_is_among_the_others():
    tasks = {**tasks_of(3), OTHERS: counts(admitted=7, shed=0)}
    assert submitted(metrics_text(statistics(tasks=tasks)))[OTHERS] == 7


def test_no_counter_shrinks_when_a_small_task_becomes_a_large_one():
    labels = TaskLabels()
    before = submitted(metrics_text(statistics(tasks=tasks_of(150)), labels=labels))
    turned = tasks_of(150, lambda i: 1000 - i)
    after = submitted(metrics_text(statistics(tasks=turned), labels=labels))
    assert before.keys() == after.keys()
    assert all(after[task] >= before[task] for task in before)
    assert sum(after.values()) == sum(one.admitted for one in turned.values())


def test_a_task_that_is_gone_makes_room():
    labels = TaskLabels(most=2)
    assert list(labels.of(statistics(tasks=tasks_of(3)))) == ["app:t0001", "app:t0002", OTHERS]
    left = {name: one for name, one in tasks_of(3).items() if name != "app:t0002"}
    grown = {**left, "app:new": counts()}
    assert list(labels.of(statistics(tasks=grown))) == ["app:new", "app:t0001", OTHERS]


def test_a_call_that_is_shed_after_it_waited_does_not_shrink_what_was_submitted():
    waiting = statistics(lanes={"thread": counts(admitted=3, waiting=1, shed=0)})
    refused = replace(waiting, lanes={"thread": counts(admitted=2, waiting=0, shed=1)})
    name, lane = "calls_submitted_total", {"lane": "thread"}
    assert value(metrics_text(waiting), name, **lane) == value(metrics_text(refused), name, **lane)
