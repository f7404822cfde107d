"""Metrics for OpenTelemetry, against a stand-in for its interface."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType, SimpleNamespace

import pytest
from tests.unit.web_statistics import counts, loop, statistics

from lanewise import LanewiseError, Runtime
from lanewise.web import instrument, otel

HERE = ("event_loop", "thread")


class Meter:
    """Keeps the instruments, and collects as a reader does."""

    def __init__(self):
        self.instruments = {}

    def _make(self, name, callbacks, unit, description):
        assert name not in self.instruments
        assert unit
        assert description
        self.instruments[name] = callbacks

    create_observable_counter = create_observable_gauge = _make

    def collect(self):
        return {
            (name, *sorted(one.attributes.items())): one.value
            for name, callbacks in self.instruments.items()
            for callback in callbacks
            for one in callback(None)
        }


class Told(Runtime):
    def __init__(self, says):
        super().__init__(lanes=HERE)
        self.says = says

    def statistics(self):
        if self.says is None:
            raise LanewiseError("the runtime is not running")
        return self.says


@pytest.fixture
def meter(monkeypatch):
    made = Meter()
    api = ModuleType("opentelemetry.metrics")
    api.get_meter_provider = lambda: SimpleNamespace(get_meter=lambda *_: made)
    api.Observation = lambda value, attributes: SimpleNamespace(value=value, attributes=attributes)
    monkeypatch.setitem(sys.modules, "opentelemetry", ModuleType("opentelemetry"))
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", api)
    monkeypatch.setattr(otel, "_FRESH_S", 0.0)
    # The loop may stand still for longer than a second.
    monkeypatch.setattr(otel, "_PATIENCE_S", 60.0)
    return made


async def test_what_the_runtime_counts_is_observed(meter):
    instrument(Told(statistics()))
    found = meter.collect()
    assert found["lanewise.calls_submitted", ("lane", "thread")] == 12
    assert found["lanewise.calls_ended", ("lane", "process"), ("outcome", "killed")] == 1
    assert found["lanewise.busy", ("lane", "process")] == 1.5
    assert found["lanewise.task_calls_shed", ("task", "app:match")] == 2
    assert found["lanewise.loop_lag", ("quantile", "0.99")] > 0
    assert found[("lanewise.gil_enabled",)] == 1


async def test_it_is_observed_anew_each_time(meter):
    runtime = Told(statistics())
    instrument(runtime)
    runtime.says = statistics(lanes={"thread": counts(admitted=100)})
    assert meter.collect()["lanewise.calls_submitted", ("lane", "thread")] == 102


async def test_a_collection_tells_of_one_moment(meter, monkeypatch):
    monkeypatch.setattr(otel, "_FRESH_S", 3600.0)
    runtime = Told(statistics())
    instrument(runtime)
    first = meter.collect()
    runtime.says = statistics(lanes={})
    assert meter.collect() == first


async def test_a_reader_in_another_thread_asks_the_loop(meter):
    instrument(Told(statistics()))
    found = await asyncio.to_thread(meter.collect)
    assert found["lanewise.calls_submitted", ("lane", "thread")] == 12


async def test_while_the_loop_is_stalled_the_last_numbers_are_told(meter, monkeypatch):
    monkeypatch.setattr(otel, "_PATIENCE_S", 0.01)
    instrument(Told(statistics()))
    first = meter.collect()
    with ThreadPoolExecutor(1) as pool:  # for which this thread, the loop's, does nothing but wait
        assert pool.submit(meter.collect).result() == first


async def test_a_runtime_that_was_left_tells_nothing(meter):
    runtime = Told(statistics())
    instrument(runtime)
    runtime.says = None
    assert meter.collect() == {}


async def test_without_a_watched_loop_there_is_no_lag(meter):
    instrument(Told(statistics(loop=None, workers=None)))
    assert not any("loop" in name or "worker" in name for name, *_ in meter.collect())


async def test_closing_ends_it(meter):
    reporting = instrument(Told(statistics(loop=loop(0.1))))
    reporting.close()
    reporting.close()
    assert meter.collect() == {}


def test_a_loop_that_is_over_tells_nothing(meter):
    async def begin():
        instrument(Told(statistics()))

    asyncio.run(begin())
    assert meter.collect() == {}


def test_it_is_called_on_the_loop(meter):
    with pytest.raises(RuntimeError):
        instrument(Told(statistics()))


async def test_without_the_package_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", None)
    with pytest.raises(LanewiseError, match=r"pip install 'lanewise\[otel\]'"):
        instrument(Told(statistics()))


async def test_the_real_interface():
    metrics = pytest.importorskip("opentelemetry.sdk.metrics")
    export = pytest.importorskip("opentelemetry.sdk.metrics.export")
    reader = export.InMemoryMetricReader()
    provider = metrics.MeterProvider([reader])
    reporting = instrument(Told(statistics()), provider)
    (resource,) = reader.get_metrics_data().resource_metrics
    (found,) = resource.scope_metrics
    assert found.scope.name == "lanewise"
    names = {metric.name for metric in found.metrics}
    assert {"lanewise.calls_ended", "lanewise.loop_lag", "lanewise.places"} <= names
    reporting.close()
    provider.shutdown()
